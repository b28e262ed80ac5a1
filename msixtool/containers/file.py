"""Plain files, windows on other layers, and bytes in memory: what is there to be read anywhere."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Any, BinaryIO

from msixtool.containers.base import Progress, Source
from msixtool.errors import InputError


class Stamp:
    """A regular file as it was when reading it began; anything else is never seen to change.

    A file counts as changed where its size or its time of last modification has: not where it was
    renamed, linked or given other permissions, which alter the time of its status alone.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._fd = descriptor
        self._before = self._now()

    def _now(self) -> tuple[int, int] | None:
        """Size and time of modification in nanoseconds; None for what is no regular file."""
        if self._fd is None:
            return None
        status = os.fstat(self._fd)
        return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    def check(self, path: str) -> None:
        """Raises InputError, naming `path`, where the file has changed."""
        now = self._now()
        if self._before is None or now is None or now == self._before:
            return
        (size, time), (new_size, new_time) = self._before, now
        if new_size == size:
            raise InputError(
                "was written to while it was read",
                path=path,
                expected=f"no change since {_moment(time)}",
                found=f"one of {_moment(new_time)}",
            )
        what = "has become shorter" if new_size < size else "has grown"
        raise InputError(
            f"{what} while it was read", path=path, expected=f"{size} bytes", found=f"{new_size} bytes"
        )


def _moment(nanoseconds: int) -> str:
    """A time of modification as `ls --full-time` shows it."""
    import time

    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest:09}"


def cut_short(path: str, offset: int, size: int) -> InputError:
    """What to say where a file of `size` bytes has none at `offset`, before its end."""
    return InputError(
        "has become shorter while it was read",
        path=path,
        offset=offset,
        expected=f"{size} bytes",
        found="none from here on",
    )


class _Plain:
    """What is no layer of its own: nothing of it is kept, and there is nothing to say of it."""

    kind = ""

    def drop(self, start: int, end: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def details(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}


class _Checked(_Plain):
    """What may change, or fail, while it is read. `unchecked` says whether something was read since the last
    `check_unchanged`."""

    sequential = False
    _stamp: Stamp
    size: int

    def __init__(self, path: str, progress: Progress | None) -> None:
        self.path = path
        self._progress = progress
        self._reached = 0
        self.unchecked = False

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises InputError where reading fails, or there are fewer by
        now."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = self._some(offset, length)
            # Linux gives at most 2 GiB in one go, and an unbuffered object less than there is.
            while (
                data and len(data) < length and (more := self._some(offset + len(data), length - len(data)))
            ):
                data += more
        except (OSError, ValueError) as error:
            raise InputError("cannot be read", path=self.path, offset=offset, found=_reason(error)) from None
        self.unchecked = True
        if not data:
            raise cut_short(self.path, offset, self.size)
        if self._progress is not None and offset + len(data) > self._reached:
            self._reached = offset + len(data)
            self._progress(self._reached, self.size)
        return data

    def _some(self, offset: int, length: int) -> bytes:
        """At most `length` bytes, and one at least where there is one."""
        raise NotImplementedError

    def check_unchanged(self) -> None:
        """Raises InputError where it has changed since it was opened, as far as that is seen."""
        self._stamp.check(self.path)
        self.unchecked = False

    def close(self) -> None:
        """Look for no change any more."""
        self._stamp = Stamp(None)


class FileSource(_Checked):
    """A file, read by pread: a mapped file that is walked would count as resident memory.

    It takes over a descriptor where one is given, else it opens `path`.
    """

    def __init__(self, path: str, descriptor: int | None = None, *, progress: Progress | None = None) -> None:
        super().__init__(path, progress)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if descriptor is None else descriptor
        except (OSError, ValueError) as error:
            raise InputError("cannot be opened", path=path, found=_reason(error)) from None
        try:
            self.renew()
        except OSError as error:
            os.close(self._fd)
            raise InputError("cannot be read at any offset", path=path, found=_reason(error)) from None

    def renew(self) -> None:
        """Take the file as it is now. Raises OSError where it cannot seek."""
        self._stamp = Stamp(self._fd)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self.unchecked = False

    def _some(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def is_replaced(self) -> bool:
        """Whether another file stands under the path by now, as after a rename."""
        try:
            return not os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        super().close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ObjectSource(_Checked):
    """A seekable binary file object of the caller's, who keeps it open and closes it.

    Only one that is a file of the system is seen to change.
    """

    def __init__(self, file: BinaryIO, path: str, *, progress: Progress | None = None) -> None:
        super().__init__(path, progress)
        self._file = file
        try:
            self.renew()
        except (OSError, ValueError) as error:
            raise InputError("cannot be read at any offset", path=path, found=_reason(error)) from None

    def renew(self) -> None:
        """Take the object as it is now. Raises OSError or ValueError where it cannot seek."""
        self._stamp = Stamp(_descriptor(self._file))
        self.size = self._file.seek(0, os.SEEK_END)
        self.unchecked = False

    def _some(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return bytes(self._file.read(length))

    def check_unchanged(self) -> None:
        """As of any source, while the object is open."""
        if not getattr(self._file, "closed", False):
            self._stamp.check(self.path)
        self.unchecked = False

    def is_replaced(self) -> bool:
        """Never: the object has no path of its own."""
        return False


class SliceSource(_Plain):
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


class BytesSource(_Plain):
    """Bytes in memory, for states made from nothing and for tests."""

    sequential = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return self._data[offset : offset + max(0, length)]


def read_whole(path: str, limit: int) -> bytes:
    """All bytes of a small file ("-": standard input), or its first `limit` + 1 where there are more.

    Raises InputError where it cannot be read, or changed while it was.
    """
    if path == "-" and sys.stdin is None:
        raise InputError("standard input is closed", path=path)
    try:
        if path == "-":
            return sys.stdin.buffer.read(limit + 1)
        with open(path, "rb") as file:
            stamp = Stamp(file.fileno())
            data = file.read(limit + 1)
            stamp.check(path)
            return data
    except (OSError, ValueError) as error:
        raise InputError("cannot be read", path=path, found=_reason(error)) from None


def file_offset(source: Source, offset: int) -> int:
    """Where a byte of a window stands in the source that the window, or window on a window, looks at."""
    while isinstance(source, SliceSource):
        offset += source.start
        source = source.base
    return offset


def _descriptor(file: BinaryIO) -> int | None:
    """The descriptor of a file object whose bytes are those of the file (not what they unpack to)."""
    raw = getattr(file, "raw", file)
    return raw.fileno() if isinstance(raw, io.FileIO) else None


def _reason(error: Exception) -> str:
    """What the system says of a failed call, without its number."""
    return getattr(error, "strerror", None) or str(error)
