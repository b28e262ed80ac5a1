"""What inputs are made from: real streams, excerpts of them, and streams built from nothing.

An excerpt has some of a real stream's sections with their bytes as QEMU wrote them and the part of the
vmdesc that describes them: a hundredth of the size, so that a hundred times as many can be tried.
"""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from msixtool import Dump
from msixtool.formats.qevm import OPENING, ItemType
from msixtool.formats.ram import Flag
from msixtool.stream.items import Item
from tests.fuzz.octets import Place

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DATA = REPOSITORY / "tests" / "data"
CORPUS = REPOSITORY.parent / "shared" / "corpus"
FINDINGS = Path(__file__).parent / "findings"

LARGEST = 400_000
"""Bytes of the longest whole stream that is mutated; longer ones give excerpts only."""
_LARGEST_PICK = 40_000
_CORPUS_STEP = 6
"""Every so many streams of the corpus are taken: they are more of a kind than the samples."""


@dataclass(frozen=True, slots=True)
class Base:
    """A stream to mutate: its bytes, the numbers in it, and the items (start, end) that it is made of."""

    name: str
    data: bytes
    places: tuple[Place, ...]
    items: tuple[tuple[int, int], ...]
    description: tuple[int, int] | None
    """Where the JSON of its vmdesc stands."""
    devices: tuple[tuple[int, int], ...]
    """Where the data of its sections with MSI-X stands."""
    ram: tuple[tuple[int, int], ...]
    """Where the data of its RAM sections stands."""


def files() -> list[Path]:
    """The real streams at hand, in the same order everywhere."""
    own = sorted((REPOSITORY / "samples").glob("*.mig.xz")) + sorted((DATA / "rare").glob("*.mig.xz"))
    pairs = sorted((DATA / "compat").glob("*/source.mig.xz"))[::3]
    corpus = [
        path
        for folder in ("states", "variants", "compat")
        for path in sorted((CORPUS / folder).glob("*/source*.xz"))
        if ".qcow2" not in path.name and "mapped-ram" not in str(path)
    ]
    return own + pairs + corpus[::_CORPUS_STEP]


def name_of(path: Path) -> str:
    """How a file is called in findings and in the log."""
    return f"{path.parent.name}/{path.name}" if path.name.startswith("source") else path.name


@cache
def unpacked(path: Path) -> bytes:
    """The bytes of an xz-compressed file."""
    return lzma.decompress(path.read_bytes())


@cache
def _opened() -> list[tuple[Path, Dump]]:
    """The real streams that can be read, the longest left out."""
    found = []
    for path in files():
        data = unpacked(path)
        if data.startswith(b"QEVM") and len(data) < 8 * LARGEST:
            found.append((path, Dump.open(io.BytesIO(data))))
    return found


@cache
def whole_streams() -> list[Base]:
    """The real streams as they are."""
    return [
        base_of(name_of(path), unpacked(path), dump)
        for path, dump in _opened()
        if len(unpacked(path)) <= LARGEST
    ]


@cache
def excerpts() -> list[Base]:
    """Small streams with one device, or a few sections, of a real one; each with and without vmdesc."""
    made: dict[bytes, Base] = {}
    for path, dump in _opened():
        data = unpacked(path)
        for wanted in _picks(dump):
            text = _excerpt(data, dump, wanted)
            if text not in made:
                name = f"{name_of(path)}:{'+'.join(str(item.idstr) for item in wanted)}"
                made[text] = base_of(name, text)
    return list(made.values())


def _picks(dump: Dump) -> Iterator[list[Item]]:
    """The sections that go into one excerpt: each device that is not long, then the others by threes."""
    sections = [item for item in dump.index.full_sections() if item.length < _LARGEST_PICK]
    offsets = {device.item.offset for device in dump.devices}
    for item in sections:
        if item.offset in offsets:
            yield [item]
    others = [item for item in sections if item.offset not in offsets and item.length < 4096]
    for start in range(0, len(others), 9):
        yield others[start : start + 3]


