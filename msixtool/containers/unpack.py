"""Compressed data, piece by piece: members that follow one another are one stream, as for the tools."""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.containers.base import Source
from msixtool.containers.codecs import Codec, Decoder, Failures
from msixtool.containers.forward import ForwardSource
from msixtool.errors import ContainerError, TruncatedError

INPUT = 256 << 10
"""Compressed bytes that are read at a time."""
FIRST_INPUT = 4 << 10
"""Compressed bytes that a member is given first: some files consist of many tiny members."""
OUTPUT = 256 << 10
"""Bytes that are unpacked at a time, at most."""

MAX_RATIO = 1000.0
"""Bytes that one byte is believed to hold, by default."""
ALLOWANCE = 2 << 30
"""Bytes that a file may unpack to in any case."""
MAX_KEPT_RATIO = 100.0
"""Bytes that may be kept on disk for one byte: what is kept is no RAM, and varied."""
KEPT_ALLOWANCE = 256 << 20
"""Bytes that may be kept on disk in any case."""


class Budget:
    """Bounds what a file may unpack to, against the bytes that were read of it, whatever its layers.

    `max_ratio` None means no such bound. `spool_limit` bounds in any case what is kept on disk.
    """

    def __init__(self, max_ratio: float | None, spool_limit: int) -> None:
        self._max_ratio = max_ratio
        self._spool_limit = spool_limit
        self.consumed = 0

    def check(self, produced: int, consumed: int | None = None) -> None:
        """Raises ContainerError where `produced` bytes out of those read are out of all proportion."""
        consumed = self.consumed if consumed is None else consumed
        if self._max_ratio is None or produced <= max(ALLOWANCE, self._max_ratio * consumed):
            return
        raise ContainerError(
            "looks like a decompression bomb (--max-ratio sets what is believed)",
            expected=f"at most {self._max_ratio:g} bytes out of one",
            found=f"{produced} out of {consumed}",
        )

    def room(self) -> int:
        """Bytes that may be kept on disk so far."""
        if self._max_ratio is None:
            return self._spool_limit
        believed = max(KEPT_ALLOWANCE, MAX_KEPT_RATIO * self.consumed)
        return min(self._spool_limit, int(believed))


def unpacked_source(
    base: Source, codec: Codec, *, path: str, budget: Budget, outermost: bool
) -> ForwardSource:
    """What `base` unpacks to.

    `outermost` says whether the budget counts the bytes read of `base`. Raises ContainerError
    where the format takes a package that is missing.
    """
    new, failures = codec.load()

    def feed() -> Iterator[bytes]:
        start = position = produced = 0
        while True:
            decoder = new()
            for piece, position in _member(base, start, decoder, failures, codec.kind):
                produced += len(piece)
                if outermost:
                    budget.consumed = max(budget.consumed, position)
                budget.check(produced)
                yield piece
            following = codec.next_member(base, position, codec)
            if following is None:
                return
            start = following

    return ForwardSource(feed, kind=codec.kind, path=path, room=budget.room)


def _member(
    base: Source, position: int, decoder: Decoder, failures: Failures, kind: str
) -> Iterator[tuple[bytes, int]]:
    """The pieces of the member at `position`, each with the position up to which it was read.

    The last piece, which may be empty, comes with the position of the member's end. Raises
    ContainerError where the data is damaged and TruncatedError where it ends too early, both
    after the last piece that could be unpacked.
    """
    share = FIRST_INPUT
    while not decoder.eof:
        data = base.read(position, share) if decoder.needs_input else b""
        ended = decoder.needs_input and not data
        position += len(data)
        share = min(2 * share, INPUT)
        try:
            piece = decoder.decompress(data, OUTPUT)
        except failures as error:
            reason = str(error).rpartition(": ")[2] or type(error).__name__
            raise ContainerError(f"{kind} data cannot be unpacked", offset=position, found=reason) from None
        if decoder.eof:
            position -= len(decoder.unused_data)
        elif ended and not piece:
            raise TruncatedError(f"{kind} data is cut short", offset=position, expected="more bytes")
        yield piece, position
        base.drop(0, position)
