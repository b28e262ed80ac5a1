"""lzop files: a header, then blocks of LZO1X data with their checksums.

Source: lzop 1.04, src/lzop.c (read_header, x_decompress) and conf.h. All integers are big-endian.
The blocks themselves are unpacked by the package lzallright, which needs no C library.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

MAGIC = b"\x89LZO\0\r\n\x1a\n"
BLOCK_SIZE = 256 << 10
"""Bytes of data in a block as lzop writes them. More is refused: the unpacker itself has no bound."""

F_ADLER32_D = 0x1
F_ADLER32_C = 0x2
F_EXTRA_FIELD = 0x40
F_CRC32_D = 0x100
F_CRC32_C = 0x200
F_MULTIPART = 0x400
F_FILTER = 0x800
F_CRC32_HEADER = 0x1000

METHODS = (1, 2, 3)
"""LZO1X-1, LZO1X-1(15) and LZO1X-999, which are unpacked alike."""

Checksum = Callable[[bytes], int]


class LzopError(Exception):
    """Data that contradicts the format, in few words."""


class LzopDecoder:
    """Unpacks one lzop member. The interface is that of `bz2.BZ2Decompressor`."""

    def __init__(self, unpack: Callable[[bytes, int], bytes]) -> None:
        self._unpack = unpack
        self._input = b""
        self._start = 0  # of what is not parsed yet
        self._at = 0  # where the parser stands
        self._output = b""
        self._flags: int | None = None
        self.eof = False
        self.needs_input = True

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the member's end."""
        return self._input[self._start :] if self.eof else b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes. Raises LzopError where the data is damaged."""
        if data:
            self._input = self._input[self._start :] + data
            self._start = 0
        if not self._output and not self.eof:
            self._output = self._step()
        piece, self._output = self._output[:max_length], self._output[max_length:]
        return piece

    def _step(self) -> bytes:
        """The data of the next block, or nothing where it is not there yet."""
        self._at = self._start
        try:
            if self._flags is None:
                self._flags = self._header()
                self._start = self._at
            block = self._block(self._flags)
        except _NotThereYet:
            self.needs_input = True
            return b""
        self._start = self._at
        self.needs_input = False
        return block

    def _take(self, size: int) -> bytes:
        if len(self._input) - self._at < size:
            raise _NotThereYet
        self._at += size
        return self._input[self._at - size : self._at]

    def _word(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def _header(self) -> int:
        """Parse the file header and give its flags."""
        if self._take(len(MAGIC)) != MAGIC:
            raise LzopError("no lzop header")
        version, _library = struct.unpack(">HH", self._take(4))
        if version < 0x0940:
            raise LzopError(f"lzop header of version {version:#06x}, older than 0x0940")
        method: int
        flags: int
        _needed, method, _level, flags = struct.unpack(">HBBI", self._take(8))
        if method not in METHODS:
            raise LzopError(f"method {method}, none of {METHODS}")
        if flags & (F_FILTER | F_MULTIPART):
            raise LzopError(f"flags {flags:#x}: a filter or several parts")
        self._take(12)  # mode, and the time in two words
        self._take(self._take(1)[0])  # the file's name
        checked = self._input[self._start + len(MAGIC) : self._at]
        self._compare("header", zlib.crc32 if flags & F_CRC32_HEADER else zlib.adler32, checked, self._word())
        if flags & F_EXTRA_FIELD:
            size = self._word()
            if size > BLOCK_SIZE:
                raise LzopError(f"extra field of {size} bytes")
            self._take(size + 4)
        return flags

    def _block(self, flags: int) -> bytes:
        """Parse one block and give its data; nothing at the end of the member."""
        size = self._word()
        if size == 0:
            self.eof = True
            return b""
        packed_size = self._word()
        if size > BLOCK_SIZE or not 0 < packed_size <= size:
            raise LzopError(f"block of {size} bytes in {packed_size}")
        wanted = self._checksums(flags, F_ADLER32_D, F_CRC32_D)
        stored = packed_size == size
        wanted_packed = [] if stored else self._checksums(flags, F_ADLER32_C, F_CRC32_C)
        packed = self._take(packed_size)
        for checksum, value in wanted_packed:
            self._compare("packed block", checksum, packed, value)
        data = packed if stored else self._unpack(packed, size)
        if len(data) != size:
            raise LzopError(f"block of {len(data)} bytes that should have {size}")
        for checksum, value in wanted:
            self._compare("block", checksum, data, value)
        return data

    def _checksums(self, flags: int, adler32: int, crc32: int) -> list[tuple[Checksum, int]]:
        """The checksums that the flags announce, each with its value, in their order."""
        kinds: list[tuple[int, Checksum]] = [(adler32, zlib.adler32), (crc32, zlib.crc32)]
        return [(checksum, self._word()) for flag, checksum in kinds if flags & flag]

    @staticmethod
    def _compare(what: str, checksum: Checksum, data: bytes, value: int) -> None:
        if checksum(data) != value:
            raise LzopError(f"wrong checksum of a {what}")


class _NotThereYet(Exception):  # noqa: N818 - not an error: more input is wanted
    """The input ends before the record does."""
