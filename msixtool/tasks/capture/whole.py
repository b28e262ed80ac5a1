"""The whole stream of a VM, RAM and all, by a migration.

Source: QEMU qapi/migration.json. The stream comes through a pipe whose other end QEMU is handed
(`getfd`, `fd:`), so that QEMU neither opens files nor starts programs, and every version from 5.2
to 11.1 takes it; mapped-ram needs a seekable file and is handed one (`add-fd`, `file:`).
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from msixtool.containers.base import Progress
from msixtool.errors import InputError, OutputError, UsageError
from msixtool.output.files import PIECE, OutputFile
from msixtool.tasks.capture import monitor, state
from msixtool.tasks.capture.monitor import Monitor, RefusedError
from msixtool.tasks.capture.state import Before, prepare
from msixtool.tasks.qmp_answers import member, optional, short_answer

STALL = 60.0
"""Seconds after which a migration in which nothing moves is given up."""

FD_NAME = "msixtool"
"""What a descriptor that is handed over is called."""
FD_SET = 0x6D736978
"""The number of the set that a file is handed over in."""


async def write_whole(
    vm: Monitor, before: Before, out: OutputFile, mapped_ram: bool, progress: Progress | None
) -> None:
    """Stop the VM and migrate it to `out`; `before` notes what has to be set back.

    Raises InputError where QEMU refuses, fails or stands still; OutputError where `out` cannot be written.
    """
    if mapped_ram and not out.patchable:
        raise UsageError("mapped-ram needs a file", path=out.path, expected="-o FILE")
    await prepare(vm, before, mapped_ram)
    await (_to_file if mapped_ram else _through_pipe)(vm, before, out, progress)


async def _through_pipe(vm: Monitor, before: Before, out: OutputFile, progress: Progress | None) -> None:
    """Migrate into a pipe, and from there to `out`."""
    reader, writer = os.pipe()
    stopped, stop = os.pipe()
    pump: asyncio.Future[None] | None = None
    try:
        try:
            await vm.hand_over(writer, "getfd", {"fdname": FD_NAME})
        except RefusedError as error:
            error.expected = "a socket of QEMU itself, for RAM goes through a pipe; without RAM: --devices"
            raise
        finally:
            os.close(writer)
        pump = _in_thread(lambda: _pump(reader, stopped, out))
        await _migrate(vm, before, f"fd:{FD_NAME}")
        await _migrated(vm, out, progress, pump)
        await _end_of(pump, out)
    finally:
        # Where all went well the pump has ended; otherwise it must not wait for QEMU's end of the pipe.
        os.close(stop)
        if pump is None or (await asyncio.wait([pump], timeout=state.POLL))[0]:
            os.close(reader)
            os.close(stopped)
        else:
            _break_off(reader)
        with suppress(InputError):
            await vm.ask("closefd", {"fdname": FD_NAME})


async def _migrate(vm: Monitor, before: Before, uri: str) -> None:
    """Start the migration. From then on one that is under way is this capture's, to be cancelled."""
    before.started = True
    try:
        await vm.ask("migrate", {"uri": uri})
    except RefusedError:
        before.started = False
        raise


def _break_off(reader: int) -> None:
    """Close a pipe under a pump that hangs because nobody takes what it writes.

    QEMU, which may wait for room in the pipe with its monitor blocked, fails then. The number of
    the descriptor stays taken, so that the pump, should it wake, finds an end and nothing else.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, reader)
    os.close(nothing)


def _in_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """Run `work` in a thread that does not keep the process alive; its end, or what it raised."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # The loop has ended: nobody waits any more.
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _pump(reader: int, stopped: int, out: OutputFile) -> None:
    """Copy from the pipe to `out` until the pipe ends, or the other end of `stopped` is closed."""
    try:
        while True:
            ready, _, _ = select.select([reader, stopped], [], [])
            if reader not in ready or not (data := os.read(reader, PIECE)):
                return
            out.write(data)
    except BaseException:
        _break_off(reader)
        raise


async def _to_file(vm: Monitor, before: Before, out: OutputFile, progress: Progress | None) -> None:
    """Migrate into `out` itself, which QEMU is handed."""
    descriptor = out.reopen()
    try:
        await vm.hand_over(descriptor, "add-fd", {"fdset-id": FD_SET})
        await _migrate(vm, before, f"file:/dev/fdset/{FD_SET}")
        try:
            await _migrated(vm, out, progress, None)
        except InputError as error:
            raise error.at(path=out.path) from None  # as a full disk, which QEMU tells of without a name
        out.position = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
        with suppress(InputError):
            await vm.ask("remove-fd", {"fdset-id": FD_SET})


async def _migrated(
    vm: Monitor, out: OutputFile, progress: Progress | None, pump: asyncio.Future[None] | None
) -> None:
    """Wait until the migration is over.

    Raises InputError where it failed or stands still, and what the pump raised.
    """
    asked = "query-migrate"
    seen: object = None
    moved = time.monotonic()
    while True:
        answer = await vm.ask(asked)
        status = optional(asked, answer, "status", str) or "none"
        ram = optional(asked, answer, "ram", dict)
        if progress is not None and ram:
            total = member(asked, ram, "total", int)
            progress(total - member(asked, ram, "remaining", int), total)
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            if pump is not None and pump.done():
                await pump  # A full disk says more than QEMU's broken pipe.
            reason = optional(asked, answer, "error-desc", str)
            raise InputError("QEMU could not migrate", found=short_answer(reason or status))
        if pump is not None and pump.done() and pump.exception() is not None:
            await pump
        if (now := (status, ram, out.position)) != seen:
            seen, moved = now, time.monotonic()
        elif time.monotonic() - moved > STALL:
            raise InputError(
                "the migration stands still",
                expected=f"something to move within {STALL:g} seconds",
                found=f"status {short_answer(status)}",
            )
        await asyncio.sleep(state.POLL)


async def _end_of(pump: asyncio.Future[None], out: OutputFile) -> None:
    """Wait until all that QEMU wrote is in `out`. Raises OutputError where nobody takes it."""
    try:
        async with asyncio.timeout(monitor.TIMEOUT):
            await pump
    except TimeoutError:
        raise OutputError(
            f"cannot be written: nothing was taken for {monitor.TIMEOUT:g} seconds", path=out.path
        ) from None
