"""Sequential reading in large pieces, with random access to what is near."""

from __future__ import annotations

from msixtool.containers.base import WINDOW, Source
from msixtool.errors import TruncatedError


class Window:
    """A buffer on a source: at least the bytes that were asked for, at most a few MiB."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._data = b""

    def at(self, offset: int, length: int, what: str) -> tuple[bytes, int]:
        """The buffer, and the index in it behind which `length` bytes from `offset` stand.

        Raises TruncatedError, naming `what`, where the stream ends before them, and the
        InputError of a container that is damaged there.
        """
        index = offset - self._start
        if index < 0 or index + length > len(self._data):
            self._data = self._source.read(offset, max(length, WINDOW))
            self._start, index = offset, 0
        if len(self._data) - index < length:
            # A damaged container speaks for itself here; the plain end of a stream says nothing.
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

    def peek(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the stream."""
        index = offset - self._start
        if index < 0 or index + length > len(self._data):
            self._data = self._source.read(offset, max(length, WINDOW))
            self._start, index = offset, 0
        return self._data[index : index + length]
