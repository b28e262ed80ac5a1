"""trace on living Linux guests, on one that hangs for want of an interrupt, and the cure."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from msixtool import Dump, forge
from msixtool.devices.device import MsixDevice
from msixtool.spec.values import Spec
from msixtool.tasks.trace import Interrupt, Trace, trace
from msixtool.tasks.trace.interrupt import InterruptPlace

from .linux import Linux, disk, missing, net

A_SECOND = 1.3
"""Of waiting, for a second of guest time to pass."""


@pytest.fixture(scope="module")
def linux(qemu: str) -> str:
    """The QEMU to boot a Linux on; skipped where there is no kernel for it."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    return qemu


def traced(stream: bytes, later: bytes | None = None) -> Trace:
    with Dump.open(io.BytesIO(stream)) as dump:
        if later is None:
            return trace(dump)
        with Dump.open(io.BytesIO(later)) as second:
            return trace(dump, later=second)


def rows(found: Trace) -> Iterator[tuple[MsixDevice, Interrupt]]:
    return ((each.device, row) for each in found.devices for row in each.interrupts)


@pytest.mark.parametrize("options", ["", ",packed=on", ",event_idx=off"], ids=["split", "packed", "no event"])
def test_nothing_is_lost_in_a_living_guest(linux: str, options: str) -> None:
    with Linux(linux, devices=[*disk(options), *net(options)]) as guest:
        assert guest.goes_on(3), guest.console()
        streams = []
        for _ in range(4):
            streams.append(guest.capture())
            assert guest.goes_on(2)
        time.sleep(A_SECOND)
        streams.append(guest.capture())
    for stream in streams:
        found = traced(stream)
        assert (found.lost, found.missing, found.damage) == ([], (), ())
        assert sum(row.ring is not None and row.vector is not None for _, row in rows(found)) == 4
    assert traced(streams[0], later=streams[-1]).lost == []


def on_its_way(guest: Linux) -> tuple[bytes, MsixDevice, Interrupt]:
    """A stream in which an interrupt that the disk owes is at its CPU and not taken yet."""
    for _ in range(100):
        stream = guest.capture()
        for device, row in rows(traced(stream)):
            if device.kind == "virtio-blk" and row.owed and row.where is InterruptPlace.REQUESTED:
                return stream, device, row
    pytest.skip("in 100 captures no interrupt of the disk was on its way")


def without(stream: bytes, row: Interrupt) -> bytes:
    """The stream with the request bit of the interrupt clear: it is lost."""
    with Dump.open(io.BytesIO(stream)) as dump:
        cpu = next(cpu for cpu in trace(dump).cpus if cpu.apic is not None and cpu.apic.id == row.at[0])
    assert cpu.apic is not None
    assert row.route.cpu_vector is not None
    vector = row.route.cpu_vector
    left = sum(1 << v % 32 for v in cpu.apic.requested if v // 32 == vector // 32 and v != vector)
    return forged(stream, Spec(fields={f"apic@{cpu.apic.id}/irr[{vector // 32}]": left}))


def forged(stream: bytes, spec: Spec) -> bytes:
    with TemporaryDirectory() as folder:
        base, out = Path(folder, "base"), Path(folder, "out")
        base.write_bytes(stream)
        forge(base, spec, out)
        return out.read_bytes()


def test_a_guest_that_waits_for_ever_is_told_and_raise_brings_it_back(linux: str) -> None:
    with Linux(linux) as guest:
        assert guest.goes_on(3), guest.console()
        stream, device, row = on_its_way(guest)
    with Linux(linux, incoming=without(stream, row)) as hung:
        hung.cont()
        time.sleep(A_SECOND)
        before = hung.reads()
        first = hung.capture()
        time.sleep(A_SECOND)
        second = hung.capture()
        assert hung.reads() == before
    found = traced(first, later=second)
    assert [(d.name, r.queue, r.verdict) for d, r in found.lost] == [(device.name, row.queue, "lost")]
    assert row.vector is not None
    cured = forged(second, Spec(raised=((device.name, row.vector),)))
    with Linux(linux, incoming=cured) as guest:
        guest.cont()
        assert guest.goes_on(3, seconds=60)


def test_the_hung_guest_stays_hung_without_the_cure(linux: str) -> None:
    with Linux(linux) as guest:
        assert guest.goes_on(3), guest.console()
        stream, _, row = on_its_way(guest)
    with Linux(linux, incoming=without(stream, row)) as hung:
        hung.cont()
        time.sleep(A_SECOND)
        stream = hung.capture()
    with Linux(linux, incoming=stream) as hung:
        hung.cont()
        assert not hung.goes_on(1, seconds=8)
