"""Plain files, windows on other layers, and bytes in memory: what is there to be read anywhere."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from msixtool.containers.base import Progress, Source
from msixtool.errors import InputError


class FileSource:
    """A file, read by pread: a mapped file that is walked would count as resident memory.

    It takes over a descriptor where one is given, else it opens `path`.
    """

    kind = ""
    sequential = False

    def __init__(self, path: str, descriptor: int | None = None, *, progress: Progress | None = None) -> None:
        self.path = path
        self._progress = progress
        self._reached = 0
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if descriptor is None else descriptor
        except (OSError, ValueError) as error:
            raise InputError("cannot be opened", path=path, found=_reason(error)) from None
        try:
            self.size = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            os.close(self._fd)
            raise InputError("cannot be read at any offset", path=path, found=_reason(error)) from None

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises InputError where the disk fails."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = os.pread(self._fd, length, offset)
            while data and len(data) < length:  # Linux gives at most 2 GiB in one go
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise InputError("cannot be read", path=self.path, offset=offset, found=_reason(error)) from None
        if self._progress is not None and offset + len(data) > self._reached:
            self._reached = offset + len(data)
            self._progress(self._reached, self.size)
        return data

    def drop(self, start: int, end: int) -> None:
        """Nothing to do: nothing is kept."""

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def details(self) -> dict[str, Any]:
        """Nothing besides the path."""
        return {}


class ObjectSource:
    """A seekable binary file object of the caller's, who keeps it open and closes it."""

    kind = ""
    sequential = False

    def __init__(self, file: BinaryIO, path: str, *, progress: Progress | None = None) -> None:
        self.path = path
        self._file = file
        self._progress = progress
        self._reached = 0
        try:
            self.size = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            raise InputError("cannot be read at any offset", path=path, found=_reason(error)) from None

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises InputError where the object fails."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            self._file.seek(offset)
            data = bytes(self._file.read(length))
        except (OSError, ValueError) as error:
            raise InputError("cannot be read", path=self.path, offset=offset, found=_reason(error)) from None
        if self._progress is not None and offset + len(data) > self._reached:
            self._reached = offset + len(data)
            self._progress(self._reached, self.size)
        return data

    def drop(self, start: int, end: int) -> None:
        """Nothing to do: nothing is kept."""

    def close(self) -> None:
        """Nothing to do: the object is the caller's."""

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
    def sequential(self) -> bool:
        """As the source below."""
        return self.base.sequential

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
    sequential = False

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


def file_offset(source: Source, offset: int) -> int:
    """Where a byte of a window stands in the source that the window, or window on a window, looks at."""
    while isinstance(source, SliceSource):
        offset += source.start
        source = source.base
    return offset


def _reason(error: Exception) -> str:
    """What the system says of a failed call, without its number."""
    return getattr(error, "strerror", None) or str(error)
