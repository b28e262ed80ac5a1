"""A QEMU command as the target: its fresh stream, its vmstate description, and a real load.

The command is run as it is, but with its CPUs stopped: once to describe its vmstate, once to be
captured, and, for a trial, once more to load the source.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from msixtool.dump import OpenDump
from msixtool.errors import FormatError, InputError, UsageError
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.output.files import OutputFile
from msixtool.tasks.capture import capture
from msixtool.tasks.compat import vmstate_file
from msixtool.tasks.fresh import FreshQemu, ask_program, dying_with_us, fresh_qemu, passing_file

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

DESCRIBE_TIMEOUT = 60.0
LOAD_TIMEOUT = 600.0
"""Seconds within which a stream has to be loaded."""
_ANSWER_TIMEOUT = 10.0
_POLL = 0.05
_PIECE = 1 << 20
_DISPLAYS = ("-display", "-nographic", "-vnc", "-spice", "-curses", "-sdl")
_FD_NAME = "msixtool"
_OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class FreshTarget:
    """The fresh stream, in a file that is there as long as the context is, and the description.

    The description is None where QEMU gave none; then `why` says what it said.
    """

    stream: Path
    vmstate: Vmstates | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What QEMU did: whether it loaded the stream, and what it wrote to standard error."""

    loaded: bool
    stderr: str


def words_of(command: str) -> list[str]:
    """A command line as words, without a window of its own. Raises UsageError where it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError("the command of QEMU", found=error) from None
    if not words:
        raise UsageError("the command of QEMU", expected="a program and its arguments", found="nothing")
    if not any(word.replace("--", "-", 1) in _DISPLAYS for word in words):
        words += ["-display", "none"]
    return words


@contextmanager
def fresh_target(command: Sequence[str]) -> Iterator[FreshTarget]:
    """Start `command` paused, take its stream and its description, and end it.

    Raises InputError, with QEMU's own words, where it does not start or cannot be saved.
    """
    with passing_file() as (_, description):
        vmstate, why = _describe(command, description)
    with fresh_stream(command) as stream:
        yield FreshTarget(stream, vmstate, why)


@contextmanager
def fresh_stream(command: Sequence[str]) -> Iterator[Path]:
    """Start `command` paused, take its stream, and end it; the file is there as long as the context is.

    Raises as `fresh_target` does.
    """
    with passing_file() as (descriptor, stream):
        with fresh_qemu(command) as target:
            try:
                capture(target.monitor, OutputFile(descriptor, str(stream), patchable=True))
            except InputError as error:
                raise target.ended() or error from None
        yield stream


class FreshTargets:
    """Fresh targets, one for all that have the same command. A context manager: leaving it removes them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._made: dict[tuple[str, ...], tuple[OpenDump, Vmstates | None] | InputError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, command: Sequence[str]) -> tuple[OpenDump, Vmstates | None]:
        """The stream of a command's QEMU, and its description. Raises as `fresh_target` does, each time."""
        key = tuple(command)
        if key not in self._made:
            try:
                fresh = self._stack.enter_context(fresh_target(command))
                self._made[key] = self._stack.enter_context(OpenDump.open(fresh.stream)), fresh.vmstate
            except InputError as error:
                self._made[key] = error
        made = self._made[key]
        if isinstance(made, InputError):
            raise made
        return made


def _describe(command: Sequence[str], path: Path) -> tuple[Vmstates | None, str | None]:
    """The vmstate description of the command's QEMU and machine, or why there is none."""
    words = dying_with_us([*command, "-dump-vmstate", str(path)])
    try:
        run = ask_program(words, DESCRIBE_TIMEOUT)
        return vmstate_file.read_vmstate_file(str(path)), None
    except OSError as error:
        raise InputError("cannot be started", path=command[0], found=error.strerror) from None
    except subprocess.TimeoutExpired:
        return None, f"no answer within {DESCRIBE_TIMEOUT:.0f} s"
    except (InputError, FormatError):
        said = run.stderr.strip().splitlines()
        return None, said[-1] if said else f"status {run.returncode}"


def try_load(command: Sequence[str], source: OpenDump) -> Trial:
    """Load `source` into the QEMU of `command`, and end it.

    Raises InputError where QEMU does not start or hangs, UsageError for a stream that cannot be handed to
    it.
    """
    if source.index.mapped_ram and [layer["kind"] for layer in source.layers] != ["mapped-ram"]:
        raise UsageError(
            "a packed mapped-ram stream cannot be tried", path=source.path, expected="the file unpacked"
        )
    reader, writer = os.pipe()
    feeder = Thread(target=_feed, args=(writer, source), daemon=True)
    try:
        with fresh_qemu(command, incoming=True) as target:
            loaded = asyncio.run(_load(target, source, reader, feeder))
            said = target.said()
    finally:
        # With QEMU and this end gone the pipe is broken: the feeder stops wherever it is.
        os.close(reader)
        if feeder.ident is None:
            os.close(writer)
        else:
            feeder.join()
    return Trial(loaded, said)


async def _load(target: FreshQemu, source: OpenDump, reader: int, feeder: Thread) -> bool:
    from qemu.qmp import QMPClient, QMPError

    vm = QMPClient("msixtool")
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            await vm.connect(target.monitor)
        await _prepare(vm, source)
        if source.index.mapped_ram:
            await _incoming(vm, f"file:{Path(source.path).absolute()},offset={source.base_offset}")
            return await _loaded(vm)
        vm.send_fd_scm(reader)
        await _ask(vm, "getfd", {"fdname": _FD_NAME})
        feeder.start()
        await _incoming(vm, f"fd:{_FD_NAME}")
        return await _loaded(vm)
    except (QMPError, OSError, EOFError):
        # Where a load fails QEMU ends, and the monitor with it.
        return False
    except TimeoutError:
        raise InputError("QEMU does not answer", expected=f"within {_ANSWER_TIMEOUT:.0f} s") from None
    finally:
        with suppress(QMPError, OSError, EOFError, TimeoutError):
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                await vm.disconnect()


async def _prepare(vm: QMPClient, source: OpenDump) -> None:
    """Turn on what the stream needs."""
    states = [{"capability": name, "state": True} for name in source.index.capabilities]
    if states:
        await _ask(vm, "migrate-set-capabilities", {"capabilities": states})


async def _ask(vm: QMPClient, command: str, arguments: dict[str, Any] | None = None) -> Any:
    async with asyncio.timeout(_ANSWER_TIMEOUT):
        return await vm.execute(command, arguments)


async def _incoming(vm: QMPClient, uri: str) -> None:
    await _ask(vm, "migrate-incoming", {"uri": uri})


def _feed(writer: int, source: OpenDump) -> None:
    """Write the decoded stream into a pipe until its end, or until nobody reads."""
    offset = 0
    try:
        while data := source.source.read(offset, min(_PIECE, source.index.end - offset)):
            offset += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(writer, view) :]
    except OSError:
        pass
    finally:
        os.close(writer)


async def _loaded(vm: QMPClient) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOAD_TIMEOUT
    while loop.time() < deadline:
        status = (await _ask(vm, "query-migrate")).get("status")
        if status in _OVER:
            return bool(status == "completed")
        await asyncio.sleep(_POLL)
    raise InputError("QEMU does not finish loading", expected=f"within {LOAD_TIMEOUT:.0f} s")
