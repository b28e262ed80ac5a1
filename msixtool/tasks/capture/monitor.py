"""The monitor of a VM: commands, descriptors that it is handed, and how long the guest stood.

Source: QEMU docs/interop/qmp-spec, qapi/run-state.json (the events STOP and RESUME).
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from msixtool.errors import InputError
from msixtool.tasks.capture.denial import Process, peer_of
from msixtool.tasks.qmp_answers import short_answer

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

TIMEOUT = 10.0
"""Seconds to wait for a greeting or the answer to a command."""

_LOST = (OSError, EOFError, ValueError, RecursionError)
"""What qemu.qmp lets through besides its own errors: a connection that ends, JSON beyond its parser."""


QmpCommand = tuple[str, Mapping[str, Any]]
"""The name of a QMP command, and its arguments."""


class RefusedError(InputError):
    """QEMU answered a command with an error: it did not do it."""


class LostError(InputError):
    """The connection to the monitor ended, or there was none."""


class Pauses:
    """How long the guest stood, by the times that QEMU itself gives to its events."""

    def __init__(self) -> None:
        self.milliseconds: float | None = None
        self._stopped: float | None = None

    def forget(self) -> None:
        """Begin again: what counts is the pause that is to come."""
        self.milliseconds = None

    def note(self, event: Mapping[str, Any]) -> bool:
        """Take in an event of the monitor. False: of any flood of them two numbers are all that is kept."""
        name, stamp = event.get("event"), event.get("timestamp")
        if name in ("STOP", "RESUME") and isinstance(stamp, Mapping):
            seconds, micro = stamp.get("seconds"), stamp.get("microseconds")
            if isinstance(seconds, int) and isinstance(micro, int):
                self.moved(name == "RESUME", seconds, micro)
        return False

    def moved(self, runs: bool, seconds: int, micro: int) -> None:
        """The guest stopped, or runs again, at this time."""
        now = seconds * 1_000_000 + micro
        if not runs:
            self._stopped = now
        elif self._stopped is not None:
            self.milliseconds = round((self.milliseconds or 0.0) + (now - self._stopped) / 1000, 3)
            self._stopped = None


async def _settled() -> None:
    """Events of a socket come in their place: there is nothing to wait for."""


class Monitor(ABC):
    """A way to a VM's QMP. `settle` waits until `pauses` knows of all that happened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer: Process | None = None
        """QEMU itself, where it is known."""
        self.pauses = Pauses()
        self.settle: Callable[[], Awaitable[None]] = _settled

    @abstractmethod
    async def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Run one command. Raises InputError with QEMU's own words where it refuses, or does not answer."""

    @abstractmethod
    async def ask_all(self, commands: Sequence[QmpCommand]) -> list[Any]:
        """Run commands one after another, without waiting here in between: answers, or what was refused.

        Raises InputError where one is not answered.
        """

    @abstractmethod
    async def hand_over(self, descriptor: int, command: str, arguments: Mapping[str, Any]) -> Any:
        """Run a command that takes a descriptor (`getfd`, `add-fd`). Raises InputError as `ask`."""


class SocketMonitor(Monitor):
    """A QMP connection of its own. Made by `at_socket`."""

    def __init__(self, client: QMPClient, name: str) -> None:
        super().__init__(name)
        self._client = client

    async def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Run one command. Raises InputError with QEMU's own words where it refuses, or does not answer."""
        from qemu.qmp import ExecuteError, QMPError

        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._client.execute(command, dict(arguments or {}))
        except TimeoutError:  # An OSError, too: so it comes first.
            raise InputError(f"QEMU does not answer {command} within {TIMEOUT:g} seconds") from None
        except ExecuteError as error:
            raise RefusedError(f"QEMU refuses {command}", found=short_answer(str(error))) from None
        except (QMPError, *_LOST) as error:
            raise LostError(f"the monitor was lost at {command}", found=_reason(error)) from None

    async def ask_all(self, commands: Sequence[QmpCommand]) -> list[Any]:
        """Run commands one after another: QEMU finds the next one there when it has done with one."""
        asked = (self.ask(name, arguments) for name, arguments in commands)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RefusedError):
                raise answer
        return answers

    async def hand_over(self, descriptor: int, command: str, arguments: Mapping[str, Any]) -> Any:
        """Run a command that takes a descriptor (`getfd`, `add-fd`). Raises InputError as `ask`."""
        from qemu.qmp import QMPError

        try:
            self._client.send_fd_scm(descriptor)
        except (QMPError, OSError) as error:
            raise LostError(
                "the file cannot be handed to QEMU", expected="a UNIX socket", found=_reason(error)
            ) from None
        return await self.ask(command, arguments)


@asynccontextmanager
async def at_socket(address: str | socket.socket) -> AsyncIterator[Monitor]:
    """The monitor at a UNIX socket. Raises InputError where none answers, or it is no monitor of QEMU."""
    from qemu.qmp import QMPClient, QMPError

    client = QMPClient("msixtool")
    name = address if isinstance(address, str) else "the QMP socket"
    monitor = SocketMonitor(client, name)
    # The library keeps every event for whoever asks later, without bound: only these two are looked at.
    client.events.event_filter = monitor.pauses.note
    try:
        connection = await _connection(address)
        monitor.peer = peer_of(connection)
        async with asyncio.timeout(TIMEOUT):
            await client.connect(connection)
    except TimeoutError:
        raise InputError(
            f"no QMP greeting within {TIMEOUT:g} seconds",
            path=name,
            expected="a monitor that no other client (libvirt?) holds",
        ) from None
    except (QMPError, *_LOST) as error:
        raise LostError("no QMP monitor answers", path=name, found=_reason(error)) from None
    try:
        yield monitor
    finally:
        with suppress(QMPError, *_LOST, TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                await client.disconnect()


async def _connection(address: str | socket.socket) -> socket.socket:
    """A connected socket. Raises OSError where none can be had."""
    if not isinstance(address, str):
        return address
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(TIMEOUT):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: BaseException) -> str:
    from qemu.qmp import StateError

    if isinstance(error, StateError):
        return "QEMU has closed it"
    cause = error.__cause__ or error
    if isinstance(cause, EOFError):  # one of asyncio's too, which says in its own words how much it has read
        return "the connection has ended"
    if isinstance(cause.__context__, asyncio.LimitOverrunError):
        return "a line longer than any of QMP's"
    # Of an answer to its handshake that is an error the library keeps nothing but a colon.
    told = getattr(cause, "strerror", None) or str(cause).rstrip(": ")
    return short_answer(told or type(cause).__name__)


def is_gone(address: str) -> bool:
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
