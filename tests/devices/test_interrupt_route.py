"""Messages and where they go: destinations, modes, remapping, and those that reach nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from msixtool.containers.file import BytesSource
from msixtool.devices.cpus import Apic
from msixtool.devices.interrupt_route import Remapping, Route, RouteKind, Router, Unreachable, irte_index
from msixtool.formats.qevm import ItemType
from msixtool.ram.memory import GuestMemory
from msixtool.ram.memory_map import Region
from msixtool.stream.items import Item
from msixtool.stream.read import read_stream
from tests.stream.build import BLOCK, PAGE, Stream, page

ITEM = Item(ItemType.SECTION_FULL, 0, 0)
IRTE = 5


def apic(number: int, *, log_dest: int = 0, flat: bool = True, **changes: bool) -> Apic:
    return replace(Apic(ITEM, number, True, False, log_dest, flat, 0, (), ()), **changes)  # type: ignore[arg-type]


def memory(table: bytes = b"") -> GuestMemory:
    content = table.ljust(PAGE, b"\0")
    source = BytesSource(bytes(Stream().ram(page(0, content, BLOCK)).full(9, "globalstate", bytes(104))))
    return GuestMemory(source, read_stream(source), [Region(0, 16 * PAGE, BLOCK)])


def route(apics: list[Apic], address: int, data: int, remapping: Remapping | None = None) -> Route:
    return Router(apics, remapping or Remapping(), memory()).route(address, data)


FLAT = [apic(n, log_dest=1 << n) for n in range(4)]
CLUSTER = [apic(n, log_dest=(n // 4) << 4 | 1 << n % 4, flat=False) for n in range(8)]
X2APIC = [apic(n, x2apic=True) for n in range(20)]


@pytest.mark.parametrize(
    ("apics", "address", "cpus"),
    [
        (FLAT, 0xFEE02000, (2,)),
        (FLAT, 0xFEE02008, (2,)),
        (FLAT, 0xFEE0A004, (1, 3)),
        (FLAT, 0xFEEFF000, (0, 1, 2, 3)),
        (FLAT, 0xFEEFF004, (0, 1, 2, 3)),
        (CLUSTER, 0xFEE15004, (4, 6)),
        (CLUSTER, 0xFEE02004, (1,)),
        (X2APIC, 0xFEE13000, (19,)),
        (X2APIC, 0xFEE81004, (0, 7)),
        ([apic(300, x2apic=True)], 0xFEE2C020, (300,)),
    ],
    ids=[
        "physical",
        "hint",
        "flat",
        "all",
        "flat all",
        "cluster",
        "cluster 0",
        "x2",
        "x2 logical",
        "15 bits",
    ],
)
def test_destinations(apics: list[Apic], address: int, cpus: tuple[int, ...]) -> None:
    assert route(apics, address, 0x4025) == Route(RouteKind.APIC, None, cpus, 0x25)


@pytest.mark.parametrize(
    ("apics", "address", "data", "note"),
    [
        (FLAT, 0, 0x25, Unreachable.NOT_AN_MSI),
        (FLAT, 0x1FEE00000, 0x25, Unreachable.NOT_AN_MSI),
        (FLAT, 0xFEE09000, 0x25, Unreachable.NO_SUCH_CPU),
        (FLAT, 0xFEE00000, 0x0F, Unreachable.ILLEGAL_VECTOR),
        ([apic(0, enabled=False), apic(1)], 0xFEE00000, 0x25, Unreachable.APIC_DISABLED),
    ],
)
def test_messages_that_reach_nobody(apics: list[Apic], address: int, data: int, note: Unreachable) -> None:
    assert route(apics, address, data).note is note


def test_one_enabled_apic_of_a_route_is_enough() -> None:
    found = route([apic(0, log_dest=1, enabled=False), apic(1, log_dest=2)], 0xFEE03004, 0x25)
    assert (found.cpus, found.note) == ((0, 1), None)


def test_an_nmi_carries_no_vector() -> None:
    assert route(FLAT, 0xFEE00000, 0x400) == Route(RouteKind.APIC, None, (0,), None)


def irte(vector: int, destination: int, *, logical: bool = False, present: bool = True) -> bytes:
    low = int(present) | int(logical) << 2 | vector << 16 | destination << 32
    return bytes(16 * IRTE) + low.to_bytes(8, "little") + bytes(8)


REMAPPED = 0xFEE00010 | IRTE << 5


def remapped(table: bytes, apics: list[Apic], *, entries: int = 256, extended: bool = False) -> Route:
    router = Router(apics, Remapping(0, entries, extended, True), memory(table))
    router.want(REMAPPED, 0)
    return router.route(REMAPPED, 0)


def test_remapped_messages() -> None:
    assert remapped(irte(0x31, 2 << 8), FLAT) == Route(RouteKind.REMAPPED, IRTE, (2,), 0x31)
    assert remapped(irte(0x31, 6 << 8, logical=True), FLAT) == Route(RouteKind.REMAPPED, IRTE, (1, 2), 0x31)
    wide = remapped(irte(0x31, 1 << 16 | 1 << 3, logical=True), X2APIC, extended=True)
    assert wide == Route(RouteKind.REMAPPED, IRTE, (19,), 0x31)
    assert remapped(irte(0x31, 0, present=False), FLAT).note is Unreachable.IRTE_NOT_PRESENT
    assert remapped(irte(0x31, 0), FLAT, entries=IRTE).note is Unreachable.IRTE_NOT_PRESENT


def test_a_table_outside_of_ram_leaves_the_route_unknown() -> None:
    router = Router(FLAT, Remapping(1 << 40, 256, False, True), memory())
    router.want(REMAPPED, 0)
    assert router.route(REMAPPED, 0) == Route(RouteKind.UNKNOWN, IRTE)


def test_without_remapping_bit_4_means_nothing() -> None:
    assert route(FLAT, 0xFEE01010, 0x25).cpus == (1,)


def test_the_handle_of_a_message() -> None:
    assert irte_index(0xFEE00010 | 0x1234 << 5, 7) == 0x1234
    assert irte_index(0xFEE00018 | 0x1234 << 5, 7) == 0x123B
    assert irte_index(0xFEE00014, 0) == 0x8000


def test_an_iommu_that_is_not_followed_leaves_routes_unknown() -> None:
    assert route(FLAT, 0xFEE00000, 0x25, Remapping(unknown=True)).kind is RouteKind.UNKNOWN
