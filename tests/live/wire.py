"""The two wires to a QEMU: QMP (JSON lines) and the qtest protocol (text lines).

Sources: QEMU docs/interop/qmp-spec and system/qtest.c. QEMU connects to sockets that wait for it
here, so that a QEMU that does not come up is noticed and nothing has to be tried again.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


class GuestError(Exception):
    """QEMU did not do what was asked: it refused, went away, or took too long."""


class Lines:
    """A stream socket read and written by lines; every read ends after `timeout` seconds."""

    def __init__(self, connection: socket.socket, *, what: str, timeout: float) -> None:
        connection.settimeout(timeout)
        self._connection = connection
        self._what = what
        self._buffer = bytearray()

    def send(self, text: str) -> None:
        """Write `text`, which holds its own line ends. Raises GuestError where QEMU is gone."""
        try:
            self._connection.sendall(text.encode())
        except OSError as error:
            raise GuestError(f"{self._what}: cannot write: {error}") from None

    def receive(self) -> str:
        """The next line without its end. Raises GuestError where none comes."""
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                more = self._connection.recv(1 << 16)
            except OSError as error:
                raise GuestError(f"{self._what}: no answer: {error}") from None
            if not more:
                raise GuestError(f"{self._what}: QEMU closed the connection")
            self._buffer += more
        line = self._buffer[:end].decode()
        del self._buffer[: end + 1]
        return line

    def close(self) -> None:
        self._connection.close()


class Qmp:
    """A QMP session: commands are answered in order, events are kept in `events`."""

    def __init__(self, connection: socket.socket, *, timeout: float = 120.0) -> None:
        self._lines = Lines(connection, what="QMP", timeout=timeout)
        self.events: list[dict[str, Any]] = []
        self.greeting: dict[str, Any] = json.loads(self._lines.receive())["QMP"]
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """The command's return value; an underscore in an argument's name stands for a hyphen.

        Raises GuestError with QEMU's words where it refuses.
        """
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._lines.send(json.dumps(message) + "\n")
        while True:
            answer = json.loads(self._lines.receive())
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise GuestError(f"{command}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_event(self, name: str) -> dict[str, Any]:
        """Take the first event called `name`, now or when it comes, out of the list of events."""
        while True:
            for position, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(position)
            answer = json.loads(self._lines.receive())
            if "event" in answer:
                self.events.append(answer)

    def close(self) -> None:
        self._lines.close()


class Qtest:
    """The guest's side of the machine: I/O ports and physical memory, as its CPU would reach them."""

    def __init__(self, connection: socket.socket, *, timeout: float = 120.0) -> None:
        self._lines = Lines(connection, what="qtest", timeout=timeout)

    def command(self, text: str) -> str:
        """Send one command; what follows the OK of its answer. Raises GuestError on anything else."""
        self._lines.send(text + "\n")
        while (answer := self._lines.receive()).startswith("IRQ "):
            pass
        status, _, rest = answer.partition(" ")
        if status != "OK":
            raise GuestError(f"qtest: {text[:80]!r} was answered {answer[:200]!r}")
        return rest

    def port_in(self, port: int, size: int) -> int:
        """Read `size` (1, 2 or 4) bytes from an I/O port."""
        return int(self.command(f"in{_SUFFIX[size]} {port:#x}"), 16)

    def port_out(self, port: int, value: int, size: int) -> None:
        """Write `size` (1, 2 or 4) bytes to an I/O port."""
        self.command(f"out{_SUFFIX[size]} {port:#x} {value:#x}")

    def load(self, address: int, size: int) -> int:
        """One memory access of `size` (1, 2, 4 or 8) bytes, little-endian."""
        return int(self.command(f"read{_WIDE_SUFFIX[size]} {address:#x}"), 16)

    def store(self, address: int, value: int, size: int) -> None:
        """One memory access of `size` (1, 2, 4 or 8) bytes, little-endian."""
        self.command(f"write{_WIDE_SUFFIX[size]} {address:#x} {value:#x}")

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of physical memory; QEMU splits what crosses a register."""
        return bytes.fromhex(self.command(f"read {address:#x} {size:#x}")[2:])

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to physical memory; QEMU splits what crosses a register."""
        self.command(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def close(self) -> None:
        self._lines.close()


_SUFFIX = {1: "b", 2: "w", 4: "l"}
_WIDE_SUFFIX = {**_SUFFIX, 8: "q"}


def listen(path: Path) -> socket.socket:
    """A unix socket that waits at `path` for one connection."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(1)
    return server
