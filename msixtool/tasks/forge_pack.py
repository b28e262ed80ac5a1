"""Packing a stream as its base was packed, piece by piece.

Sources: those of `msixtool.containers.codecs`, and lzop's own source for its files (see
`msixtool.containers.lzop`). Each level is the one that the format's tool takes by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from msixtool.errors import ContainerError
from msixtool.formats import build, lzop
from msixtool.stream.rewrite import Sink

GZIP_LEVEL, BZIP2_LEVEL = 6, 9


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes:
        """What comes out when `data` goes in."""

    def flush(self) -> bytes:
        """The rest."""


class Packer:
    """A sink that packs what is written to it into one member, and hands it on to another sink."""

    def __init__(self, kind: str, below: Sink) -> None:
        self._compressor = _MAKERS[kind]()
        self._below = below

    def write(self, data: bytes) -> None:
        """Append `data`."""
        if packed := self._compressor.compress(data):
            self._below.write(packed)

    def finish(self) -> None:
        """End the member: nothing can be written behind it."""
        self._below.write(self._compressor.flush())


def _zstd() -> _Compressor:
    try:
        module: Any = import_module("compression.zstd")
    except ImportError:
        module = _extra("backports.zstd", "zstd")
    compressor: _Compressor = module.ZstdCompressor()
    return compressor


class _Lz4:
    """The frame compressor of lz4 behind the interface of the others."""

    def __init__(self) -> None:
        self._frame = _extra("lz4.frame", "lz4").LZ4FrameCompressor(content_checksum=True)
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        head: bytes = b"" if self._begun else self._frame.begin()
        self._begun = True
        packed: bytes = self._frame.compress(data)
        return head + packed

    def flush(self) -> bytes:
        packed: bytes = self.compress(b"") + self._frame.flush()
        return packed


class _Lzop:
    """lzop's file format: LZO1X-1 in blocks of 256 KiB, with Adler-32 of the data."""

    _VERSION, _LIBRARY, _NEEDED, _METHOD, _LEVEL = 0x1040, 0x20A0, 0x0940, 1, 3

    def __init__(self) -> None:
        self._lzo = _extra("lzallright", "lzop").LZOCompressor()
        self._waiting = bytearray()
        self._packed = bytearray(self._header())

    def _header(self) -> bytes:
        value = {"version": self._VERSION, "library": self._LIBRARY, "needed": self._NEEDED, "name": ""}
        value |= {"method": self._METHOD, "level": self._LEVEL, "flags": lzop.F_ADLER32_D}
        # A regular file with permissions 0600, of no time.
        value |= {"mode": 0o100600, "mtime_low": 0, "mtime_high": 0, "checksum": 0}
        header = build(lzop.HEADER, value, what="lzop header")
        checked = header[len(lzop.MAGIC) : -lzop.CHECKSUM_SIZE]
        return build(lzop.HEADER, value | {"checksum": zlib.adler32(checked)}, what="lzop header")

    def compress(self, data: bytes) -> bytes:
        self._waiting += data
        while len(self._waiting) >= lzop.BLOCK_SIZE:
            self._block(bytes(self._waiting[: lzop.BLOCK_SIZE]))
            del self._waiting[: lzop.BLOCK_SIZE]
        packed = bytes(self._packed)
        self._packed.clear()
        return packed

    def _block(self, data: bytes) -> None:
        packed: bytes = self._lzo.compress(data)
        if len(packed) >= len(data):
            packed = data
        head = {"size": len(data), "packed_size": len(packed), "adler32": zlib.adler32(data)}
        self._packed += self._head(**head) + packed

    @staticmethod
    def _head(size: int, packed_size: int | None = None, adler32: int | None = None) -> bytes:
        value = {"size": size, "packed_size": packed_size, "adler32": adler32}
        value |= {"crc32": None, "packed_adler32": None, "packed_crc32": None}
        return build(lzop.BLOCK_HEAD, value, what="lzop block", flags=lzop.F_ADLER32_D)

    def flush(self) -> bytes:
        if self._waiting:
            self._block(bytes(self._waiting))
        return bytes(self._packed) + self._head(0)


def _extra(name: str, kind: str) -> Any:
    """A module of a package that is not everywhere, or the command that installs it."""
    try:
        return import_module(name)
    except ImportError:
        raise ContainerError(f"{kind} data takes the module {name}: pip install 'msixtool[{kind}]'") from None


_MAKERS: dict[str, Callable[[], _Compressor]] = {
    "gzip": lambda: zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16),
    "bzip2": lambda: import_module("bz2").BZ2Compressor(BZIP2_LEVEL),
    "xz": lambda: import_module("lzma").LZMACompressor(),
    "zstd": _zstd,
    "lz4": _Lz4,
    "lzop": _Lzop,
}

TOOLS = {kind: f"{kind} -dc" for kind in _MAKERS}
"""The command that unpacks each kind to its standard output; of other kinds nothing is packed."""
