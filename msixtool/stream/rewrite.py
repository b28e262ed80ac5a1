"""The same stream with some ranges replaced: every other byte is copied, and none is made again.

RAM is never held: what stands in a plain file is copied by the kernel (or shared, where the file
system can), what has to be unpacked first goes through a window.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from msixtool.containers.base import Progress, Source
from msixtool.containers.file import SliceSource
from msixtool.errors import InputError
from msixtool.output.files import PIECE, OutputFile

_STEP = 256 << 20
"""Bytes that are copied between two words of progress: a multiple of any block."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """`data` instead of the bytes from `start` up to `end`, offsets in bytes of the source."""

    start: int
    end: int
    data: bytes

    @property
    def keeps_size(self) -> bool:
        return len(self.data) == self.end - self.start

    def trimmed(self, before: bytes) -> Replacement:
        """The same without what it has in common, at both ends, with `before`, the bytes that it replaces."""
        head = _in_common(before, self.data)
        tail = _in_common(before[head:][::-1], self.data[head:][::-1])
        return Replacement(self.start + head, self.end - tail, self.data[head : len(self.data) - tail])

    def shifted(self, by: int) -> Replacement:
        """The same in a source in which everything stands `by` bytes further on."""
        return Replacement(self.start + by, self.end + by, self.data)


def in_order(replacements: Iterable[Replacement]) -> list[Replacement]:
    """Replacements as they stand in the source; what is put in at one place stays in the order given."""
    return sorted(replacements, key=lambda each: (each.start, each.end))


def _in_common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


class Sink(Protocol):
    """What a stream is written to: an OutputFile, or something that packs it on the way."""

    def write(self, data: bytes) -> None:
        """Append `data`."""


class Overlay:
    """A source with bytes changed in place, as a source; what is below stays as it is."""

    kind = ""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._starts: list[int] = []
        self._spans: list[bytearray] = []
        """What lies over the source: spans in order, none over another."""

    @property
    def sequential(self) -> bool:
        """As the source below."""
        return self._source.sequential

    @property
    def size(self) -> int:
        """As the source below."""
        return self._source.size

    def patch(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`; later patches lie over earlier ones."""
        if not data:
            return
        end = offset + len(data)
        low, high = self._within(offset, end)
        if low == high:
            self._starts[low:high], self._spans[low:high] = [offset], [bytearray(data)]
            return
        start = min(offset, self._starts[low])
        span = bytearray(max(end, self._starts[high - 1] + len(self._spans[high - 1])) - start)
        for at, before in zip(self._starts[low:high], self._spans[low:high], strict=True):
            span[at - start : at - start + len(before)] = before
        span[offset - start : end - start] = data
        self._starts[low:high], self._spans[low:high] = [start], [span]

    def _within(self, start: int, end: int) -> tuple[int, int]:
        """The first span that has a byte from `start` to `end`, and the first behind those that have."""
        low = bisect_right(self._starts, start) - 1
        if low < 0 or self._starts[low] + len(self._spans[low]) <= start:
            low += 1
        return low, max(low, bisect_left(self._starts, end))

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`, as changed."""
        data = bytearray(self._source.read(offset, length))
        for index in range(*self._within(offset, offset + len(data))):
            start, span = self._starts[index], self._spans[index]
            first, last = max(start, offset), min(start + len(span), offset + len(data))
            data[first - offset : last - offset] = span[first - start : last - start]
        return bytes(data)

    def changes(self) -> list[Replacement]:
        """What differs from the source below, in order: runs of changed bytes, none touching another."""
        spans: list[list[int]] = []
        for start, span in zip(self._starts, self._spans, strict=True):
            if spans and start == spans[-1][1]:
                spans[-1][1] += len(span)
            else:
                spans.append([start, start + len(span)])
        return [change for start, end in spans for change in self._differences(start, end)]

    def _differences(self, start: int, end: int) -> Iterator[Replacement]:
        before, after = self._source.read(start, end - start), self.read(start, end - start)
        position = 0
        while position < len(after):
            if before[position] == after[position]:
                position += 1
                continue
            first = position
            while position < len(after) and before[position] != after[position]:
                position += 1
            yield Replacement(start + first, start + position, after[first:position])

    def drop(self, start: int, end: int) -> None:
        """Hand the hint on."""
        self._source.drop(start, end)

    def close(self) -> None:
        """Nothing to do: what is below is not this one's."""

    def details(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}


class Rewritten:
    """What `rewrite` would write, as a source, without writing it. Replacements must not overlap."""

    kind = ""

    def __init__(self, source: Source, replacements: Iterable[Replacement]) -> None:
        self._source = source
        self._starts: list[int] = [0]
        self._pieces: list[tuple[int, bytes | None]] = [(0, None)]
        position = 0
        for each in in_order(replacements):
            position += each.start - self._pieces[-1][0]
            self._add(position, each.start, each.data)
            position += len(each.data)
            self._add(position, each.end, None)
        self._growth = position - self._pieces[-1][0]

    def _add(self, position: int, origin: int, data: bytes | None) -> None:
        self._starts.append(position)
        self._pieces.append((origin, data))

    @property
    def sequential(self) -> bool:
        """As the source below."""
        return self._source.sequential

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._source.size + self._growth

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        parts: list[bytes] = []
        index = bisect_right(self._starts, offset) - 1
        while length > 0 and index < len(self._starts):
            inside = offset - self._starts[index]
            origin, data = self._pieces[index]
            room = self._starts[index + 1] - offset if index + 1 < len(self._starts) else length
            wanted = min(room, length)
            if data is None:
                part = self._source.read(origin + inside, wanted) if wanted else b""
            else:
                part = data[inside : inside + wanted]
            parts.append(part)
            if len(part) < wanted:
                break
            offset, length, index = offset + wanted, length - wanted, index + 1
        return b"".join(parts)

    def drop(self, start: int, end: int) -> None:
        """Hand the hint on, as far as it is about what is copied as it stands."""
        index = bisect_right(self._starts, start) - 1
        origin, data = self._pieces[index]
        if data is None:
            limit = self._starts[index + 1] if index + 1 < len(self._starts) else end
            by = origin - self._starts[index]
            self._source.drop(start + by, min(end, limit) + by)

    def close(self) -> None:
        """Nothing to do: what is below is not this one's."""

    def details(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file in which the bytes of a source stand as they are, from `origin` on.

    `descriptor` must allow reading at any offset, and is not to be used for anything else meanwhile.
    """

    descriptor: int
    origin: int = 0


def rewrite(
    source: Source,
    replacements: Iterable[Replacement],
    out: OutputFile | Sink,
    *,
    plain: PlainFile | None = None,
    progress: Progress | None = None,
) -> None:
    """Write all of `source` to `out` with `replacements`, which must not overlap.

    `plain` names the file behind the source, where there is one. `progress` hears of the bytes of the
    source that are done, and of its size, or 0 where that is not known. Raises InputError where the
    source cannot be read or is damaged, OutputError where the output cannot be written.
    """
    ordered = in_order(replacements)
    if plain is None or not isinstance(out, OutputFile):
        _pass_through(source, ordered, out, progress)
        return
    patches: list[tuple[int, bytes]] = []
    position = 0
    for each in ordered:
        if out.patchable and each.keeps_size:
            patches.append((out.position + each.start - position, each.data))
            continue
        _copy(plain, position, each.start, source.size, out, progress)
        out.write(each.data)
        position = each.end
    _copy(plain, position, source.size, source.size, out, progress)
    for offset, data in patches:
        out.patch(offset, data)


def _copy(
    plain: PlainFile, start: int, end: int, size: int, out: OutputFile, progress: Progress | None
) -> None:
    """Copy the bytes from `start` up to `end` of a source of `size` bytes."""
    while start < end:
        length = min(end - start, _STEP)
        out.copy(plain.descriptor, plain.origin + start, length)
        start += length
        if progress is not None:
            progress(start, size)


def _pass_through(
    source: Source,
    replacements: list[Replacement],
    out: OutputFile | Sink,
    progress: Progress | None,
) -> None:
    """Write everything in order, holding no more than a piece."""
    write = out.write_sparse if isinstance(out, OutputFile) else out.write
    position = 0
    size = 0 if source.sequential else source.size
    for start, end, data in [
        *((each.start, each.end, each.data) for each in replacements),
        (None, 0, b""),
    ]:
        for piece in _pieces(source, position, start):
            write(piece)
            position += len(piece)
            if progress is not None:
                progress(position, size)
        out.write(data)
        position = end


def _pieces(source: Source, start: int, end: int | None) -> Iterator[bytes]:
    """The bytes from `start` up to `end`, or to the end of the source, piece by piece."""
    while end is None or start < end:
        data = source.read(start, PIECE if end is None else min(PIECE, end - start))
        if not data:
            if end is None:
                return
            raise InputError("has become shorter while it was read", offset=start)
        yield data
        start += len(data)
        source.drop(0, start)


def bottom(source: Source) -> Source:
    """What a window, or a window on a window, looks at."""
    while isinstance(source, SliceSource):
        source = source.base
    return source
