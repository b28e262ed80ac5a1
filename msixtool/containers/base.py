"""What every layer is: a window on bytes that can be read at any offset.

A layer never hands out more than was asked for and keeps no more than it needs, so that
memory stays flat whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

from msixtool.errors import TruncatedError

MAGIC = b"QEVM"
"""What a QEMU migration stream begins with, whatever its version."""

believed_ratio: ContextVar[float | None] = ContextVar("believed_ratio", default=1000.0)
"""Bytes that one byte of compressed data is believed to hold; None for no bound."""

told: ContextVar[Callable[[str], None] | None] = ContextVar("told", default=None)
"""Is called with a line on how each input was read; None where nobody wants to know."""

WINDOW = 1 << 20
"""Bytes that sequential readers fetch at a time."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are read or written so far, and those there are in all (0: not known)."""

bars: ContextVar[Callable[[str], AbstractContextManager[Progress]] | None] = ContextVar("bars", default=None)
"""Makes a progress bar for work on what is named; None where nobody looks."""


def bar_of(what: str) -> AbstractContextManager[Progress | None]:
    """A progress bar for what may take a while, where somebody looks."""
    make = bars.get()
    return nullcontext() if make is None else make(what)


class Source(Protocol):
    """Bytes that can be read at any offset."""

    kind: str
    """The layer's name in `source.layers` of the JSON documents; empty for a plain file."""

    @property
    def sequential(self) -> bool:
        """Whether to reach an offset costs reading all that stands before it (compressed, a pipe)."""

    @property
    def size(self) -> int:
        """Bytes in all. Has to read to the end to find out where the source is sequential.

        Raises the InputError that `read` raises at the damage, where the source is damaged.
        """

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer only where the end, or damage, comes first.

        Raises InputError only where not even the byte at `offset` can be read for damage.
        """

    def drop(self, start: int, end: int) -> None:
        """A hint: the bytes from `start` up to `end` will not be asked for again.

        They need not have been read yet. They may be asked for all the same: it only takes longer,
        and fails only where the source is a pipe. Give whole runs: a hint for each page is dear.
        """

    def close(self) -> None:
        """Release files and memory."""

    def details(self) -> dict[str, Any]:
        """What the layer says of itself besides its kind (codec, snapshot, …), for documents."""


def read_exactly(source: Source, offset: int, length: int, what: str) -> bytes:
    """`length` bytes from `offset`.

    Raises TruncatedError, naming `what`, where they are not there, or the InputError of the
    damage that hides them.
    """
    data = source.read(offset, length)
    if len(data) < length:
        source.read(offset + len(data), 1)  # damage speaks for itself, and the end says nothing
        raise TruncatedError(
            f"{what} is cut short",
            offset=offset,
            expected=f"{length} bytes",
            found=f"{len(data)} before the end",
        )
    return data
