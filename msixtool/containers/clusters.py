"""Where qcow2 keeps the bytes of a guest offset: the L1 and L2 tables, and compressed clusters.

Source: QEMU docs/interop/qcow2.txt, "Cluster mapping". Only what is asked for is read: an image
of any size costs the tables on the way. There are two levels and no recursion, so whatever the
tables say, a look-up ends; tables that overlap what they must not are told in one line.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msixtool.containers.base import Source, read_exactly
from msixtool.containers.codecs import zstd_decoder
from msixtool.errors import ContainerError, TruncatedError
from msixtool.formats import parse, qcow2 as fmt, sizeof

CACHE = 4 << 20
"""Bytes of L2 tables that are kept."""


@dataclass(frozen=True)
class Geometry:
    """How an image cuts guest offsets: cluster size, entry size, what entries may say."""

    cluster_bits: int
    extended: bool
    zero_flag: bool
    compression: int

    @cached_property
    def cluster_size(self) -> int:
        return 1 << self.cluster_bits

    @cached_property
    def entry_words(self) -> int:
        """64-bit words of an L2 entry."""
        return 2 if self.extended else 1

    @cached_property
    def entries(self) -> int:
        """Entries of an L2 table, which fills one cluster."""
        return self.cluster_size // (8 * self.entry_words)

    @cached_property
    def table_span(self) -> int:
        """Bytes of the guest that one L2 table covers."""
        return self.cluster_size * self.entries

    def round_up(self, offset: int) -> int:
        """The first guest offset at or after `offset` where an L2 table begins: the VM state is there."""
        return -(-offset // self.table_span) * self.table_span


Extent = tuple[int, int]
"""An offset in the file (or ZEROS or PACKED), and how many bytes stand there."""
ZEROS = -1
PACKED = -2


class ClusterMap:
    """The bytes of a guest offset under one L1 table.

    `tables` are ranges of the file that no L2 table and no cluster may overlap, with their names.
    """

    def __init__(
        self, base: Source, geometry: Geometry, l1_offset: int, tables: list[tuple[int, int, str]]
    ) -> None:
        self.geometry = geometry
        self._base = base
        self._l1_offset = l1_offset
        self._tables = tables
        self._l2: OrderedDict[int, array[int]] = OrderedDict()
        self._l2_owners: dict[int, int] = {}
        self._last: tuple[int, array[int]] = (-1, array("Q"))
        self._unpacked: tuple[int, bytes] = (-1, b"")

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at the guest offset `offset`; fewer where damage comes first.

        Raises ContainerError or TruncatedError where the first of them cannot be read.
        """
        parts: list[bytes] = []
        end = offset + length
        while offset < end:
            try:
                part = self._run(offset, end)
            except (ContainerError, TruncatedError):
                if not parts:
                    raise
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _run(self, offset: int, end: int) -> bytes:
        """Some bytes from `offset`, at least one: all that stand in one piece of the file."""
        place, size = self._piece(offset, end)
        if place == PACKED:
            within = offset % self.geometry.cluster_size
            return self._packed_cluster(offset)[within : within + size]
        total = size
        while offset + total < end:
            try:
                following, size = self._piece(offset + total, end)
            except (ContainerError, TruncatedError):
                break
            if following != (ZEROS if place == ZEROS else place + total):
                break
            total += size
        if place == ZEROS:
            return bytes(total)
        data = self._base.read(place, total)
        if not data:
            raise TruncatedError("qcow2 cluster lies outside of the file", offset=place)
        return data

    def _piece(self, offset: int, end: int) -> Extent:
        """Where the bytes from `offset` stand, up to the end of their cluster, subcluster, or `end`."""
        entry, bitmap = self._entry(offset)
        size = self.geometry.cluster_size
        if entry & fmt.L2_COMPRESSED:
            return PACKED, min(end - offset, size - offset % size)
        place = entry & fmt.L2_OFFSET_MASK
        part = size
        allocated = place != 0 and not (self.geometry.zero_flag and entry & fmt.L2_ALL_ZEROS)
        if self.geometry.extended:
            part = size // fmt.SUBCLUSTERS
            index = offset % size // part
            allocated = place != 0 and bool(bitmap >> index & 1)
        rest = min(end - offset, part - offset % part)
        if not allocated:
            return ZEROS, rest
        self._check(place, f"cluster of guest offset {offset:#x}")
        return place + offset % size, rest

    def _entry(self, offset: int) -> tuple[int, int]:
        """The L2 entry of a guest offset, and its bitmap of subclusters."""
        index, within = divmod(offset, self.geometry.table_span)
        if self._last[0] != index:
            self._last = (index, self._table_of(index))
        table = self._last[1]
        if not table:
            return 0, 0
        at = within // self.geometry.cluster_size * self.geometry.entry_words
        if at + self.geometry.entry_words > len(table):
            raise TruncatedError(
                f"qcow2 L2 table of L1 entry {index} is cut short",
                expected=f"{self.geometry.cluster_size} bytes",
                found=8 * len(table),
            )
        return table[at], table[at + 1] if self.geometry.extended else 0

    def _table_of(self, index: int) -> array[int]:
        """The L2 table that L1 entry `index` names; empty where there is none."""
        size = sizeof(fmt.L1_ENTRY)
        raw = read_exactly(self._base, self._l1_offset + size * index, size, "qcow2 L1 table")
        offset = parse(fmt.L1_ENTRY, raw, what="qcow2 L1 table") & fmt.L1_OFFSET_MASK
        if offset == 0:
            return array("Q")
        owner = self._l2_owners.setdefault(offset, index)
        if owner != index:
            raise ContainerError(
                f"qcow2 L1 entries {owner} and {index} name the same L2 table", offset=offset
            )
        if offset in self._l2:
            self._l2.move_to_end(offset)
            return self._l2[offset]
        self._check(offset, f"L2 table of L1 entry {index}", is_table=True)
        raw = self._base.read(offset, self.geometry.cluster_size)
        if not raw:
            raise TruncatedError(
                f"qcow2 L2 table of L1 entry {index} lies outside of the file", offset=offset
            )
        table = array("Q", raw[: len(raw) // 8 * 8])
        if sys.byteorder == "little":
            table.byteswap()
        self._l2[offset] = table
        while len(self._l2) > max(2, CACHE // self.geometry.cluster_size):
            self._l2.popitem(last=False)
        return table

    def _check(self, offset: int, what: str, *, is_table: bool = False) -> None:
        """Raises ContainerError where a cluster or an L2 table stands where it cannot."""
        end = offset + self.geometry.cluster_size
        over = next((name for start, stop, name in self._tables if offset < stop and end > start), None)
        if over is None and not is_table and offset in self._l2_owners:
            over = "an L2 table"
        if over is not None:
            raise ContainerError(f"qcow2 {what} lies over {over}", offset=offset)
        if offset % self.geometry.cluster_size:
            raise ContainerError(f"qcow2 {what} does not begin at a cluster", offset=offset)

    def _packed_cluster(self, offset: int) -> bytes:
        """The whole compressed cluster that holds a guest offset."""
        entry, _ = self._entry(offset)
        if self._unpacked[0] == entry:
            return self._unpacked[1]
        place, length = fmt.compressed_place(entry, self.geometry.cluster_bits)
        packed = self._base.read(place, length)
        if not packed:
            raise TruncatedError("qcow2 compressed cluster lies outside of the file", offset=place)
        data = self._unpack(packed, place)
        if len(data) < self.geometry.cluster_size:
            raise ContainerError(
                "qcow2 compressed cluster is damaged",
                offset=place,
                expected=f"{self.geometry.cluster_size} bytes",
                found=len(data),
            )
        self._unpacked = (entry, data)
        return data

    def _unpack(self, packed: bytes, place: int) -> bytes:
        """What a compressed cluster holds; bytes behind the compressed data do not matter."""
        decoder: Any
        failures: tuple[type[Exception], ...]
        if self.geometry.compression == fmt.COMPRESSION_DEFLATE:
            decoder, failures = zlib.decompressobj(-zlib.MAX_WBITS), (zlib.error,)
        elif self.geometry.compression == fmt.COMPRESSION_ZSTD:
            decoder, failures = zstd_decoder()
        else:
            raise ContainerError(
                "qcow2 compression type",
                offset=fmt.OFFSETS["compression_type"],
                expected="0 or 1",
                found=self.geometry.compression,
            )
        try:
            data: bytes = decoder.decompress(packed, self.geometry.cluster_size)
        except failures as error:
            raise ContainerError("qcow2 compressed cluster is damaged", offset=place, found=error) from None
        return data
