"""Sequential reading in large pieces, with random access to what is near."""

from __future__ import annotations

from msixtool.containers.base import WINDOW, Source
from msixtool.errors import TruncatedError

MAX_OFFSET = 1 << 62
"""No file is as long: an offset beyond it comes of a damaged length, and no system call takes it."""


_FIRST = 1 << 14
"""Bytes that a window begins with: many are for a header alone."""


class Window:
    """A buffer on a source: at least the bytes that were asked for, at most a few MiB.

    Each time that it is filled it takes four times as many bytes, up to WINDOW.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ahead = _FIRST
        self._start = 0
        self._data = b""

    def at(self, offset: int, length: int, what: str) -> tuple[bytes, int]:
        """The buffer, and the index in it behind which `length` bytes from `offset` stand.

        Raises TruncatedError, naming `what`, where the stream ends before them, and the
        InputError of a container that is damaged there.
        """
        index = offset - self._start
        if index < 0 or index + length > len(self._data):
            self._fill(offset, length)
            index = 0
        if len(self._data) - index < length:
            # A damaged container speaks for itself here; the plain end of a stream says nothing.
            if offset < MAX_OFFSET:
                self._source.read(self._start + len(self._data), 1)
            raise TruncatedError(
                f"the stream ends inside {what}",
                offset=offset,
                expected=f"{length} bytes",
                found=len(self._data) - index,
            )
        return self._data, index

    def exactly(self, offset: int, length: int, what: str) -> bytes:
        """Exactly `length` bytes from `offset`. Raises TruncatedError as `at` does."""
        data, index = self.at(offset, length, what)
        return data[index : index + length]

    def reaches(self, end: int, what: str) -> None:
        """Check that the stream has a byte before `end`. Raises TruncatedError as `at` does."""
        self.at(end - 1, 1, what)

    def peek(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the stream."""
        index = offset - self._start
        if index < 0 or index + length > len(self._data):
            self._fill(offset, length)
            index = 0
        return self._data[index : index + length]

    def _fill(self, offset: int, length: int) -> None:
        """Have a buffer that begins with these bytes, as far as the stream has them."""
        self._data = self._source.read(offset, max(length, self._ahead)) if offset < MAX_OFFSET else b""
        self._ahead = min(4 * self._ahead, WINDOW)
        self._start = offset


class WindowBehind:
    """A buffer on what stands in a source from `start` to `end`, which is read from the end on."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        self._first, self._last = start, end
        self._start = end
        self._data = b""

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of all."""
        end = min(offset + length, self._last)
        if offset < self._start or end > self._start + len(self._data):
            self._start = min(offset, max(self._first, end - WINDOW))
            self._data = self._source.read(self._start, end - self._start)
        return self._data[offset - self._start : end - self._start]
