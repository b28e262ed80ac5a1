"""A log as the bytes of its text: what is compressed or UTF-16 is read as what it was, in bounded memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from msixtool.containers.codecs import CODECS, Codec
from msixtool.containers.layers import DEPTH
from msixtool.errors import InputError

_PIECE = 1 << 16
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def text_of(log: BinaryIO, depth: int = 0) -> BinaryIO:
    """The log's text as UTF-8. Reading it raises OSError as the log does, InputError where it is damaged.

    `depth` is how often it was unpacked already.
    """
    head, pieces = begun(log, 16)
    codec = next((codec for codec in CODECS if codec.begins(head)), None)
    if codec is not None:
        if depth == DEPTH:
            raise InputError("a log that is packed too often", expected=f"at most {DEPTH} layers")
        return text_of(io.BufferedReader(Pieces(_unpacked(pieces, codec))), depth + 1)
    encoding = next((name for mark, name in _UTF16.items() if head.startswith(mark)), None)
    if encoding is None and len(head) >= 4 and head[1] == head[3] == 0 != head[0]:
        encoding = "utf-16-le"
    return io.BufferedReader(Pieces(pieces if encoding is None else _recoded(pieces, encoding)))


def begun(log: BinaryIO, size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes, fewer at the end alone; and all in pieces, those first."""
    head = b""
    while len(head) < size and (more := log.read(size - len(head))):
        head += more
    return head, chain((head,), iter(lambda: log.read(_PIECE), b""))


def _unpacked(pieces: Iterator[bytes], codec: Codec) -> Iterator[bytes]:
    new, failures = codec.load()
    decoder = new()
    for data in pieces:
        rest = data
        while rest or not (decoder.eof or decoder.needs_input):
            if decoder.eof:
                decoder = new()  # rotated logs may be several members behind each other
            try:
                made = decoder.decompress(rest, _PIECE)
            except failures as error:
                raise InputError(f"a log in {codec.kind} that is damaged", found=str(error)) from None
            rest = (decoder.unused_data or b"") if decoder.eof else b""
            if made:
                yield made


def _recoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for data in pieces:
        yield decoder.decode(data).lstrip("\ufeff").encode("utf-8", "replace")


class Pieces(io.RawIOBase):
    """A binary file of what an iterator gives."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
