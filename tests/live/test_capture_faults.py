"""A capture that goes wrong in the middle: no output, one line, and a VM that runs on if it can."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.output.files import OutputFile, create
from msixtool.tasks.capture import capture
from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.test_capture import DEVICES, Vm, vm

Tool = Callable[..., Result]


@pytest.fixture
def ram(tmp_path: Path) -> tuple[str, ...]:
    """Arguments of a QEMU whose RAM is not empty: its stream is 16 MiB long."""
    memory = tmp_path / "memory"
    memory.write_bytes(b"not zero" * (2 << 20))
    backend = f"memory-backend-file,id=ram,size=16M,share=on,mem-path={memory}"
    return "-object", backend, "-machine", "memory-backend=ram"


@pytest.fixture
def amid_writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Makes something happen when some of the stream is written and most of it is not."""

    def arrange(happen: Callable[[], object]) -> None:
        real, pieces = OutputFile.write, iter(range(100_000))

        def write(out: OutputFile, data: bytes) -> None:
            if next(pieces) == 3:
                happen()
            real(out, data)

        monkeypatch.setattr(OutputFile, "write", write)

    return arrange


def process_of(machine: Vm) -> int:
    """The process that listens at a VM's monitor."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(machine.socket.parent / "watch"))
        size = struct.calcsize("iII")
        return int(struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0])


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    run = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True)
    if run.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("mapped_ram", [False, True])
def test_a_disk_that_fills_leaves_the_vm_running_and_no_file(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    ram: tuple[str, ...],
    mapped_ram: bool,
) -> None:
    with vm(qemu, *ram) as machine, small_disk(tmp_path / "small") as small:
        if mapped_ram and "mapped-ram" not in machine.capabilities():
            pytest.skip("this QEMU has no mapped-ram")
        out = small / "out"
        result = msixtool("capture", machine.socket, "-o", out, *["--mapped-ram"] * mapped_ram)
        assert machine.running
        assert list(small.iterdir()) == []
        assert result.status == 2
        assert f"{out}: " in result.error_line
        assert "No space left on device" in result.error_line
        # The VM is none the worse for it.
        assert msixtool("capture", machine.socket, "-o", tmp_path / "out").status == 0
        assert machine.running


def test_a_qemu_that_dies_in_the_middle_leaves_no_file(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    ram: tuple[str, ...],
    amid_writing: Callable[[Callable[[], object]], None],
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with vm(qemu, *ram) as machine:
        pid = process_of(machine)
        amid_writing(lambda: os.kill(pid, signal.SIGKILL))
        result = msixtool("capture", machine.socket, "-o", folder / "out")
    assert (result.status, list(folder.iterdir())) == (2, [])
    assert f"{machine.socket}: QEMU has ended: nothing is captured" in result.error_line


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_the_middle_leaves_the_vm_running_and_no_file(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    ram: tuple[str, ...],
    amid_writing: Callable[[Callable[[], object]], None],
    name: str,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with vm(qemu, *ram) as machine:
        amid_writing(lambda: os.kill(os.getpid(), number))
        result = msixtool("capture", machine.socket, "-o", folder / "out")
        assert machine.running
    assert (result.status, result.error_line) == (128 + number, f"msixtool: ended by {name}")
    assert list(folder.iterdir()) == []
    assert signal.getsignal(number) == before


def test_a_signal_ends_the_qemu_that_was_started_for_a_capture(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    ram: tuple[str, ...],
    amid_writing: Callable[[Callable[[], object]], None],
) -> None:
    pidfile = tmp_path / "pid"
    command = [qemu, "-M", "q35", "-nodefaults", "-display", "none", "-m", "16", *DEVICES, *ram]
    seen: list[int] = []

    def end() -> None:
        seen.append(int(pidfile.read_text()))
        os.kill(os.getpid(), signal.SIGTERM)

    amid_writing(end)
    result = msixtool("capture", "-o", tmp_path / "out", "--run", "--", *command, "-pidfile", pidfile)
    assert (result.status, result.error_line) == (143, "msixtool: ended by SIGTERM")
    assert not (tmp_path / "out").exists()
    assert not Path(f"/proc/{seen[0]}").exists()


def test_a_capture_gives_signals_back_and_leaves_those_alone_that_are_ignored(
    qemu: str,
    tmp_path: Path,
    ram: tuple[str, ...],
    amid_writing: Callable[[Callable[[], object]], None],
) -> None:
    def callers_own(*_: object) -> None:
        pytest.fail("no signal was sent")

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, callers_own)
    amid_writing(lambda: os.kill(os.getpid(), signal.SIGHUP))
    try:
        with vm(qemu, *ram) as machine, create(str(tmp_path / "out")) as out:
            assert capture(str(machine.socket), out).was_running
            assert signal.getsignal(signal.SIGTERM) is callers_own
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])
    with Dump.open(tmp_path / "out") as dump:
        assert dump.damage == []


def test_a_qemu_that_was_started_dies_with_a_msixtool_that_is_killed(qemu: str, tmp_path: Path) -> None:
    pidfile, pipe = tmp_path / "pid", tmp_path / "pipe"
    temporary = tmp_path / ("tmp,with,commas-" + "x" * 100)
    temporary.mkdir()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-m", "msixtool", "capture", "-o", str(pipe), "--run", "--", qemu]
    command += ["-M", "q35", "-nodefaults", "-display", "none", "-pidfile", str(pidfile)]
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)})
    deadline = time.monotonic() + 120
    while not (pidfile.exists() and pidfile.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ended = os.pidfd_open(int(pidfile.read_text()))
    process.kill()
    process.wait()
    assert select.select([ended], [], [], 20)[0]
    os.close(ended)
    os.close(reader)
    assert list(temporary.iterdir()) == []
