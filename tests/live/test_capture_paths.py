"""A QEMU that can be handed no file, as over a socket that somebody forwards, writes one itself."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msixtool.tasks.capture import written_file
from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.test_capture import Vm, vm

pytest.importorskip("qemu.qmp")

Tool = Callable[..., Result]


@contextmanager
def forwarded(to: Path) -> Iterator[Path]:
    """A socket that forwards bytes to another one, and drops what is handed over it, as ssh and socat do."""
    with tempfile.TemporaryDirectory(prefix="msixtool-") as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/qmp")
        server.listen()
        threading.Thread(target=_serve, args=(server, to), daemon=True).start()
        yield Path(folder, "qmp")
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, to: Path) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        target = socket.socket(socket.AF_UNIX)
        target.connect(str(to))
        for ends in ((client, target), (target, client)):
            threading.Thread(target=_pump, args=ends, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(1 << 16):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def leftovers(machine: Vm) -> list[str]:
    """What a capture has left in the folders that QEMU may have written to."""
    folders = (machine.socket.parent, *written_file.FOLDERS)
    return [name for each in folders for name in os.listdir(each) if len(name) == len("msixtool-") + 32]


def test_a_file_of_its_own_is_as_good(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    with vm(qemu) as machine:
        with forwarded(machine.socket) as socket_path:
            by_path = msixtool("capture", socket_path, "--devices", "-o", tmp_path / "path", "--json")
            watched = msixtool("trace", "--qmp", socket_path, "--json")
        handed = msixtool("capture", machine.socket, "--devices", "-o", tmp_path / "handed")
        assert machine.running
        assert leftovers(machine) == []
    assert (by_path.status, watched.status, handed.status) == (0, 0, 0)
    assert 0 < by_path.json["paused_ms"] < 100
    shown = [msixtool("show", tmp_path / name, "--json").json["devices"] for name in ("path", "handed")]
    assert shown[0] == shown[1]
    assert (tmp_path / "path").stat().st_mode & 0o777 == 0o600


def test_a_paused_vm_stays_so_and_can_still_be_migrated(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    with vm(qemu, "-S", *disk(tmp_path)) as machine:
        with forwarded(machine.socket) as socket_path:
            assert msixtool("show", "--qmp", socket_path).status == 0
        assert msixtool("show", "--qmp", machine.socket).status == 0
        assert msixtool("trace", "--qmp", machine.socket).status == 0
        assert machine.ask("query-status")["status"] in ("prelaunch", "paused")
        assert msixtool("capture", machine.socket, "-o", tmp_path / "whole").status == 0
        machine.ask("cont")
        assert machine.running


def disk(folder: Path) -> list[str]:
    """A disk whose image QEMU would let go of where a capture made it."""
    image = folder / "image"
    image.write_bytes(bytes(1 << 20))
    return ["-drive", f"if=none,id=disk,format=raw,file={image}", "-device", "virtio-blk-pci,drive=disk"]
