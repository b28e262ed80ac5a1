"""Taking a stream from a running VM over QMP, and leaving the VM as it was.

Source: QEMU docs/interop/qmp-spec, qapi/migration.json. The stream comes through a pipe whose
other end QEMU is handed (`getfd`, `fd:`), so that QEMU neither opens files nor starts programs,
and every version from 5.2 to 11.1 takes it; mapped-ram needs a seekable file and is handed one
(`add-fd`, `file:`).
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msixtool.errors import InputError, UsageError
from msixtool.files import OutputFile
from msixtool.tasks.qmp_answers import member, optional, shaped, shortened

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

Progress = Callable[[int, int], None]
"""Called with the bytes of RAM that are written, and those there are in all."""

TIMEOUT = 10.0
"""Seconds to wait for a greeting or the answer to a command."""
POLL = 0.05
"""Seconds between two looks at the migration."""
BANDWIDTH = 1 << 40
"""Bytes a second: no limit, for as long as the capture takes."""
PIECE = 1 << 20

_LOST = (OSError, EOFError, ValueError, RecursionError)
"""What qemu.qmp lets through besides its own errors: a connection that ends, JSON beyond its parser."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a capture in order."""
_FD_NAME = "msixtool"
_FD_SET = 0x6D736978
_UNDER_WAY = frozenset(
    ("setup", "active", "postcopy-active", "device", "wait-unplug", "pre-switchover", "cancelling")
)
_IN_THE_WAY = (
    "multifd",
    "return-path",
    "postcopy-ram",
    "x-colo",
    "background-snapshot",
    "zero-copy-send",
    "switchover-ack",
    "mapped-ram",
)
"""Capabilities that a capture turns off for its duration: they need an answering target, or other files."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured: QEMU's version, the machine type, seconds, and whether the VM ran before."""

    qemu: str
    machine: str
    seconds: float
    was_running: bool


@dataclass(slots=True)
class _Before:
    """What a capture changes in the VM, as it was."""

    running: bool
    capabilities: list[dict[str, Any]] = field(default_factory=list)
    bandwidth: int | None = None


def capture(
    address: str | socket.socket,
    out: OutputFile,
    *,
    mapped_ram: bool = False,
    progress: Progress | None = None,
) -> Captured:
    """Write the stream of the VM behind a QMP socket to `out`.

    `address` is the path of a UNIX socket (files are handed over it), or a connected one. The VM is
    stopped for it if it runs, and runs on afterwards; capabilities and parameters of migration
    are set back. That holds whatever fails, and when a signal (INT, TERM, HUP) ends the capture,
    which raises KeyboardInterrupt(number) then.

    Raises InputError where there is no VM, or its QEMU refuses or fails; OutputError where `out`
    cannot be written; UsageError where the library qemu.qmp is not installed.
    """
    try:
        import qemu.qmp  # noqa: F401
    except ImportError:
        raise UsageError("capture needs the library qemu.qmp: pip install 'msixtool[capture]'") from None
    return asyncio.run(_with_signals(_capture(address, out, mapped_ram, progress)))


