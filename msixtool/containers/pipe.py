"""Standard input and named pipes: read once, in order, and kept as far as nobody drops it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress

from msixtool.containers.base import WINDOW, Progress
from msixtool.containers.forward import ForwardSource
from msixtool.errors import InputError


class PipeSource(ForwardSource):
    """What comes out of a descriptor that cannot seek; it is closed with the source."""

    def __init__(
        self, descriptor: int, path: str, *, spool_limit: int, progress: Progress | None = None
    ) -> None:
        self._fd = descriptor
        self._progress = progress
        _widen(descriptor)
        super().__init__(self._pieces, kind="", path=path, room=lambda: spool_limit, repeatable=False)

    def close(self) -> None:
        """Forget everything and close the descriptor."""
        super().close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _pieces(self) -> Iterator[bytes]:
        done = 0
        while True:
            try:
                data = os.read(self._fd, WINDOW)
            except OSError as error:
                raise InputError("cannot be read", offset=done, found=error.strerror) from None
            if not data:
                return
            done += len(data)
            if self._progress is not None:
                self._progress(done, 0)
            yield data


def _widen(descriptor: int) -> None:
    """Let a pipe hold a whole window: 64 KiB at a time cost a change of process each."""
    # What is no pipe cannot, a user who has many pipes must not, and macOS has no such call.
    with suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, WINDOW)
