"""`msixtool capture` against a real QEMU: the stream is whole, and the VM is left as it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.formats import qevm
from msixtool.output.files import create
from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.guest import BIOS, Guest
from tests.live.wire import Qmp

pytest.importorskip("qemu.qmp")

Tool = Callable[..., Result]
A_WHILE = 120.0
"""Seconds that what surely happens may take on a busy machine."""
DEVICES = ("-device", "e1000e,romfile=", "-device", "virtio-net-pci,romfile=")


class Vm:
    """A QEMU with two monitors: one for msixtool, one to see how the VM is."""

    def __init__(self, folder: Path, monitor: Qmp) -> None:
        self.socket = folder / "qmp"
        self._monitor = monitor

    def ask(self, command: str, **arguments: Any) -> Any:
        return self._monitor.execute(command, **arguments)

    @property
    def running(self) -> bool:
        return bool(self.ask("query-status")["running"])

    @property
    def bandwidth(self) -> int:
        return int(self.ask("query-migrate-parameters")["max-bandwidth"])

    def capabilities(self) -> dict[str, bool]:
        return {c["capability"]: c["state"] for c in self.ask("query-migrate-capabilities")}


def _connected(path: Path) -> socket.socket:
    """The monitor at `path`, as soon as QEMU listens on it."""
    deadline = time.monotonic() + A_WHILE
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except OSError:
            client.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return client


@contextmanager
def vm(qemu: str, *arguments: str) -> Iterator[Vm]:
    with tempfile.TemporaryDirectory(prefix="msixtool-") as name:
        folder = Path(name)
        (folder / "bios").write_bytes(BIOS)
        command = [
            *(qemu, "-accel", "tcg", "-M", "q35", "-m", "16", "-nodefaults", "-display", "none"),
            *("-bios", str(folder / "bios"), *DEVICES, *arguments),
            *("-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"),
            *("-qmp", f"unix:{folder / 'watch'},server=on,wait=off"),
        ]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            yield Vm(folder, Qmp(_connected(folder / "watch"), timeout=A_WHILE))
        finally:
            process.kill()
            process.wait()


def test_a_running_vm_is_captured_and_runs_on(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "vm.mig"
    with vm(qemu) as machine:
        before = machine.bandwidth, machine.capabilities()
        result = msixtool("capture", machine.socket, "-o", out, "--json")
        assert machine.running
        assert (machine.bandwidth, machine.capabilities()) == before
    document = result.json
    assert result.status == 0
    assert document["schema"] == "msixtool.capture/1"
    assert document["size"] == out.stat().st_size
    assert document["machine"].startswith("pc-q35-")
    with Dump.open(out) as dump:
        assert dump.damage == []
        assert dump.index.machine == document["machine"]
        assert [device.kind for device in dump.devices] == ["e1000e", "virtio-net"]


def test_a_paused_vm_is_captured_and_stays_paused(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    with vm(qemu, "-S") as machine:
        assert msixtool("capture", machine.socket, "-o", tmp_path / "vm.mig").status == 0
        assert not machine.running
        again = msixtool("capture", machine.socket, "-o", tmp_path / "again.mig")
        assert again.status in (0, 2)
        assert not machine.running
        machine.ask("cont")
        assert machine.running


def test_capabilities_in_the_way_are_off_for_the_capture_alone(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    with vm(qemu) as machine:
        for name in ("return-path", "multifd"):
            machine.ask("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}])
        assert msixtool("capture", machine.socket, "-o", tmp_path / "vm.mig").status == 0
        assert machine.capabilities()["return-path"]
        assert machine.capabilities()["multifd"]
        assert machine.running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_capture_that_is_interrupted_in_the_middle_leaves_the_vm_running(
    qemu: str, tmp_path: Path, number: signal.Signals
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    memory = tmp_path / "memory"
    memory.write_bytes(b"not zero" * (2 << 20))
    ram = f"memory-backend-file,id=ram,size=16M,share=on,mem-path={memory}"
    with vm(qemu, "-object", ram, "-machine", "memory-backend=ram") as machine:
        # Nobody takes what is written: the migration stands still in the middle of RAM.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        command = [sys.executable, "-m", "msixtool", "capture", str(machine.socket), "-o", str(pipe)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + A_WHILE
        while machine.ask("query-migrate").get("status") not in ("active", "device"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=A_WHILE)
        os.close(reader)
        assert process.returncode != 0
        assert "Traceback" not in stderr
        assert machine.running
        assert machine.ask("query-migrate")["status"] in ("cancelled", "failed")


def test_a_full_disk_leaves_the_vm_running_and_no_file(qemu: str, msixtool: Tool) -> None:  # noqa: F811
    with vm(qemu) as machine:
        result = msixtool("capture", machine.socket, "-o", "/dev/full")
        assert machine.running
    assert result.status == 2
    assert "No space left" in result.error_line


def test_a_reader_that_stops_reading_amid_device_state_does_not_keep_the_vm(
    qemu: str, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with vm(qemu) as machine:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        command = [sys.executable, "-m", "msixtool", "capture", str(machine.socket), "-o", str(pipe)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        process.wait(A_WHILE)
        os.close(reader)
        assert machine.running


def test_mapped_ram_where_qemu_has_it(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "vm.mig"
    with vm(qemu) as machine:
        known = "mapped-ram" in machine.capabilities()
        result = msixtool("capture", machine.socket, "-o", out, "--mapped-ram")
        assert machine.running
    if not known:
        assert result.status == 2
        assert "mapped-ram" in result.error_line
        assert not out.exists()
        return
    with Dump.open(out) as dump:
        assert dump.layers == [{"kind": "mapped-ram"}]
        assert dump.damage == []


def test_show_takes_a_vm_in_one_step(qemu: str, msixtool: Tool) -> None:  # noqa: F811
    with vm(qemu) as machine:
        result = msixtool("show", "--qmp", machine.socket, "--json")
        assert machine.running
    assert result.status == 0
    assert [device["kind"] for device in result.json["devices"]] == ["e1000e", "virtio-net"]


def test_run_starts_captures_and_ends_a_qemu(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "fresh.mig"
    command = [qemu, "-M", "q35", "-nodefaults", "-display", "none", "-m", "16", *DEVICES]
    result = msixtool("capture", "-o", out, "--run", "--", *command)
    assert result.status == 0
    assert result.out.endswith("; the VM was started for it and is ended\n")
    with Dump.open(out) as dump:
        assert dump.damage == []
        assert len(dump.devices) == 2


def test_a_qemu_that_does_not_start_is_one_line_with_its_words(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    result = msixtool("capture", "-o", tmp_path / "out", "--run", "--", qemu, "-M", "nothing-such")
    assert result.status == 2
    assert "nothing-such" in result.error_line or "unsupported machine" in result.error_line
    assert not (tmp_path / "out").exists()


def test_a_qemu_that_refuses_a_device_is_one_line_with_its_words(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    command = [qemu, "-M", "q35", "-display", "none", "-device", "nothing-such"]
    result = msixtool("capture", "-o", tmp_path / "out", "--run", "--", *command)
    assert result.status == 2
    assert "nothing-such" in result.error_line
    assert not (tmp_path / "out").exists()


def test_a_socket_that_nobody_listens_on_is_one_line(msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    result = msixtool("capture", tmp_path / "nothing", "-o", tmp_path / "out")
    assert result.status == 2
    assert "QMP" in result.error_line


def test_the_document_is_valid_json_on_one_input(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "fresh.mig"
    command = [qemu, "-M", "none", "-nodefaults", "-display", "none"]
    document = json.loads(msixtool("capture", "-o", out, "--json", "--run", "--", *command).out)
    assert document["machine"] == "none"


def test_devices_alone_leave_ram_out_and_the_vm_running(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    out, whole = tmp_path / "devices.mig", tmp_path / "whole.mig"
    with vm(qemu) as machine:
        before = machine.bandwidth, machine.capabilities(), machine.ask("query-fdsets")
        document = msixtool("capture", machine.socket, "--devices", "-o", out, "--json").json
        assert machine.running
        assert (machine.bandwidth, machine.capabilities(), machine.ask("query-fdsets")) == before
        assert machine.ask("query-migrate") == {}
        msixtool("capture", machine.socket, "-o", whole)
    assert document["devices_only"] is True
    assert 0 < document["paused_ms"] < 100
    assert out.stat().st_mode & 0o777 == 0o600
    with Dump.open(out) as dump, Dump.open(whole) as other:
        assert dump.damage == []
        assert dump.index.machine == document["machine"]
        assert dump.writer.min == dump.writer.max
        assert document["qemu"].startswith("{}.{}.".format(*dump.writer.min or ()))
        assert [d.name for d in dump.devices] == [d.name for d in other.devices]
        assert [d.capability for d in dump.devices] == [d.capability for d in other.devices]
        names = [item.idstr for item in other.index.full_sections()]
        assert [item.idstr for item in dump.index.full_sections()] == names


def test_a_paused_vm_gives_its_devices_twice_and_can_still_be_migrated(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    with vm(qemu, "-S") as machine:
        status = machine.ask("query-status")
        for name in ("once", "twice"):
            result = msixtool("capture", machine.socket, "--devices", "-o", tmp_path / name, "--json")
            assert result.json["paused_ms"] == 0
            assert machine.ask("query-status") == status
        assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()
        assert msixtool("capture", machine.socket, "-o", tmp_path / "whole").status == 0


def test_qemu_takes_the_configuration_section_of_devices_alone(qemu: str, tmp_path: Path) -> None:
    arguments = ["-M", "q35", "-device", "e1000e,romfile="]
    with Guest(arguments) as guest, create(str(tmp_path / "devices")) as out:
        # The guest's monitor is taken, so the save is asked for over it, as a capture asks.
        path = tmp_path / "plain"
        guest.qmp.execute("xen-save-devices-state", filename=str(path), live=False)
        machine = guest.qmp.execute("qom-get", path="/machine", property="type").removesuffix("-machine")
        plain = path.read_bytes()
        configured = {"machine": qevm.with_note(machine, "7.2.22"), "subsections": []}
        out.write(plain[: qevm.HEADER_SIZE] + qevm.CONFIGURATION.build(configured))
        out.write(plain[qevm.HEADER_SIZE :])
    with Guest(arguments, incoming=True) as guest:
        assert guest.load((tmp_path / "devices").read_bytes()).ok
    with Guest(arguments, incoming=True) as guest:
        assert not guest.load(plain).ok


def test_a_vm_that_waits_for_a_migration_is_left_waiting(qemu: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    with vm(qemu, "-incoming", "defer") as machine:
        status = machine.ask("query-status")
        result = msixtool("capture", machine.socket, "--devices", "-o", tmp_path / "out")
        assert (result.status, list(tmp_path.iterdir())) == (2, [])
        assert "not ready" in result.error_line
        assert machine.ask("query-status") == status
