"""Bytes that come in order only (unpacked data, a pipe), kept so that they can be read anywhere.

What comes is held in memory for a while, then written at its own offset into a sparse temporary
file, unless it was dropped meanwhile: so a stream's RAM, which its reader passes over and drops,
never touches the disk, and all else can be read again. Dropped bytes that are asked for all the
same are fetched by starting over, where the origin can be read twice.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from msixtool.errors import ContainerError, InputError

HELD_SIZE = 4 << 20
"""Bytes of the newest data that stay in memory."""
CHUNK = 64 << 10
"""Bytes that are held in one piece at least, so that tiny pieces do not cost more than they hold."""

Feed = Callable[[], Iterator[bytes]]
"""Yields the data from its first byte, each time that it is called."""


class Spool:
    """A sparse temporary file without a name, for as many bytes as `room` gives."""

    def __init__(self, room: Callable[[], int], path: str) -> None:
        self._room = room
        self._path = path
        self._used = 0
        self._fd = -1

    def write(self, offset: int, data: bytes) -> None:
        """Keep `data` at `offset`; zeros need no room. Raises ContainerError where there is none left."""
        if data == bytes(len(data)):
            return
        if self._used + len(data) > (room := self._room()):
            raise ContainerError(
                "too much has to be kept on disk: unpack it into a file first",
                path=self._path,
                expected=f"at most {room} bytes besides RAM",
                found="more",
            )
        try:
            if self._fd < 0:
                self._fd = _unnamed_file()
            view = memoryview(data)
            while view:
                written = os.pwrite(self._fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise ContainerError(
                "no temporary file for what has to be kept (TMPDIR says where)",
                path=self._path,
                found=error.strerror,
            ) from None
        self._used += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes that were written at `offset` before, or zeros."""
        data = os.pread(self._fd, length, offset) if self._fd >= 0 else b""
        return data.ljust(length, b"\0")

    def close(self) -> None:
        """Give the room back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _unnamed_file() -> int:
    """A file that is gone when it is closed; /tmp is often memory, so /var/tmp is preferred."""
    folder = os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
    with tempfile.TemporaryFile(dir=folder, prefix="msixtool-") as file:
        return os.dup(file.fileno())


class Ranges:
    """Ranges of offsets, none of them touching another, added in increasing order."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")

    def add(self, start: int, end: int) -> None:
        """Add `start` up to `end`, which lies at or after all that was added before."""
        if self._ends and self._ends[-1] == start:
            self._ends[-1] = end
        else:
            self._starts.append(start)
            self._ends.append(end)

    def at(self, offset: int, limit: int) -> tuple[bool, int]:
        """Whether `offset` lies in a range, and up to where (at most `limit`) that stays so."""
        index = bisect_right(self._starts, offset)
        if index and offset < self._ends[index - 1]:
            return True, min(limit, self._ends[index - 1])
        return False, min(limit, self._starts[index]) if index < len(self._starts) else limit