async def _with_signals(work: Coroutine[Any, Any, Captured]) -> Captured:
    """Run `work` so that a signal cancels it once; its cleaning up is not cut short by another."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    came: list[int] = []

    def stop(number: int) -> None:
        if not came:
            came.append(number)
            task.cancel()

    try:
        for number in _SIGNALS:
            if before[number] is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, stop, number)
    except (RuntimeError, ValueError):
        before.clear()  # Not in the main thread: signals are not ours.
    try:
        captured = await task
        if came:  # A task that is at its end may be done in spite of it.
            raise KeyboardInterrupt(*came)
        return captured
    except asyncio.CancelledError:
        raise KeyboardInterrupt(*came) from None
    finally:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)


async def _capture(address: Any, out: OutputFile, mapped_ram: bool, progress: Progress | None) -> Captured:
    began = time.monotonic()
    async with _connected(address) as vm:
        version = member("query-version", await _ask(vm, "query-version"), "qemu", dict)
        release = [str(member("query-version", version, part, int)) for part in ("major", "minor", "micro")]
        machine = shaped("qom-get", await _ask(vm, "qom-get", {"path": "/machine", "property": "type"}), str)
        before = await _look(vm)
        try:
            await _prepare(vm, before, mapped_ram)
            await (_to_file if mapped_ram else _through_pipe)(vm, out, progress)
        finally:
            await _put_back(vm, address, before)
    return Captured(
        ".".join(release),
        machine.removesuffix("-machine"),
        time.monotonic() - began,
        before.running,
    )


@asynccontextmanager
async def _connected(address: Any) -> AsyncIterator[QMPClient]:
    from qemu.qmp import QMPClient, QMPError

    vm = QMPClient("msixtool")
    name = address if isinstance(address, str) else "the QMP socket"
    try:
        await asyncio.wait_for(vm.connect(address), TIMEOUT)
    except TimeoutError:
        raise InputError(
            "no QMP greeting", path=str(name), expected="a monitor that no other client (libvirt?) holds"
        ) from None
    except (QMPError, *_LOST) as error:
        raise InputError("no QMP monitor answers", path=str(name), found=_reason(error)) from None
    try:
        yield vm
    finally:
        with suppress(QMPError, *_LOST, TimeoutError):
            await asyncio.wait_for(vm.disconnect(), TIMEOUT)


def _reason(error: BaseException) -> str:
    from qemu.qmp import StateError

    if isinstance(error, StateError):
        return "QEMU has closed it"
    cause = error.__cause__ or error
    return shortened(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)


async def _ask(vm: QMPClient, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Run one command. Raises InputError with QEMU's own words where it refuses, or does not answer."""
    from qemu.qmp import ExecuteError, QMPError

    try:
        return await asyncio.wait_for(vm.execute(command, dict(arguments or {})), TIMEOUT)
    except ExecuteError as error:
        raise InputError(f"QEMU refuses {command}", found=shortened(str(error))) from None
    except (QMPError, *_LOST) as error:
        raise InputError(f"the monitor was lost at {command}", found=_reason(error)) from None
    except TimeoutError:
        raise InputError(
            f"QEMU does not answer {command}", expected=f"within {TIMEOUT:.0f} seconds"
        ) from None


async def _look(vm: QMPClient) -> _Before:
    """How the VM stands. Raises InputError where a capture would disturb what is under way."""
    answer = await _ask(vm, "query-status")
    status = member("query-status", answer, "status", str)
    under_way = await _migration_status(vm)
    if under_way in _UNDER_WAY:
        raise InputError("a migration is under way already", found=under_way)
    if status in ("inmigrate", "finish-migrate"):
        raise InputError("the VM is not ready", expected="one that runs or is paused", found=status)
    return _Before(member("query-status", answer, "running", bool))


async def _migration_status(vm: QMPClient) -> str:
    """What `query-migrate` says; "none" where there was no migration yet."""
    answer = await _ask(vm, "query-migrate")
    return optional("query-migrate", answer, "status", str) or "none"


async def _prepare(vm: QMPClient, before: _Before, mapped_ram: bool) -> None:
    """Stop the VM and set capabilities and bandwidth; `before` notes first what each step changes."""
    asked = "query-migrate-capabilities"
    known = {
        member(asked, each, "capability", str): member(asked, each, "state", bool)
        for each in shaped(asked, await _ask(vm, asked), list)
    }
    if mapped_ram and "mapped-ram" not in known:
        raise InputError("this QEMU has no mapped-ram", expected="QEMU 9.0 or later")
    wanted = {name: name == "mapped-ram" and mapped_ram for name in _IN_THE_WAY}
    changes = {name: state for name, state in wanted.items() if known.get(name, state) != state}
    before.capabilities = [{"capability": name, "state": known[name]} for name in changes]
    asked = "query-migrate-parameters"
    before.bandwidth = optional(asked, await _ask(vm, asked), "max-bandwidth", int)
    if before.running:
        await _ask(vm, "stop")
    if changes:
        states = [{"capability": name, "state": state} for name, state in changes.items()]
        await _ask(vm, "migrate-set-capabilities", {"capabilities": states})
    await _ask(vm, "migrate-set-parameters", {"max-bandwidth": BANDWIDTH})


