"""The compressed formats: how each is told by its first bytes, and how it is unpacked piece by piece.

Sources: RFC 1952 (gzip), the bzip2 manual, the .xz file format 1.2, RFC 8878 (Zstandard), the
LZ4 frame format 1.6.4, lzop's own source (see lzop.py).
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from msixtool.containers.base import WINDOW, Source
from msixtool.containers.file import file_offset
from msixtool.containers.lzop import LzopDecoder, LzopError
from msixtool.errors import ContainerError
from msixtool.formats import parse, sizeof
from msixtool.formats.frames import HEAD, SKIPPABLE
from msixtool.formats.lzop import MAGIC as LZOP_MAGIC

DECODER_MEMORY = 130 << 20
"""Bytes that a decoder may claim: a history of 128 MiB, which is what `zstd -d` allows, fits."""


class Decoder(Protocol):
    """Unpacks one member. The interface is that of `bz2.BZ2Decompressor`."""

    @property
    def eof(self) -> bool:
        """Whether the member's end is reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before something goes in."""

    @property
    def unused_data(self) -> bytes | None:
        """What was given beyond the member's end; None or nothing where that was nothing."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes, after `data` was added to what is to be unpacked."""


Failures = tuple[type[Exception], ...]
DecoderMaker = Callable[[], Decoder]


@dataclass(frozen=True)
class Codec:
    """One compressed format.

    `load` imports what it takes and gives the maker of decoders and what they raise; it raises
    ContainerError where a package is missing. `next_member` gives the offset of a member at or
    after an offset that lies behind one, or None where the data ends there for the format's tool.
    """

    kind: str
    magics: tuple[bytes, ...]
    load: Callable[[], tuple[DecoderMaker, Failures]]
    next_member: Callable[[Source, int, Codec], int | None]

    def begins(self, head: bytes) -> bool:
        """Whether `head` begins like a member."""
        return head.startswith(self.magics)


class Gzip:
    """zlib's decompressor behind the interface of the others. It verifies CRC-32 and length."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes. Raises zlib.error."""
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _load_gzip() -> tuple[DecoderMaker, Failures]:
    return Gzip, (zlib.error,)


def _load_bzip2() -> tuple[DecoderMaker, Failures]:
    bz2 = _module("bz2", "bzip2", None)
    return bz2.BZ2Decompressor, (OSError, ValueError)


def _load_xz() -> tuple[DecoderMaker, Failures]:
    lzma = _module("lzma", "xz", None)
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY), (lzma.LZMAError,)


def _load_zstd() -> tuple[DecoderMaker, Failures]:
    try:
        zstd: Any = importlib.import_module("compression.zstd")
    except ImportError:
        zstd = _module("backports.zstd", "zstd", "zstd")
    return zstd.ZstdDecompressor, (zstd.ZstdError,)


def zstd_decoder() -> tuple[Decoder, Failures]:
    """A decoder of one Zstandard frame and what it raises, for formats that hold such frames."""
    new, failures = _load_zstd()
    return new(), failures


def _load_lz4() -> tuple[DecoderMaker, Failures]:
    lz4 = _module("lz4.frame", "lz4", "lz4")
    return lz4.LZ4FrameDecompressor, (RuntimeError,)


def _load_lzop() -> tuple[DecoderMaker, Failures]:
    lzo = _module("lzallright", "lzop", "lzop")

    def unpack(packed: bytes, size: int) -> bytes:
        try:
            data: bytes = lzo.LZOCompressor.decompress(packed, size)
        except lzo.LZOError as error:  # its text may hold all of the data
            raise LzopError(f"no LZO1X data ({type(error).__name__})") from None
        return data

    return lambda: LzopDecoder(unpack), (LzopError,)


def _module(name: str, kind: str, extra: str | None) -> Any:
    """Import a module, or say which command installs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        remedy = f"pip install 'msixtool[{extra}]'" if extra else "a Python that was built with it"
        raise ContainerError(f"{kind} data takes the module {name}: {remedy}") from None


def _ends_softly(base: Source, offset: int, codec: Codec) -> int | None:
    """What follows a member and is none is left alone: gzip, bzip2, lzop and lz4 only warn of it."""
    return offset if codec.begins(base.read(offset, 16)) else None


def _ends_strictly(base: Source, offset: int, codec: Codec) -> int | None:
    """What follows a frame is a frame or the end. Raises ContainerError for anything else."""
    head = base.read(offset, 16)
    if not head or codec.begins(head):
        return offset if head else None
    raise ContainerError(
        f"{codec.kind} data is followed by something else",
        offset=file_offset(base, offset),
        found=head[:8].hex(" "),
    )


def _ends_padded(base: Source, offset: int, codec: Codec) -> int | None:
    """As strictly, but for the padding of zeros, in fours, that may stand behind an xz stream."""
    while padding := base.read(offset, WINDOW):
        zeros = len(padding) - len(padding.lstrip(b"\0"))
        offset += zeros - zeros % 4
        if zeros < WINDOW:
            break
        base.drop(0, offset)
    return _ends_strictly(base, offset, codec)


GZIP_MAGICS = (b"\x1f\x8b\x08",)
"""With the one method that there is, deflate."""
BZIP2_MAGICS = tuple(
    b"BZh%d%b" % (level, block)
    for level in range(1, 10)
    for block in (b"1AY&SY", b"\x17rE8P\x90")  # a block, or the end of a stream without one
)

CODECS = (
    Codec("gzip", GZIP_MAGICS, _load_gzip, _ends_softly),
    Codec("bzip2", BZIP2_MAGICS, _load_bzip2, _ends_softly),
    Codec("xz", (b"\xfd7zXZ\0",), _load_xz, _ends_padded),
    Codec("zstd", (b"\x28\xb5\x2f\xfd", *SKIPPABLE), _load_zstd, _ends_strictly),
    Codec("lzop", (LZOP_MAGIC,), _load_lzop, _ends_softly),
    Codec("lz4", (b"\x04\x22\x4d\x18", *SKIPPABLE), _load_lz4, _ends_softly),
)


def codec_of(source: Source) -> Codec | None:
    """The format that the first bytes of `source` are compressed in, if they are."""
    offset = 0
    head = source.read(0, 16)
    for _ in range(16):  # frames for other programs may stand before the first one with data
        if not head.startswith(SKIPPABLE) or len(head) < sizeof(HEAD):
            break
        offset += sizeof(HEAD) + parse(HEAD, head, what="skippable frame").size
        head = source.read(offset, 16)
    for codec in CODECS:
        if codec.begins(head) and not head.startswith(SKIPPABLE):
            return codec
    return None