def _excerpt(data: bytes, dump: Dump, wanted: Sequence[Item]) -> bytes:
    index = dump.index
    pieces = [data[:8]]
    for item in index.items:
        if item.type == ItemType.CONFIGURATION:
            pieces.append(data[item.offset : item.end])
        elif item.type == ItemType.SECTION_START and item.idstr == "ram" and item.length < 2048:
            pieces.append(data[item.offset : item.end])
            pieces.append(_end_of(item, bool(index.footers)))
    pieces += [data[item.offset : item.end] for item in wanted]
    pieces.append(b"\0")
    if index.description is not None:
        found = [item.layout.described for item in wanted if item.layout is not None]
        document = {"page_size": index.description.contents.page_size or 4096, "devices": found}
        text = json.dumps(document, separators=(",", ":")).encode()
        pieces.append(b"\x06" + len(text).to_bytes(4, "big") + text)
    return b"".join(pieces)


def _end_of(start: Item, footers: bool) -> bytes:
    """The END section of RAM without a page."""
    number = (start.section_id or 0).to_bytes(4, "big")
    return b"\x03" + number + int(Flag.EOS).to_bytes(8, "big") + (b"\x7e" + number if footers else b"")


def base_of(name: str, data: bytes, dump: Dump | None = None) -> Base:
    """Where things stand in a stream that is whole."""
    dump = dump or Dump.open(io.BytesIO(data))
    index = dump.index
    places: list[Place] = [(4, 4)]
    for item in index.items:
        places += _header_places(item)
        if index.footers and item.type in (
            ItemType.SECTION_START,
            ItemType.SECTION_PART,
            ItemType.SECTION_END,
            ItemType.SECTION_FULL,
        ):
            places += [(item.end - 5, 1), (item.end - 4, 4)]
    for device in dump.devices:
        places += [(device.offset, 8), (device.offset + 12, 4)] * 2
        if device.config_offset is not None:
            places += _config_places(device.config_offset)
            if device.capability is not None:
                at = device.config_offset + device.capability.offset
                places += [(at, 1), (at + 1, 1), (at + 2, 2), (at + 4, 4), (at + 8, 4)] * 2
        if device.virtio is not None:
            start = device.item.data_offset
            places += [
                (start + device.virtio.core_offset + 8, 4),
                (start + device.virtio.queues_offset - 4, 4),
            ]
    text = None if index.description is None else (index.description.offset + 5, index.description.end)
    ram = [item for item in index.items if item.idstr == "ram" and item.type != ItemType.SECTION_FULL]
    for item in ram:
        places += [(item.data_offset, 8), (item.data_offset + 8, 1)]
    return Base(
        name,
        data,
        tuple(place for place in places if sum(place) <= len(data)),
        tuple((item.offset, item.end) for item in index.items),
        text,
        tuple((device.item.data_offset, device.item.end) for device in dump.devices),
        tuple((item.data_offset, item.end) for item in ram),
    )


def _header_places(item: Item) -> list[Place]:
    """The numbers in the header of an item, and the first ones behind it."""
    at = item.offset
    if item.type in OPENING:
        end = item.data_offset
        named: list[Place] = [(at + 5, 1), (end - 8, 4), (end - 4, 4)]
        return [(at, 1), (at + 1, 4), *named, (end, 4), (end + 4, 4)]
    if item.type == ItemType.COMMAND:
        return [(at, 1), (at + 1, 2), (at + 3, 2)]
    return [(at, 1), (at + 1, 4)]


def _config_places(at: int) -> list[Place]:
    """Registers of a configuration space: command, header type, BARs, the pointer to capabilities."""
    return [(at + 4, 2), (at + 6, 2), (at + 0xE, 1), (at + 0x10, 4), (at + 0x1C, 4), (at + 0x34, 1)]


@cache
def built() -> list[Base]:
    """Streams made from nothing: RAM records of every kind, both ways of ending, odd capabilities."""
    from tests.fuzz.built import streams

    return [base_of(name, data) for name, data in streams()]


def without_vmdesc(base: Base) -> Base:
    """The same stream as one that QEMU wrote with suppress-vmdesc."""
    if base.description is None:
        return base
    end = base.description[0] - 5
    return replace(
        base_of(base.name + " without vmdesc", base.data[:end]),
        devices=base.devices,
        ram=base.ram,
    )
