"""Plain files, windows on other layers, and bytes in memory."""

from __future__ import annotations

import os
from typing import Any

from msixtool.containers.base import Source
from msixtool.errors import InputError


class FileSource:
    """A file, read by pread: a mapped file that is walked would count as resident memory."""

    kind = ""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InputError("cannot be opened", path=path, found=error.strerror) from None
        try:
            self.size = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            os.close(self._fd)
            raise InputError("cannot be read at any offset", path=path, found=error.strerror) from None

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises InputError where the disk fails."""
        try:
            return os.pread(self._fd, max(0, min(length, self.size - offset)), offset)
        except OSError as error:
            raise InputError("cannot be read", path=self.path, offset=offset, found=error.strerror) from None

    def drop(self, start: int, end: int) -> None:
        """Nothing to do: nothing is kept."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def details(self) -> dict[str, Any]:
        """Nothing besides the path."""
        return {}


class SliceSource:
    """A window on another source: `length` bytes from `start`, or all that follows."""

    def __init__(self, base: Source, start: int, length: int | None = None, *, kind: str = "") -> None:
        self.kind = kind
        self.base = base
        self.start = start
        self.length = length

    @property
    def size(self) -> int:
        """Bytes in the window."""
        rest = max(0, self.base.size - self.start)
        return rest if self.length is None else min(self.length, rest)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` of the window."""
        if self.length is not None:
            length = min(length, self.length - offset)
        return self.base.read(self.start + offset, length) if length > 0 else b""

    def drop(self, start: int, end: int) -> None:
        """Hand the hint on."""
        self.base.drop(self.start + start, self.start + end)

    def close(self) -> None:
        """Close what lies below."""
        self.base.close()

    def details(self) -> dict[str, Any]:
        """Nothing of its own."""
        return {}


class BytesSource:
    """Bytes in memory, for states made from nothing and for tests."""

    kind = ""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return self._data[offset : offset + max(0, length)]

    def drop(self, start: int, end: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def details(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}
