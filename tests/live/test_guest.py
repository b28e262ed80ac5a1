"""The harness against a real QEMU: what it writes arrives, what it reads is what QEMU saves."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from .devices import device_kinds, machine
from .e1000e import E1000e
from .guest import Guest, GuestError
from .ivshmem import IvshmemServer
from .pci import Msix
from .virtio import Virtio

ROOT = Path(__file__).parents[2]
MESSAGES = 0x200000
E1000E = ["-machine", "q35", "-device", "e1000e,romfile=,addr=2"]
BEHIND_PORT = [
    *("-machine", "q35", "-device", "pcie-root-port,id=rp,chassis=1,addr=2"),
    *("-device", "virtio-net-pci,id=net,romfile=,bus=rp"),
]


def fill(msix: Msix) -> None:
    """A different message for each vector; every second one is masked, and reserved bits are set."""
    for vector in range(msix.vectors):
        msix.set_entry(vector, MESSAGES + 16 * vector, 0x1100 + vector, 0xABC0 | vector % 2)


def words(guest: Guest, count: int) -> list[int]:
    """The word at each vector's message address."""
    data = guest.qtest.read(MESSAGES, 16 * count)
    return [int.from_bytes(data[16 * vector : 16 * vector + 4], "little") for vector in range(count)]


def test_a_table_written_by_mmio_is_saved_and_loaded(qemu: str) -> None:
    kinds = device_kinds(qemu)
    arguments, at = machine(kinds)
    with Guest(arguments, binary=qemu) as guest:
        guest.place()
        source = guest.msix()
        assert set(source) == set(at)
        for msix in source.values():
            fill(msix)
            msix.enable(function_mask=True)
        states = {path: msix.vmstate() for path, msix in source.items()}
        stream = guest.save()
    for path, kind in at.items():
        start = stream.index(f"{path}/{kind.kind}".encode())
        end = stream.find(b"0000:00:", start + 1)
        assert states[path] in stream[start : end if end > 0 else None], kind.device
    with Guest(arguments, binary=qemu, incoming=True) as guest:
        assert guest.load(stream).ok
        target = guest.msix()
        assert {path: msix.vmstate() for path, msix in target.items()} == states
        assert all(msix.control == 0xC000 | msix.vectors - 1 for msix in target.values())


def test_kinds_whose_number_of_vectors_can_be_chosen_get_it(qemu: str) -> None:
    kinds = [kind for kind in device_kinds(qemu) if kind.vectors]
    arguments = ["-machine", "q35"]
    for slot, kind in enumerate(kinds, 2):
        arguments += kind.arguments(kind.device, addr=slot, vectors=slot + 7)
    with Guest(arguments, binary=qemu) as guest:
        guest.place()
        found = [msix.vectors for msix in guest.msix().values()]
    assert found == [slot + 7 for slot, _ in enumerate(kinds, 2)]


def test_entries_read_back_as_written(qemu: str) -> None:
    with Guest(E1000E, binary=qemu) as guest:
        guest.place()
        msix = guest.msix()["0000:00:02.0"]
        assert msix.table() == [(0, 0, 1)] * 5
        msix.set_entry(3, 0xFEE0_1000_0000_2004, 0x4021, 0xFFFFFFFE)
        assert msix.entry(3) == msix.table()[3] == (0xFEE0_1000_0000_2004, 0x4021, 0xFFFFFFFE)
        msix.set_masked(3, True)
        assert msix.entry(3)[2] == 1


def test_a_damaged_stream_fails_with_qemus_words(qemu: str) -> None:
    with Guest(E1000E, binary=qemu) as guest:
        stream = guest.save()
    with Guest(E1000E, binary=qemu, incoming=True) as guest:
        result = guest.load(b"QEVN" + stream[4:])
    assert result.status == "failed"
    assert "Not a migration stream" in result.stderr


def test_arguments_that_qemu_refuses_are_an_error_with_its_words(qemu: str) -> None:
    with pytest.raises(GuestError, match="nosuchdevice"), Guest(["-device", "nosuchdevice"], binary=qemu):
        pass


def test_no_process_is_left_where_a_test_fails(qemu: str) -> None:
    guest = Guest(E1000E, binary=qemu)
    with pytest.raises(RuntimeError), guest:
        raise RuntimeError
    with pytest.raises(ProcessLookupError):
        os.kill(guest.pid, 0)


def test_no_process_is_left_where_the_tests_are_killed(qemu: str, tmp_path: Path) -> None:
    script = "import sys; from tests.live.guest import Guest; g = Guest([], binary=sys.argv[1]).__enter__()"
    script += "; print(g.pid, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, qemu]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment
    ) as tests:
        assert tests.stdout is not None
        guest = os.pidfd_open(int(tests.stdout.readline()))
        tests.kill()
    try:
        assert select.select([guest], [], [], 30)[0] == [guest]
    finally:
        os.close(guest)


def test_an_e1000e_notifies_as_often_as_it_is_told_and_keeps_what_is_masked_pending(qemu: str) -> None:
    with Guest(E1000E, binary=qemu) as guest:
        guest.place()
        msix, device = guest.msix()["0000:00:02.0"], E1000e.find(guest)
        fill(msix)
        msix.enable()
        for _ in range(2):
            guest.qtest.write(MESSAGES, bytes(80))
            device.notify(0, 1, 4)
            assert words(guest, 5) == [0x1100, 0, 0, 0, 0x1104]
            assert msix.pending() == [1]
        msix.set_masked(1, False)
        assert words(guest, 5)[1] == 0x1101
        assert msix.pending() == []


def test_a_reset_behind_a_root_port_resets_msix(qemu: str) -> None:
    with Guest(BEHIND_PORT, binary=qemu) as guest:
        port, net = (function for function in guest.place() if function.path.startswith("0000:00:02.0"))
        msix = net.msix()
        assert msix is not None
        fill(msix)
        msix.enable()
        port.reset_bus()
        assert msix.control == msix.vectors - 1
        guest.place()
        again = guest.msix()[net.path]
        assert again.table() == [(0, 0, 1)] * again.vectors


def test_a_virtio_driver_sets_vectors_and_gets_its_config_interrupt(qemu: str) -> None:
    with Guest(BEHIND_PORT, binary=qemu) as guest:
        net = guest.place()[2]
        msix, driver = net.msix(), Virtio(guest, net)
        assert msix is not None
        fill(msix)
        msix.enable()
        driver.negotiate()
        driver.config_vector = 1
        driver.set_queue_vector(0, 2)
        driver.set_queue_vector(1, None)
        driver.ready()
        assert (driver.config_vector, driver.queue_vector(0), driver.queue_vector(1)) == (1, 2, None)
        guest.qmp.execute("set_link", name="net", up=False)
        assert msix.pending() == [1]
        msix.set_masked(1, False)
        assert words(guest, 3) == [0, 0x1101, 0]


def test_an_ivshmem_client_notifies_the_vectors_that_are_rung(qemu: str) -> None:
    with IvshmemServer(vectors=4) as server:
        arguments, at = machine([server.kind])
        with Guest(arguments, binary=qemu) as guest:
            guest.place()
            (msix,) = (guest.msix()[path] for path in at)
            fill(msix)
            msix.enable()
            for vector in (0, 1, 2):
                server.ring(vector)
            guest.turn()
            assert words(guest, 4) == [0x1100, 0, 0x1102, 0]
            assert msix.pending() == [1]
            stream = guest.save()
        with Guest(arguments, binary=qemu, incoming=True) as guest:
            assert guest.load(stream).ok
            (msix,) = guest.msix().values()
            assert msix.pending() == [1]
