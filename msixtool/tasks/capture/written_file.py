"""A file that QEMU writes and msixtool reads: one in memory that it is handed.

Source: QEMU qapi/misc.json (add-fd, remove-fd), monitor/fds.c.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from msixtool.errors import InputError
from msixtool.tasks.capture.monitor import Monitor, RefusedError
from msixtool.tasks.qmp_answers import member

Save = Callable[[Monitor, str], Awaitable[None]]
"""Has QEMU write a file, by the name that it has for it."""


class WrittenFile(NamedTuple):
    """What QEMU has written, for the length of a block."""

    descriptor: int


@asynccontextmanager
async def for_qemu(vm: Monitor, save: Save) -> AsyncIterator[WrittenFile]:
    """What `save` had QEMU write. Raises InputError where QEMU refuses, or cannot write."""
    descriptor = os.memfd_create("msixtool")
    try:
        await _handed(vm, descriptor, save)
        yield WrittenFile(descriptor)
    finally:
        os.close(descriptor)


async def _handed(vm: Monitor, descriptor: int, save: Save) -> None:
    """Have QEMU write into a file that it is handed: it opens none of its own."""
    # QEMU looks in the set for a descriptor with these very flags, and writes where its offset stands.
    handed = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
    try:
        answer = await vm.hand_over(handed, "add-fd", {})
    finally:
        os.close(handed)
    fd_set = member("add-fd", answer, "fdset-id", int)
    try:
        await save(vm, f"/dev/fdset/{fd_set}")
    except RefusedError as error:
        if "denied" in str(error):
            error.found = f"{error.found} (a security module keeps QEMU from what it is handed?)"
        raise
    finally:
        with suppress(InputError):
            await vm.ask("remove-fd", {"fdset-id": fd_set})
