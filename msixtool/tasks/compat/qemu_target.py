"""A QEMU command as the target: its fresh stream, its vmstate description, and a real load.

The command is run as it is, but with its CPUs stopped: once to describe its vmstate, once to be
captured, and, for a trial, once more to load the source.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Self

from msixtool.dump import OpenDump
from msixtool.errors import FormatError, InputError, UsageError
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.output.files import OutputFile
from msixtool.tasks.capture import capture_fresh
from msixtool.tasks.capture.monitor import LostError, Monitor, RefusedError, at_socket
from msixtool.tasks.capture.state import POLL
from msixtool.tasks.capture.whole import FD_NAME
from msixtool.tasks.compat import vmstate_file
from msixtool.tasks.fresh import FreshQemu, ask_program, dying_with_us, fresh_qemu, passing_file
from msixtool.tasks.qmp_answers import optional

DESCRIBE_TIMEOUT = 60.0
LOAD_TIMEOUT = 600.0
"""Seconds within which a stream has to be loaded."""
_PIECE = 1 << 20
_DISPLAYS = ("-display", "-nographic", "-vnc", "-spice", "-curses", "-sdl")
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
class TargetCommand:
    """A command made for a source: its words, its arguments, and what was changed in it, a line each."""

    words: tuple[str, ...]
    args: tuple[str, ...]
    changed: tuple[str, ...] = ()


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
        capture_fresh(command, OutputFile(descriptor, str(stream), patchable=True))
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
    try:
        async with at_socket(target.monitor) as vm:
            states = [{"capability": name, "state": True} for name in source.index.capabilities]
            if states:
                await vm.ask("migrate-set-capabilities", {"capabilities": states})
            uri = f"file:{Path(source.path).absolute()},offset={source.base_offset}"
            if not source.index.mapped_ram:
                await vm.hand_over(reader, "getfd", {"fdname": FD_NAME})
                feeder.start()
                uri = f"fd:{FD_NAME}"
            await vm.ask("migrate-incoming", {"uri": uri})
            return await _loaded(vm)
    except (RefusedError, LostError):
        # Where a load fails QEMU ends, and the monitor with it.
        return False


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


async def _loaded(vm: Monitor) -> bool:
    asked = "query-migrate"
    deadline = time.monotonic() + LOAD_TIMEOUT
    while time.monotonic() < deadline:
        status = optional(asked, await vm.ask(asked), "status", str)
        if status in _OVER:
            return status == "completed"
        await asyncio.sleep(POLL)
    raise InputError("QEMU does not finish loading", expected=f"within {LOAD_TIMEOUT:.0f} s")
