"""Which QEMU versions can have written a stream: it does not say so, but its style tells.

Sources: streams of 5.2, 7.2, 10.0 and 11.1, and the release in which each change to QEMU's
migration/ first came out.
"""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.formats import vmdesc
from msixtool.formats.qevm import ItemType
from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Version, machine_version
from msixtool.stream.items import StreamIndex


class Evidence(NamedTuple):
    """One thing in a stream that only some versions write: from `min` up to `max`, both included."""

    reason: str
    min: Version | None = None
    max: Version | None = None


class Writer(NamedTuple):
    """The versions that all the evidence leaves."""

    min: Version | None
    max: Version | None
    evidence: tuple[Evidence, ...] = ()


def writer_of(index: StreamIndex) -> Writer:
    """Which releases can have written a stream; open ends are None.

    Where pieces of evidence contradict each other (a patched QEMU), the lower bounds count.
    """
    evidence = tuple(_evidence(index))
    low = max((e.min for e in evidence if e.min), default=None)
    high = min((e.max for e in evidence if e.max), default=None)
    if low and high and low > high:
        high = None
    return Writer(low, high, evidence)


def _evidence(index: StreamIndex) -> Iterator[Evidence]:
    if index.qemu:
        yield Evidence("noted when it was captured", index.qemu, index.qemu)
    version = machine_version(index.machine)
    if version:
        yield Evidence(f"machine type {index.machine}", version)
    if index.footers:
        yield Evidence("section footers", (2, 4))
    if "x-ignore-shared" in index.capabilities:
        yield Evidence("capability x-ignore-shared", (4, 0))
    if index.mapped_ram:
        yield Evidence("capability mapped-ram", (9, 0))
    if index.uuid is not None:
        yield Evidence("UUID in the configuration", (4, 2))
    if any(item.type == ItemType.COMMAND and item.idstr == "switchover-start" for item in index.items):
        yield Evidence("SWITCHOVER_START command", (10, 0))
    yield from _ram_evidence(index)
    yield from _order_evidence(index)
    if index.description is not None:
        yield from _vmdesc_evidence(index)


def _ram_evidence(index: StreamIndex) -> Iterator[Evidence]:
    if index.ram and index.ram.compressed:
        yield Evidence("compressed pages", (2, 4), (9, 0))
    if index.ram and index.ram.flushes:
        yield Evidence("multifd flush records", (8, 1))


def _order_evidence(index: StreamIndex) -> Iterator[Evidence]:
    names = [item.idstr for item in index.full_sections()]
    if "apic" in names and "timer" in names and names.index("apic") < names.index("timer"):
        yield Evidence("apic sections come first", (10, 1))


def _vmdesc_evidence(index: StreamIndex) -> Iterator[Evidence]:
    assert index.description is not None
    contents = index.description.contents
    spaced = vmdesc.is_spaced(index.description.text[:4])
    yield Evidence("text of the vmdesc", (2, 3), (5, 2)) if spaced else Evidence("text of the vmdesc", (6, 0))
    if "configuration" in contents.document:
        yield Evidence("configuration in the vmdesc", (8, 2))
    else:
        yield Evidence("no configuration in the vmdesc", None, (8, 1))
    for layout in contents.devices:
        if layout.idstr == "globalstate":
            split = any(field.name == "has_vm_was_suspended" for field in layout.known_fields)
            yield Evidence("globalstate", (9, 0)) if split else Evidence("globalstate", None, (8, 2))
    yield from _array_evidence(contents.array_styles)


def _array_evidence(seen: frozenset[str]) -> Iterator[Evidence]:
    """How the vmdesc spells arrays whose elements differ, and what it calls NULL pointers."""
    if "none" in seen or "ptr-marker" in seen:
        yield Evidence("array elements without index", (11, 0))
    elif "all but last" in seen or "nullptr" in seen:
        yield Evidence("last array element without index", (10, 0), (10, 2))
    elif "all" in seen:
        yield Evidence("array elements with index", None, (9, 2))
