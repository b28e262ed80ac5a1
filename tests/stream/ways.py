"""The reader's three ways, each alone, and what two of them must agree on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msixtool import Dump
from msixtool.containers.base import Source
from msixtool.containers.file import BytesSource
from msixtool.stream.forward import ForwardReader
from msixtool.stream.items import StreamIndex
from msixtool.stream.read import read_stream
from tests.conftest import REPOSITORY, unpacked

RARE = sorted((REPOSITORY / "tests" / "data" / "rare").glob("*.mig.xz"))
MAPPED = "mapped-ram-offset"
MAPPED_OFFSET = 0x1234
"""Where the stream of this recorded file begins."""


def rare(name: str) -> bytes:
    """The stream of a recorded file, by its name without version."""
    (path,) = (path for path in RARE if path.name.rsplit("-", 1)[0] == name)
    data = unpacked(path)
    return data[MAPPED_OFFSET:] if name == MAPPED else data


def dump(path: Path, tmp_path: Path, data: bytes, **options: Any) -> Dump:
    """These bytes as a file, opened."""
    file = tmp_path / path.name
    file.write_bytes(data)
    return Dump.open(str(file), **options)


class Sequential:
    """Bytes that may be read in order alone, as out of a compressor: the end is not known beforehand."""

    kind = "test"
    sequential = True

    def __init__(self, data: bytes) -> None:
        self._inner = BytesSource(data)
        self.size = self._inner.size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def from_the_end(data: bytes, origin: int = 0) -> StreamIndex:
    return read_stream(BytesSource(data), origin=origin)


def walked(data: bytes, origin: int = 0) -> StreamIndex:
    return read_stream(BytesSource(data), origin=origin, walk=True)


def in_order(data: bytes, origin: int = 0) -> StreamIndex:
    source: Source = Sequential(data)
    return read_stream(source, origin=origin)


def unaided(data: bytes, origin: int = 0) -> StreamIndex:
    """Forward by footers alone: the vmdesc is not looked at before it is reached."""
    reader = ForwardReader(BytesSource(data), StreamIndex(3), origin=origin)
    reader.ends.look_for_description = lambda: None  # type: ignore[method-assign]
    reader.read(reader.header())
    return reader.index


WAYS: tuple[Callable[[bytes, int], StreamIndex], ...] = (from_the_end, walked, in_order)


def sections(index: StreamIndex) -> list[tuple[object, ...]]:
    """What every way must find: each item with its place and size."""
    return [
        (i.type, i.offset, i.length, i.section_id, i.idstr, i.instance_id, i.data_offset, i.data_length)
        for i in index.items
    ]


def facts(index: StreamIndex) -> tuple[object, ...]:
    """What every way must say of a stream as a whole."""
    return (
        index.machine,
        index.page_size,
        index.capabilities,
        index.footers,
        [(block.idstr, block.used_length) for block in index.blocks],
        index.mapped_ram,
        index.terminated,
        index.end,
        None if index.description is None else index.description.offset,
    )


class Counted(BytesSource):
    """Counts the bytes that are read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.fetched = 0

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.fetched += len(data)
        return data
