"""Compressed data, piece by piece: members that follow one another are one stream, as for the tools."""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.containers.base import Source
from msixtool.containers.codecs import Codec, DecoderMaker, Failures
from msixtool.containers.file import file_offset
from msixtool.containers.forward import ForwardSource
from msixtool.errors import ContainerError, InputError, TruncatedError

INPUT = 256 << 10
"""Compressed bytes that are read at a time."""
FIRST_INPUT = 4 << 10
"""Compressed bytes that a member is given first: some files consist of many tiny members."""
OUTPUT = 256 << 10
"""Bytes that are unpacked at a time, at most."""

ALLOWANCE = 1 << 30
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
            for piece, position in _Member(base, codec.kind, new, failures).pieces(start):
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


class _Member:
    """One member of compressed data."""

    def __init__(self, base: Source, kind: str, new: DecoderMaker, failures: Failures) -> None:
        self._base = base
        self._kind = kind
        self._new = new
        self._failures = failures
        self._noticed = 0  # where in the base the second look noticed the damage

    def pieces(self, start: int) -> Iterator[tuple[bytes, int]]:
        """The pieces of the member at `start`, each with the position up to which it was read.

        The last piece, which may be empty, comes with the position of the member's end. Raises
        ContainerError where the data is damaged and TruncatedError where it ends too early, both
        after the last piece that could be unpacked.
        """
        decoder = self._new()
        position = fed = start
        produced = 0
        share = FIRST_INPUT
        while not decoder.eof:
            data = b""
            if hungry := decoder.needs_input:
                data = self._base.read(position, share)
                fed, position = position, position + len(data)
                share = min(2 * share, INPUT)
            try:
                piece = decoder.decompress(data, OUTPUT)
            except self._failures as error:
                for rest in self._rest(start, fed, position, produced):
                    yield rest, fed
                reason = str(error).rpartition(": ")[2] or type(error).__name__
                raise ContainerError(
                    f"{self._kind} data cannot be unpacked",
                    offset=self._place(self._noticed or position),
                    found=reason,
                ) from None
            produced += len(piece)
            if decoder.eof:
                position -= len(decoder.unused_data or b"")
            elif hungry and not data and not piece:
                raise TruncatedError(
                    f"{self._kind} data is cut short", offset=self._place(position), expected="more bytes"
                )
            yield piece, position
            self._base.drop(0, position)

    def _place(self, position: int) -> int:
        """A position as an offset in the file, or in what the layer below unpacks to."""
        return file_offset(self._base, position)

    def _rest(self, start: int, fed: int, end: int, produced: int) -> Iterator[bytes]:
        """What comes out after `produced` bytes and before the damage in the input from `fed` to `end`.

        A decoder that fails keeps what it has unpacked in that call, up to the very end where only
        the checksum is wrong. So this starts over and gives it the last input byte by byte.
        """
        decoder = self._new()
        noticed = start
        for data in self._again(start, fed, end):
            more = True
            noticed += len(data)
            while more:
                try:
                    piece = decoder.decompress(data, OUTPUT)
                except self._failures:
                    self._noticed = noticed
                    return
                more = len(piece) == OUTPUT or bool(piece and not decoder.needs_input)
                data = b""
                if len(piece) > produced:
                    yield piece[produced:]
                produced -= min(produced, len(piece))
                if decoder.eof:
                    return  # fed byte by byte, it came to its end: what it failed at stands behind that

    def _again(self, start: int, fed: int, end: int) -> Iterator[bytes]:
        """The input from `start`, from `fed` up to `end` byte by byte; nothing where it is gone (a pipe)."""
        try:
            while start < fed and (data := self._base.read(start, min(INPUT, fed - start))):
                yield data
                start += len(data)
            tail = self._base.read(fed, end - fed)
        except InputError:
            return
        for index in range(len(tail)):
            yield tail[index : index + 1]
