"""Standard input and named pipes: read once, in order, and kept as far as nobody drops it."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