class ForwardSource:
    """A source over data that comes in order.

    `feed` yields the data and raises an InputError where it is damaged; what came before the
    damage can be read, and reading at the damage raises that error. `repeatable` says whether
    `feed` can start over.
    """

    sequential = True

    def __init__(
        self, feed: Feed, *, kind: str, path: str, room: Callable[[], int], repeatable: bool = True
    ) -> None:
        self.kind = kind
        self._path = path
        self._feed = feed
        self._chunks = feed()
        self._repeatable = repeatable
        self._spool = Spool(room, path)
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_start = 0
        self._end = 0
        self._finished = False
        self._damage: InputError | None = None
        self._hints: list[tuple[int, int]] = []
        self._lost = Ranges()
        self._again: Iterator[bytes] | None = None
        self._again_chunk = (0, b"")

    @property
    def size(self) -> int:
        """Bytes in all, for which all is read. Raises the InputError of the damage, if there is any."""
        while self._pull():
            pass
        if self._damage is not None:
            raise copy(self._damage)
        return self._end

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises InputError where `offset` lies behind damage."""
        if length <= 0:
            return b""
        while self._end < offset + length and self._pull():
            pass
        if self._damage is not None and offset >= self._end:
            raise copy(self._damage)
        parts = []
        stop = min(offset + length, self._end)
        while offset < stop:
            part = self._part(offset, stop)
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def verify(self) -> InputError | None:
        """Read what is left, keeping nothing of it, and give the damage that there is anywhere.

        Checksums stand at the end: whoever has read all of a stream has not come by them yet.
        """
        self.drop(self._end, 1 << 63)
        while self._pull():
            pass
        return copy(self._damage) if self._damage is not None else None

    def drop(self, start: int, end: int) -> None:
        """Let the bytes from `start` up to `end` go when they leave memory; what is on disk stays there."""
        start = max(start, self._held_start)
        if start >= end:
            return
        if self._hints and self._hints[-1][0] <= start <= self._hints[-1][1]:
            self._hints[-1] = (self._hints[-1][0], max(end, self._hints[-1][1]))
        else:
            self._hints.append((start, end))

    def close(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._chunks = iter(())
        self._again = None
        self._spool.close()

    def details(self) -> dict[str, Any]:
        """Nothing besides the kind."""
        return {}

    def _pull(self) -> bool:
        """Take some more from the feed; False when nothing follows, be it the end or damage."""
        if self._finished:
            return False
        while self._end - self._held_start > HELD_SIZE:
            self._let_go()
        parts: list[bytes] = []
        taken = 0
        try:
            while taken < CHUNK:
                part = next(self._chunks, None)
                if part is None:
                    self._finished = True
                    break
                parts.append(part)
                taken += len(part)
        except InputError as damage:
            self._damage = damage
            damage.at(path=self._path)
            self._finished = True
        if taken:
            self._held.append((self._end, b"".join(parts)))
            self._end += taken
        return not self._finished

    def _let_go(self) -> None:
        """Move the oldest chunk from memory to the disk, but for the parts that were dropped."""
        start, chunk = self._held[0]
        end = start + len(chunk)
        dropped = self._dropped(start, end)
        at = start
        for first, last in (*dropped, (end, end)):
            if at < first:
                self._spool.write(at, chunk[at - start : first - start])
            at = last
        for first, last in dropped:
            self._lost.add(first, last)
        self._held.popleft()
        self._held_start = end
        self._hints = [hint for hint in self._hints if hint[1] > end]

    def _dropped(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of `start` up to `end` that hints cover, in order, none touching another."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(self._hints):
            first, last = max(first, start), min(last, end)
            if first >= last:
                continue
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return merged

    def _part(self, offset: int, stop: int) -> bytes:
        """Some bytes from `offset`, at least one and none at or after `stop`."""
        if offset >= self._held_start:
            index = bisect_right(self._held, offset, key=lambda held: held[0]) - 1
            start, chunk = self._held[index]
            return chunk[offset - start : stop - start]
        lost, until = self._lost.at(offset, min(stop, self._held_start))
        return self._part_again(offset, until) if lost else self._spool.read(offset, until - offset)

    def _part_again(self, offset: int, stop: int) -> bytes:
        """Some bytes of a dropped range, by going through the data once more."""
        if not self._repeatable:
            raise InputError("cannot be read twice: put it in a file first", path=self._path, offset=offset)
        start, chunk = self._again_chunk
        if self._again is None or offset < start:
            self._again = self._feed()
            start, chunk = 0, b""
        while offset >= start + len(chunk):
            start += len(chunk)
            following = next(self._again, None)
            if following is None:
                raise ContainerError("has changed while it was read", path=self._path, offset=offset)
            chunk = following
        self._again_chunk = (start, chunk)
        return chunk[offset - start : stop - start]
