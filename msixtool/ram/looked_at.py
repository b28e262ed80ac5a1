"""Guest memory of which a few pieces were read of the VM itself, besides a stream without RAM."""

from __future__ import annotations

from collections.abc import Sequence

from msixtool.containers.base import Source
from msixtool.kept import NamedTuple
from msixtool.ram.memory import GuestMemory
from msixtool.stream.items import StreamIndex


class Span(NamedTuple):
    """`length` bytes of guest physical memory from `start` on."""

    start: int
    length: int


class MemoryPiece(NamedTuple):
    """Bytes of guest physical memory from `start` on."""

    start: int
    data: bytes


class LookedAt(GuestMemory):
    """The pieces that were read; `wanted` are the spans that were asked for, read or not."""

    def __init__(self, source: Source, index: StreamIndex, pieces: Sequence[MemoryPiece] = ()) -> None:
        super().__init__(source, index, ())
        self._pieces_read = pieces
        self.wanted: dict[Span, None] = {}

    def want(self, address: int, length: int) -> None:
        """Note what has to be read of the VM."""
        self.wanted[Span(address, length)] = None

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes from guest physical `address`; None where they were not read."""
        self.want(address, length)
        for start, data in self._pieces_read:
            if start <= address and address + length <= start + len(data):
                return data[address - start : address - start + length]
        self._note(address, "was not read of the VM")
        return None

    def block_bytes(self, block: str, offset: int, length: int) -> bytes | None:
        """None: what was read is known by its address alone."""
        return None