async def _through_pipe(vm: QMPClient, out: OutputFile, progress: Progress | None) -> None:
    """Migrate into a pipe, and from there to `out`."""
    reader, writer = os.pipe()
    stopped, stop = os.pipe()
    pump: asyncio.Future[None] | None = None
    try:
        try:
            await _hand_over(vm, writer, "getfd", {"fdname": _FD_NAME})
        finally:
            os.close(writer)
        pump = _in_thread(lambda: _pump(reader, stopped, out))
        await _ask(vm, "migrate", {"uri": f"fd:{_FD_NAME}"})
        await _migrated(vm, progress, pump)
        await asyncio.wait_for(pump, TIMEOUT)
    finally:
        # Where all went well the pump has ended; otherwise it must not wait for QEMU's end of the pipe.
        os.close(stop)
        if pump is None or (await asyncio.wait([pump], timeout=POLL))[0]:
            os.close(reader)
            os.close(stopped)
        else:
            _break_off(reader)
        with suppress(InputError):
            await _ask(vm, "closefd", {"fdname": _FD_NAME})


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


async def _to_file(vm: QMPClient, out: OutputFile, progress: Progress | None) -> None:
    """Migrate into `out` itself, which QEMU is handed."""
    if not out.patchable:
        raise UsageError("mapped-ram needs a file", path=out.path, expected="-o FILE")
    descriptor = out.reopen()
    try:
        await _hand_over(vm, descriptor, "add-fd", {"fdset-id": _FD_SET})
        await _ask(vm, "migrate", {"uri": f"file:/dev/fdset/{_FD_SET}"})
        try:
            await _migrated(vm, progress, None)
        except InputError as error:
            raise error.at(path=out.path) from None  # as a full disk, which QEMU tells of without a name
        out.position = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
        with suppress(InputError):
            await _ask(vm, "remove-fd", {"fdset-id": _FD_SET})


async def _hand_over(vm: QMPClient, descriptor: int, command: str, arguments: Mapping[str, Any]) -> None:
    from qemu.qmp import QMPError

    try:
        vm.send_fd_scm(descriptor)
    except (QMPError, OSError) as error:
        raise InputError(
            "the file cannot be handed to QEMU", expected="a UNIX socket", found=_reason(error)
        ) from None
    await _ask(vm, command, arguments)


async def _migrated(vm: QMPClient, progress: Progress | None, pump: asyncio.Future[None] | None) -> None:
    """Wait until the migration is over. Raises InputError where it failed, and what the pump raised."""
    asked = "query-migrate"
    while True:
        state = await _ask(vm, asked)
        status = optional(asked, state, "status", str)
        ram = optional(asked, state, "ram", dict)
        if progress is not None and ram:
            total = member(asked, ram, "total", int)
            progress(total - member(asked, ram, "remaining", int), total)
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            if pump is not None and pump.done():
                await pump  # A full disk says more than QEMU's broken pipe.
            reason = optional(asked, state, "error-desc", str)
            raise InputError("QEMU could not migrate", found=shortened(reason or status))
        if pump is not None and pump.done() and pump.exception() is not None:
            await pump
        await asyncio.sleep(POLL)


async def _cancel(vm: QMPClient) -> None:
    """End a migration that is under way, and wait until it has ended."""
    with suppress(InputError):
        await _ask(vm, "migrate_cancel")
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if await _migration_status(vm) not in _UNDER_WAY:
                return
            await asyncio.sleep(POLL)


async def _put_back(vm: QMPClient, address: Any, before: _Before) -> None:
    """Leave the VM as it was; over a new connection where the first is lost."""
    try:
        await _restore(vm, before)
    except InputError as error:
        if isinstance(address, socket.socket):
            raise
        if _is_gone(address):
            raise InputError("QEMU has ended: nothing is captured", path=address, found=error.what) from None
        with suppress(InputError):
            async with _connected(address) as again:
                await _restore(again, before)
                return
        state = "stopped" if before.running else "with its migration settings changed"
        raise InputError(f"the VM may be left {state}", found=error.explanation) from None


def _is_gone(address: str) -> bool:
    """Whether nobody listens at a socket any more."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


async def _restore(vm: QMPClient, before: _Before) -> None:
    if await _migration_status(vm) in _UNDER_WAY:
        await _cancel(vm)
    if before.running and not member("query-status", await _ask(vm, "query-status"), "running", bool):
        await _ask(vm, "cont")
    if before.capabilities:
        await _ask(vm, "migrate-set-capabilities", {"capabilities": before.capabilities})
    if before.bandwidth is not None:
        await _ask(vm, "migrate-set-parameters", {"max-bandwidth": before.bandwidth})
