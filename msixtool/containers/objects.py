"""File objects of other libraries, as over an object store, where each read is a request.

The readers above ask for a byte here and a window there, often the same again: what was fetched is
kept, as far as it has room, so that a stream costs few requests and no byte of it is paid for twice.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Protocol

from msixtool.errors import MsixtoolError, UsageError

FETCHED = 64 << 10
"""Bytes that are fetched at least."""
KEPT = 32 << 20
"""Bytes that are kept: the newest."""


class Seekable(Protocol):
    """What is asked of a file object."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def read(self, size: int = -1, /) -> bytes: ...


class FetchedFile:
    """A seekable binary file object, read in blocks that are kept. The object stays the caller's.

    Whatever the object raises is an OSError here. Raises UsageError where it does not say where it stands.
    """

    def __init__(self, file: Seekable | BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        """By number, what was used last at the end."""
        self._size = self._end()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset in bytes from the start, or from the end: the offset from the start."""
        self._position = offset + (self._size if whence == os.SEEK_END else 0)
        return self._position

    def read(self, length: int) -> bytes:
        """At most `length` bytes; fewer only where the file ends, or has become shorter."""
        start, end = self._position, min(self._position + length, self._size)
        if end <= start:
            return b""
        first, last = start // FETCHED, (end - 1) // FETCHED
        pieces = self._from(first, last)
        whole = next((count for count, piece in enumerate(pieces) if len(piece) < FETCHED), last - first)
        data = b"".join(pieces[: whole + 1])[start - first * FETCHED : end - first * FETCHED]
        self._position += len(data)
        return data

    def _from(self, first: int, last: int) -> list[bytes]:
        """The blocks from `first` to `last`; those that are missing one after another in one request."""
        blocks = self._blocks
        found = {number: blocks.pop(number) for number in range(first, last + 1) if number in blocks}
        number = first
        while number <= last:
            run = number
            while run <= last and run not in found:
                run += 1
            if run > number:
                data = self._fetch(number * FETCHED, min(run * FETCHED, self._size))
                found |= {
                    number + index: data[index * FETCHED : (index + 1) * FETCHED]
                    for index in range(run - number)
                }
            number = run + 1
        result = [found[number] for number in range(first, last + 1)]
        blocks.update(found)
        while len(blocks) > KEPT // FETCHED:
            del blocks[next(iter(blocks))]
        return result

    def _fetch(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, however many the object gives at a time."""
        self._seek(start, os.SEEK_SET)
        data = self._read(end - start)
        while len(data) < end - start and (more := self._read(end - start - len(data))):
            data += more
        return data

    def _end(self) -> int:
        """The size in bytes. Some objects return nothing from `seek`, and say where they are by `tell`."""
        end: object = self._seek(0, os.SEEK_END)
        if end is None and callable(tell := getattr(self._file, "tell", None)):
            end = tell()
        if not isinstance(end, int) or end < 0:
            raise UsageError("a file object", expected="its offset from seek or tell", found=repr(end))
        return end

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except Exception as error:
            raise _as_os_error(error) from error

    def _read(self, length: int) -> bytes:
        try:
            data: object = self._file.read(length)
        except Exception as error:
            raise _as_os_error(error) from error
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) > length:
            raise UsageError(
                "a file object", expected=f"at most {length} bytes from read", found=_described(data)
            )
        return bytes(data)


def _described(data: object) -> str:
    return f"{len(data)} of them" if isinstance(data, bytes) else type(data).__name__


def _as_os_error(error: Exception) -> Exception:
    """What other libraries raise (of HTTP, of an object store) is a failure to read."""
    if isinstance(error, OSError | ValueError | MemoryError | MsixtoolError):
        return error
    return OSError(f"{type(error).__name__}: {error}")
