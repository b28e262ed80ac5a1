"""A file that QEMU writes and msixtool reads: one in memory that it is handed, else one in its own folder.

Source: QEMU qapi/misc.json (add-fd, remove-fd), monitor/fds.c, qapi/char.json (query-chardev).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from msixtool.errors import InputError
from msixtool.tasks.capture.denial import why_denied
from msixtool.tasks.capture.monitor import Monitor, RefusedError
from msixtool.tasks.qmp_answers import member, optional, shaped

Save = Callable[[Monitor, str], Awaitable[None]]
"""Has QEMU write a file, by the name that it has for it."""

FOLDERS = ("/var/tmp", "/tmp")
"""Where QEMU may write if it may nowhere else."""
MOST_FOLDERS = 8
_OPENING = ("unable to open", "unable to create", "could not open", "could not create", "failed to open")
"""How QEMU's words begin where it cannot open a file, and has stopped nothing yet."""


@asynccontextmanager
async def for_qemu(vm: Monitor, save: Save) -> AsyncIterator[int]:
    """A descriptor of what `save` had QEMU write. Raises InputError where it refuses, or cannot write."""
    descriptor = os.memfd_create("msixtool")
    try:
        try:
            await _handed(vm, descriptor, save)
        except _NotHandedError as error:
            os.close(descriptor)
            descriptor = -1
            descriptor = await _by_path(vm, save, error)
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


class _NotHandedError(InputError):
    """No file can be handed to this QEMU; `found` says why."""


async def _handed(vm: Monitor, descriptor: int, save: Save) -> None:
    """Have QEMU write into a file that it is handed: it opens none of its own."""
    # QEMU looks in the set for a descriptor with these very flags, and writes where its offset stands.
    handed = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
    try:
        answer = await vm.hand_over(handed, "add-fd", {})
    except InputError as error:
        raise _NotHandedError("QEMU is handed no file", found=error.found or error.what) from None
    finally:
        os.close(handed)
    fd_set = member("add-fd", answer, "fdset-id", int)
    try:
        await save(vm, f"/dev/fdset/{fd_set}")
    except RefusedError as error:
        if not _cannot_open(error):
            raise
        raise _NotHandedError("QEMU may not write what it is handed", found=error.found) from None
    finally:
        with suppress(InputError):
            await vm.ask("remove-fd", {"fdset-id": fd_set})


def _cannot_open(error: RefusedError) -> bool:
    return str(error.found).lower().startswith(_OPENING)


async def _by_path(vm: Monitor, save: Save, unhanded: InputError) -> int:
    """Have QEMU open a file itself, in the first folder where it can; the file has no name afterwards."""
    reasons = [f"{unhanded.what}: {unhanded.found}"]
    # What QEMU calls /tmp may be another folder than ours, as in a chroot.
    root = "" if vm.peer is None else vm.peer.root
    for folder in await _folders(vm):
        try:
            ours = _made(f"{root}{folder}", None if vm.peer is None else vm.peer.user)
        except OSError as error:
            reasons.append(f"{folder}: msixtool: {error.strerror}")
            continue
        file = f"{ours}/devices"
        try:
            descriptor = os.open(file, os.O_RDONLY)
            try:
                await save(vm, file.removeprefix(root))
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor
        except RefusedError as error:
            if not _cannot_open(error):
                raise
            reasons.append(f"{folder}: {why_denied(vm.peer, file, str(error.found))}")
        finally:
            shutil.rmtree(ours, ignore_errors=True)
    raise InputError("QEMU can write no file", expected="one that it can open", found="; ".join(reasons))


async def _folders(vm: Monitor) -> list[str]:
    """Folders that QEMU may be able to write to: those of its own sockets first."""
    found: dict[str, None] = {}
    with suppress(InputError):
        for each in shaped("query-chardev", await vm.ask("query-chardev"), list):
            name = optional("query-chardev", each, "filename", str) or ""
            path = (
                name.removeprefix("unix:").removeprefix("disconnected:").removeprefix("unix:").split(",")[0]
            )
            if name != path and path.startswith("/"):
                found[os.path.dirname(path)] = None
    return [*list(found)[:MOST_FOLDERS], *(each for each in FOLDERS if each not in found)]


def _made(folder: str, user: int | None) -> str:
    """A new folder in that one, with an empty file that QEMU's `user` may write; nobody else knows its name.

    Raises OSError where there can be none.
    """
    ours = f"{folder}/msixtool-{secrets.token_hex(16)}"
    os.mkdir(ours, 0o700)
    try:
        descriptor = os.open(f"{ours}/devices", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            if user is None or (user != os.geteuid() and os.geteuid() != 0):
                os.fchmod(descriptor, 0o666)
            elif user != os.geteuid():
                os.fchown(descriptor, user, -1)
        finally:
            os.close(descriptor)
        # Passed through by whoever knows the name, and listed by nobody else.
        os.chmod(ours, 0o711)
    except BaseException:
        shutil.rmtree(ours, ignore_errors=True)
        raise
    return ours
