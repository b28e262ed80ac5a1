"""Ways in which a file changes under a reader, made to happen between two reads of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool.containers.file import FileSource, ObjectSource

Change = Callable[[Path], None]

LONG_AGO = 1_600_000_000
"""A time of modification, in seconds: a change after it is one, however coarse a file system's clock."""


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def write_in_place(path: Path) -> None:
    """Other bytes, as many as before."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes(byte ^ 0xFF for byte in data))


def grow_and_shrink_again(path: Path) -> None:
    size = path.stat().st_size
    grow(path)
    os.truncate(path, size)


CHANGES: dict[Change, str] = {
    shrink: "has become shorter while it was read",
    empty: "has become shorter while it was read",
    grow: "has grown while it was read",
    write_in_place: "was written to while it was read",
    grow_and_shrink_again: "was written to while it was read",
}
"""Each way, and the words for it."""


def replace(path: Path) -> None:
    """Another file takes the name, as `mv` does it."""
    other = path.with_name("other")
    other.write_bytes(b"something else altogether")
    other.rename(path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def delete(path: Path) -> None:
    path.unlink()


def link(path: Path) -> None:
    path.with_name("linked").hardlink_to(path)


def permit(path: Path) -> None:
    path.chmod(0o600)


def touch_access(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns))


HARMLESS: list[Change] = [move_away, delete, link, permit, touch_access]
"""What happens to a file without a byte of it changing."""


class Moment:
    """Makes a change right before a read of an input, counted from 1; `reads` counts all that there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self._number = 0
        self._happen: Callable[[], None] = lambda: None
        for kind in (FileSource, ObjectSource):
            monkeypatch.setattr(kind, "read", self._counted(kind.read))

    def before_read(self, number: int, happen: Callable[[], None]) -> None:
        self.reads, self._number, self._happen = 0, number, happen

    def _counted(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def counted(source: FileSource | ObjectSource, offset: int, length: int) -> bytes:
            self.reads += 1
            if self.reads == self._number:
                self._happen()
            return read(source, offset, length)

        return counted


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    return Moment(monkeypatch)


def fresh(path: Path, data: bytes) -> Path:
    """A file that was written long ago."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path
