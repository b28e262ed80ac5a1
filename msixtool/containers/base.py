"""What every layer is: a window on bytes that can be read at any offset.

A layer never hands out more than was asked for and keeps no more than it needs, so that
memory stays flat whatever the size of the file.
"""

from __future__ import annotations

from typing import Any, Protocol

from msixtool.errors import TruncatedError

WINDOW = 1 << 20
"""Bytes that sequential readers fetch at a time."""


class Source(Protocol):
    """Bytes that can be read at any offset."""

    kind: str
    """The layer's name in `source.layers` of the JSON documents; empty for a plain file."""

    @property
    def size(self) -> int:
        """Bytes in all. May have to read to the end to find out."""

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer only where the end comes first."""

    def drop(self, start: int, end: int) -> None:
        """A hint: the bytes from `start` up to `end` will not be asked for again."""

    def close(self) -> None:
        """Release files and memory."""

    def details(self) -> dict[str, Any]:
        """What the layer says of itself besides its kind (codec, snapshot, …), for documents."""


def read_exactly(source: Source, offset: int, length: int, what: str) -> bytes:
    """`length` bytes from `offset`. Raises TruncatedError, naming `what`, where they are not there."""
    data = source.read(offset, length)
    if len(data) < length:
        raise TruncatedError(
            f"{what} is cut short",
            offset=offset,
            expected=f"{length} bytes",
            found=f"{len(data)} before the end",
        )
    return data
