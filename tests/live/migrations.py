"""Migrations over connections and in steps: what `rare.py` needs to watch or to steer one."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .guest import Guest, GuestError

PAGE = 4096


def capabilities(guest: Guest, *names: str) -> None:
    """Turn migration capabilities on."""
    states = [{"capability": name, "state": True} for name in names]
    guest.qmp.execute("migrate-set-capabilities", capabilities=states)


def multifd(binary: str, arguments: Sequence[str]) -> list[bytes]:
    """What went over each connection, the main channel first."""
    with Guest(arguments, binary=binary, memory=4) as guest, temporary() as folder:
        capabilities(guest, "multifd")
        guest.qtest.write(0x10000, bytes(range(256)) * 16)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(folder / "in"))
        server.listen(4)
        received: list[bytearray] = []
        readers: list[threading.Thread] = []

        def accept() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                received.append(bytearray())
                readers.append(start(pump, connection, received[-1]))

        acceptor = start(accept)
        migrate(guest, f"unix:{folder / 'in'}")
        acceptor.join(10)
        for reader in readers:
            reader.join(10)
        return [bytes(data) for data in received]


def postcopy(binary: str, arguments: Sequence[str]) -> bytes:
    """What the source wrote: a relay stands between it and a second QEMU that loads it."""
    written = bytearray()
    with (
        Guest(arguments, binary=binary, memory=4) as source,
        Guest(arguments, binary=binary, memory=4, incoming=True) as target,
        temporary() as folder,
    ):
        for guest in (source, target):
            capabilities(guest, "postcopy-ram")
        target.qmp.execute("migrate-incoming", uri=f"unix:{folder / 'in'}")
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(folder / "out"))
        server.listen(1)

        def relay() -> None:
            there, _ = server.accept()
            here = socket.socket(socket.AF_UNIX)
            here.connect(str(folder / "in"))
            start(pump, here, None, there)
            pump(there, written, here)

        relayed = start(relay)
        for address in range(0x100000, 0x200000, 0x10000):
            source.qtest.write(address, bytes([address >> 16]) * 0x10000)
        source.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 19)
        source.qmp.execute("cont")
        source.qmp.execute("migrate", uri=f"unix:{folder / 'out'}")
        wait(source, lambda status: status.get("ram", {}).get("normal", 0) > 16)
        source.qmp.execute("migrate-start-postcopy")
        finish(source)
        relayed.join(10)
    return bytes(written)


def xbzrle(binary: str, arguments: Sequence[str]) -> bytes:
    """Pages that are written to while they are being sent go as differences."""
    with Guest(arguments, binary=binary, memory=4) as guest, temporary() as folder:
        capabilities(guest, "xbzrle")
        guest.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 18, downtime_limit=1)
        touch(guest, 0)
        guest.qmp.execute("migrate", uri=f"exec:cat > {folder / 'saved'}")
        step = 0

        def dirty(status: dict[str, Any]) -> bool:
            nonlocal step
            step += 1
            touch(guest, step)
            return int(status.get("xbzrle-cache", {}).get("pages", 0)) > 8

        wait(guest, dirty)
        finish(guest)
        return (folder / "saved").read_bytes()


def touch(guest: Guest, step: int) -> None:
    """Write a byte into each of eight pages that are not zero."""
    for page in range(8):
        guest.qtest.write(0x100000 + page * PAGE + 8 * (step % 500), bytes([page + 1, step & 0xFF]))


def migrate(guest: Guest, uri: str) -> None:
    """Migrate to `uri`, to the end."""
    guest.qmp.execute("migrate", uri=uri)
    wait(guest, lambda status: False)


def finish(guest: Guest) -> None:
    """Let a slow migration go on at full speed, to the end."""
    guest.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 30, downtime_limit=300)
    wait(guest, lambda status: False)


def wait(guest: Guest, enough: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until a migration is over, or `enough` says of its status that it need not be."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = guest.qmp.execute("query-migrate")
        if status.get("status") in ("failed", "cancelled"):
            raise GuestError(f"migrate: {status.get('error-desc', status['status'])}")
        if status.get("status") == "completed" or enough(status):
            return
        time.sleep(0.01)
    raise GuestError("the migration took too long")


def start(function: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def pump(connection: socket.socket, kept: bytearray | None, onward: socket.socket | None = None) -> None:
    """Read a connection to its end; keep the bytes, and hand them on."""
    try:
        while data := connection.recv(1 << 16):
            if kept is not None:
                kept += data
            if onward is not None:
                onward.sendall(data)
        if onward is not None:
            onward.shutdown(socket.SHUT_WR)
    except OSError:
        return  # The other side has gone: what was sent until then is kept.


@contextmanager
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="msixtool-") as folder:
        yield Path(folder)
