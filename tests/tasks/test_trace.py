"""The rules of trace, one by one: what is owed, where it is, and what is thought of it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from msixtool import Dump
from msixtool.devices.cpus import Apic, Cpu
from msixtool.devices.interrupt_route import Route, RouteKind, Unreachable
from msixtool.devices.rings import QueueReader, Ring
from msixtool.devices.virtio_layout import PackedIndices, RingAddresses as Places
from msixtool.errors import UsageError
from msixtool.formats.qevm import ItemType
from msixtool.qemu.kinds import kind_of
from msixtool.spec.values import DeviceSpec, EntrySpec, Spec
from msixtool.stream.items import Item
from msixtool.tasks.forge import plan
from msixtool.tasks.forge_output import forged_dump, open_base
from msixtool.tasks.trace import Trace, Verdict, trace
from msixtool.tasks.trace.interrupt import Interrupt, InterruptPlace, Use
from msixtool.tasks.trace.verdict import Later, judge
from tests.conftest import REPOSITORY

SIZE = 8
AVAIL, USED = 0x1000, 0x2000
EVENT_IDX, PACKED, PLATFORM = 1 << 29, 1 << 34, 1 << 33


class Memory:
    """Guest memory by address; what nobody wrote is not there."""

    def __init__(self, **at: bytes) -> None:
        self.content = {int(key[1:], 16): value for key, value in at.items()}

    def want(self, address: int, length: int) -> None: ...

    def read(self, address: int, length: int) -> bytes | None:
        return next(
            (d[address - a :][:length] for a, d in self.content.items() if a <= address < a + len(d)), None
        )


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little") for value in values)


def read(memory: Memory, features: int, *, size: int = SIZE, packed: PackedIndices | None = None) -> Ring:
    layout = SimpleNamespace(
        features=features,
        state=SimpleNamespace(queues=[SimpleNamespace(num=size, last_avail_idx=5)]),
        ring=lambda _: Places(0x800, AVAIL, USED),
        packed=lambda _: packed,
    )
    found = QueueReader(layout, memory).read(0)  # type: ignore[arg-type]
    assert found is not None
    return found


def split(available: int, used: int, event: int, *, flags: int = 0, features: int = EVENT_IDX) -> Ring:
    avail = words(flags, available, *([0] * SIZE), event)
    return read(Memory(x1000=avail, x2000=words(0, used)), features)


@pytest.mark.parametrize(
    ("available", "used", "event", "owed"),
    [
        (10, 10, 10, False),
        (10, 10, 9, True),
        (10, 8, 9, False),
        (17, 17, 9, True),
        (17, 18, 9, False),
        (3, 2, 0xFFFF, True),
        (3, 2, 2, False),
        (20, 12, 11, None),
        (4, 4, 0, None),
        (SIZE, SIZE, 0, None),
        (2, 0, 0, False),
        (SIZE + 1, SIZE + 1, 1, True),
    ],
    ids=[
        *("none", "passed", "before", "a round ago", "more than a round", "wraps", "wraps, none"),
        *("polls", "off", "off, full", "unused", "behind zero"),
    ],
)
def test_a_split_queue_owes_where_used_has_passed_the_event(
    available: int, used: int, event: int, owed: bool | None
) -> None:
    ring = split(available, used, event)
    assert (ring.owed, ring.event, ring.suppressed, ring.waiting) == (
        owed,
        event,
        False,
        (available - 5) & 0xFFFF,
    )


def test_without_event_idx_only_a_driver_that_wants_none_tells() -> None:
    asks, wants_none = split(9, 9, 0, features=0), split(9, 9, 0, flags=1, features=0)
    assert (asks.owed, asks.event, asks.suppressed) == (None, None, False)
    assert (wants_none.owed, wants_none.event, wants_none.suppressed) == (False, None, True)


def packed(used: int, wrap: int, off_wrap: int, flags: int = 2, features: int = EVENT_IDX) -> Ring:
    indices = PackedIndices(5, 1, used, wrap, 0)
    return read(Memory(x1000=words(off_wrap, flags)), PACKED | features, packed=indices)


@pytest.mark.parametrize(
    ("used", "wrap", "off_wrap", "owed"),
    [
        (3, 1, 0x8000 | 3, False),
        (4, 1, 0x8000 | 3, True),
        (1, 0, 0x8000 | 7, True),
        (1, 1, 7, True),
        (7, 0, 0x8000 | 7, True),
        (7, 1, 0x8000 | 7, False),
    ],
)
def test_a_packed_queue_owes_over_the_wrap_too(used: int, wrap: int, off_wrap: int, owed: bool) -> None:
    ring = packed(used, wrap, off_wrap)
    assert (ring.owed, ring.event, ring.available, ring.used) == (owed, off_wrap & 0x7FFF, None, used)


def test_a_packed_driver_that_asks_for_all_or_none() -> None:
    always, never = packed(3, 1, 0, flags=0), packed(3, 1, 0, flags=1)
    assert (always.owed, always.event, always.suppressed) == (None, None, False)
    assert (never.owed, never.event, never.suppressed) == (False, None, True)
    assert packed(4, 1, 0x8003, features=0).owed is None


@pytest.mark.parametrize("size", [0, 3, 1 << 16, 0xFFFFFFFF])
def test_a_size_that_makes_no_sense_reads_nothing(size: int) -> None:
    ring = read(Memory(), EVENT_IDX, size=size)
    assert (ring.available, ring.used, ring.event, ring.owed) == (None, None, None, None)


def test_what_is_not_in_the_stream_is_null() -> None:
    ring = read(Memory(x1000=words(0, 7, *([0] * SIZE), 6)), EVENT_IDX)
    assert (ring.available, ring.used, ring.owed) == (7, None, None)


ITEM = Item(ItemType.SECTION_FULL, 0, 0)


def cpus(*halted: bool) -> list[Cpu]:
    return [
        Cpu(n, ITEM, each, True, Apic(ITEM, n, True, False, 1 << n, True, 0, (), ()))
        for n, each in enumerate(halted)
    ]


RING = Ring(False, SIZE, 10, 10, 10, 9, False, True)


def row(**changes: Any) -> Interrupt:
    route = Route(RouteKind.APIC, None, (0,), 0x25)
    made = Interrupt(1, Use.QUEUE, 0, False, False, 0xFEE00000, 0x25, route, RING, True, None)
    return replace(made, **changes)


def device(kind: str = "virtio-blk") -> Any:
    return SimpleNamespace(
        name=f"0000:00:03.0/{kind}", instance=0, kind=kind, has_requests=kind_of(kind).requests
    )


def verdict(
    made: Interrupt, halted: Iterable[bool], *, then: Interrupt | None = None, kind: str = "virtio-blk"
) -> str:
    later = None if then is None else Later.of([device(kind)], [[then]])
    return str(judge(device(kind), [made], cpus(*halted), later)[0].verdict)


NOWHERE = row()
NOTED = row(route=Route(RouteKind.APIC, None, (), 0x25, Unreachable.NO_SUCH_CPU))


@pytest.mark.parametrize(
    ("made", "halted", "expected"),
    [
        (row(owed=False), (True,), "idle"),
        (row(owed=None), (True,), "undecided"),
        (row(where=InterruptPlace.PENDING), (True,), "pending"),
        (row(where=InterruptPlace.REQUESTED, owed=False), (True,), "at-cpu"),
        (row(where=InterruptPlace.IN_SERVICE, owed=None), (False,), "in-service"),
        (NOWHERE, (True, True), "lost"),
        (NOWHERE, (True, False), "suspect"),
        (NOWHERE, (False, True), "unaccounted"),
        (NOTED, (False, False), "lost"),
        (replace(NOTED, owed=False), (True, True), "idle"),
    ],
)
def test_a_verdict_by_one_stream(made: Interrupt, halted: tuple[bool, ...], expected: str) -> None:
    assert verdict(made, halted) == expected


def test_a_transmit_queue_may_not_be_listened_to() -> None:
    assert verdict(row(queue=1), (True, True), kind="virtio-net") == "unaccounted"
    assert verdict(row(queue=1), (True, True), kind="virtio-net", then=row(queue=1)) == "unaccounted"
    assert verdict(row(queue=0), (True, True), kind="virtio-net") == "lost"
    assert verdict(replace(NOTED, queue=1), (True, True), kind="virtio-net") == "lost"


def test_a_later_stream_decides() -> None:
    moved = row(ring=replace(RING, event=12))
    running = (False, False)
    assert verdict(NOWHERE, running, then=NOWHERE) == "lost"
    assert verdict(NOWHERE, running, then=moved) == "unaccounted"
    assert verdict(NOWHERE, running, then=row(owed=False)) == "unaccounted"
    assert verdict(NOWHERE, running, then=row(where=InterruptPlace.REQUESTED, at=(0,))) == "unaccounted"


@pytest.mark.parametrize(
    ("kind", "taken", "then", "expected"),
    [
        ("virtio-blk", 11, 11, True),
        ("virtio-blk", 11, 12, False),
        ("virtio-blk", 12, 12, False),
        ("virtio-net", 11, 11, None),  # Receive buffers wait by design.
        ("virtio-blk", 11, None, None),
    ],
)
def test_requests_that_the_device_does_not_take_wait_still(
    kind: str, taken: int, then: int | None, expected: bool | None
) -> None:
    now = row(ring=replace(RING, available=12, taken=taken))
    after = None if then is None else row(ring=replace(RING, available=12, taken=then))
    later = None if after is None else Later.of([device(kind)], [[after]])
    assert judge(device(kind), [now], cpus(True), later)[0].still_waiting is expected


def test_what_its_cpu_does_not_take_is_stuck() -> None:
    there = row(where=InterruptPlace.REQUESTED, at=(0,))
    assert verdict(there, (False,), then=there) == "stuck"
    assert verdict(there, (False,), then=replace(there, at=(1,))) == "at-cpu"
    assert verdict(there, (False,), then=replace(there, ring=replace(RING, event=12))) == "at-cpu"
    # A guest whose handlers send no EOI has the bit in service for ever.
    idle = row(where=InterruptPlace.IN_SERVICE, at=(0,), owed=False)
    assert verdict(idle, (False,), then=idle) == "in-service"


PAIR = REPOSITORY / "tests" / "data" / "trace" / "intremap-7.2-pair-lost"
BLK = "0000:00:03.0/virtio-blk"


def changed(spec: Spec) -> Trace:
    with open_base(PAIR / "source.mig.xz") as base:
        return trace(forged_dump(base, plan(base.dump, spec)))


def rows(found: Trace, name: str = BLK) -> dict[int | None, Interrupt]:
    traced = next(each for each in found.devices if each.device.name == name)
    return {row.vector: row for row in traced.interrupts}


def test_with_msix_disabled_nothing_tells_what_is_owed() -> None:
    found = changed(Spec((DeviceSpec(BLK, enabled=False),)))
    assert {row.owed for row in rows(found).values()} == {None}
    assert found.lost == []


def test_bus_mastering_that_is_off_loses_what_is_owed() -> None:
    found = changed(Spec((DeviceSpec(BLK, bus_master=False),)))
    lost = [(row.vector, row.route.note, row.verdict) for _, row in found.lost]
    assert lost == [(1, Unreachable.BUS_MASTER_OFF, Verdict.LOST)]


def test_a_message_to_no_entry_is_lost_where_it_is_owed() -> None:
    handle = 0xFEE00010 | 200 << 5
    found = changed(Spec((DeviceSpec(BLK, entries=(EntrySpec(1, address=handle),)),)))
    assert rows(found)[1].route.note is Unreachable.IRTE_NOT_PRESENT
    assert rows(found)[1].verdict is Verdict.LOST


def test_a_table_that_is_not_in_the_stream_is_said() -> None:
    found = changed(Spec(fields={"iommu-intel/intr_root": 0x100000}))
    assert rows(found)[1].route.kind is RouteKind.UNKNOWN
    assert any("0x100000" in line for line in found.missing)
    assert found.lost == []


def test_addresses_that_an_iommu_translates_are_not_read_as_physical() -> None:
    with Dump.open(PAIR / "source.mig.xz") as dump:
        device = next(each for each in dump.devices if each.name == BLK)
        assert device.virtio is not None
        features = int(device.virtio.core.guest_features) | PLATFORM | 1 << 32
    key = f"{BLK}/virtio/virtio/64bit_features/guest_features"
    found = changed(Spec(fields={key: features | EVENT_IDX}))
    ring = rows(found)[1].ring
    assert ring is not None
    assert (ring.available, ring.used, ring.taken) == (None, None, 842)
    assert any("IOMMU translates" in line for line in found.missing)


def test_a_stream_of_the_same_moment_decides_nothing() -> None:
    with Dump.open(PAIR / "source.mig.xz") as dump, Dump.open(PAIR / "source.mig.xz") as same:
        found = trace(dump, later=same)
    assert found.later_note is not None
    assert "0.000 s" in found.later_note


def test_a_device_and_a_vector_alone() -> None:
    with Dump.open(PAIR / "source.mig.xz") as dump:
        found = trace(dump, "03.0", vector=1)
        assert [(each.device.name, [row.vector for row in each.interrupts]) for each in found.devices] == [
            (BLK, [1])
        ]
        with pytest.raises(UsageError, match="matches 'nothing'"):
            trace(dump, "nothing")


def test_rings_of_hostile_sizes_and_places_cost_nothing_and_are_told() -> None:
    fields = {f"{BLK}/virtio/queues[0]/num": 0xFFFFFFFF, f"{BLK}/virtio/queues[1]/desc": 1 << 60}
    found = changed(Spec(fields=fields))
    assert any("queue 0: expected a power of two" in line for line in found.damage)
    assert rows(found)[1].owed is None


def test_other_machines_have_no_routes() -> None:
    path = REPOSITORY / "tests" / "data" / "rare" / "aarch64-virt-7.2.mig.xz"
    with Dump.open(path) as dump:
        found = trace(dump)
    assert {row.route.kind for each in found.devices for row in each.interrupts} <= {
        RouteKind.OTHER,
        RouteKind.NONE,
    }
    assert found.lost == []


def test_a_stream_without_ram_leaves_rings_null() -> None:
    path = REPOSITORY / "tests" / "data" / "rare" / "xen-save-7.2.mig.xz"
    with Dump.open(path) as dump:
        found = trace(dump)
    assert found.lost == []
    assert all(row.owed is not True for each in found.devices for row in each.interrupts)


def test_a_stream_in_memory_is_traced_as_a_file_is() -> None:
    from tests.conftest import unpacked

    with Dump.open(io.BytesIO(unpacked(PAIR / "source.mig.xz"))) as dump:
        assert len(trace(dump).devices) == 2
