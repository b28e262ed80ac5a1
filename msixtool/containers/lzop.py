"""lzop files: a header, then blocks of LZO1X data with their checksums (formats/lzop.py has their records).

Source: lzop 1.04, src/lzop.c (read_header, x_decompress). The blocks themselves are unpacked by the package
lzallright, which needs no C library.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import lzop as fmt, parse, sizeof
from msixtool.formats.lzop import BLOCK_SIZE

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

    def _record(self, schema: Any, most: int, **parameters: Any) -> Any:
        """The record of `most` bytes or less that is next."""
        try:
            found = parse(schema, self._input[self._at : self._at + most], what="lzop", **parameters)
        except TruncatedError:
            raise _NotThereYet from None
        except FormatError:
            raise LzopError("no lzop header") from None
        self._at += found.end
        return found

    def _header(self) -> int:
        """Parse the file header and give its flags."""
        found = self._record(fmt.HEADER, fmt.HEADER_MAX)
        flags: int = found.flags
        if found.version < fmt.OLDEST_VERSION:
            oldest = f"{fmt.OLDEST_VERSION:#06x}"
            raise LzopError(f"lzop header of version {found.version:#06x}, older than {oldest}")
        if found.method not in fmt.METHODS:
            raise LzopError(f"method {found.method}, none of {fmt.METHODS}")
        if flags & (fmt.F_FILTER | fmt.F_MULTIPART):
            raise LzopError(f"flags {flags:#x}: a filter or several parts")
        checked = self._input[self._start + len(fmt.MAGIC) : self._at - fmt.CHECKSUM_SIZE]
        checksum = zlib.crc32 if flags & fmt.F_CRC32_HEADER else zlib.adler32
        self._compare("header", checksum, checked, found.checksum)
        if flags & fmt.F_EXTRA_FIELD:
            size = parse(fmt.EXTRA_SIZE, self._take(sizeof(fmt.EXTRA_SIZE)), what="lzop extra field")
            if size > BLOCK_SIZE:
                raise LzopError(f"extra field of {size} bytes")
            self._take(size + fmt.CHECKSUM_SIZE)
        return flags

    def _block(self, flags: int) -> bytes:
        """Parse one block and give its data; nothing at the end of the member."""
        head = self._record(fmt.BLOCK_HEAD, fmt.BLOCK_HEAD_MAX, flags=flags)
        size: int = head.size
        if size == 0:
            self.eof = True
            return b""
        if size > BLOCK_SIZE or not 0 < head.packed_size <= size:
            raise LzopError(f"block of {size} bytes in {head.packed_size}")
        packed = self._take(head.packed_size)
        self._compare("packed block", zlib.adler32, packed, head.packed_adler32)
        self._compare("packed block", zlib.crc32, packed, head.packed_crc32)
        data = packed if head.packed_size == size else self._unpack(packed, size)
        if len(data) != size:
            raise LzopError(f"block of {len(data)} bytes that should have {size}")
        self._compare("block", zlib.adler32, data, head.adler32)
        self._compare("block", zlib.crc32, data, head.crc32)
        return data

    @staticmethod
    def _compare(what: str, checksum: Checksum, data: bytes, value: int | None) -> None:
        """Check the data against a checksum, where there is one."""
        if value is not None and checksum(data) != value:
            raise LzopError(f"wrong checksum of a {what}")


class _NotThereYet(Exception):  # noqa: N818 - not an error: more input is wanted
    """The input ends before the record does."""
