"""What is longer than a terminal goes into a pager, which is chosen, and told what to do, as git does it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from msixtool.cli.guard import below
from msixtool.cli.screen import asked

if TYPE_CHECKING:
    import subprocess


def live() -> None:
    """What is printed is wanted at once: there is no pager from here on."""
    out = below(sys.stdout)
    if isinstance(out, Paged):
        out.release()


class Paged:
    """A terminal whose text is held back until it is more than a screen, and goes into a pager then."""

    def __init__(self, out: TextIO) -> None:
        from shutil import get_terminal_size  # with archives in tow: not for a run into a pipe

        self.out = out
        self._held: list[tuple[TextIO, str]] | None = []
        self._lines = 0
        self._width, self._height = get_terminal_size()
        self._pager: subprocess.Popen[str] | None = None

    def write(self, text: str) -> int:
        """Text of the answer."""
        self._take(self.out, text)
        return len(text)

    def error(self, text: str) -> None:
        """Text for standard error, in its order among the rest."""
        self._take(sys.stderr, text)

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        """What is held stays so."""
        if self._pager is not None and self._pager.stdin is not None:
            self._pager.stdin.flush()
        elif self._held is None:
            self.out.flush()

    def release(self) -> None:
        """Print what is held, and hold nothing any more."""
        held, self._held = self._held or [], None
        for stream, text in held:
            stream.write(text)
            stream.flush()

    def close(self) -> None:
        """Print what is held, or wait until the pager is left."""
        if self._pager is None:
            self.release()
            return
        with suppress(OSError):
            cast("TextIO", self._pager.stdin).close()
        while True:
            try:
                self._pager.wait()
                return
            except KeyboardInterrupt:  # The pager's own: it goes on.
                continue

    def __getattr__(self, name: str) -> Any:
        return getattr(self.out, name)

    def _take(self, stream: TextIO, text: str) -> None:
        if self._pager is not None:
            cast("TextIO", self._pager.stdin).write(text)
            return
        if self._held is None:
            stream.write(text)
            return
        self._held.append((stream, text))
        self._lines += sum(1 + len(line) // self._width for line in text.split("\n")[:-1])
        if self._lines >= self._height:
            self._start()

    def _start(self) -> None:
        command = _command() if asked.pager else None
        if command is not None:
            import subprocess

            environment = {"LESS": "FRX", "LV": "-c", **os.environ}
            with suppress(OSError):
                self._pager = subprocess.Popen(
                    ["sh", "-c", command], stdin=subprocess.PIPE, text=True, env=environment, errors="replace"
                )
        if self._pager is None:
            self.release()
            return
        held, self._held = self._held or [], None
        for _, text in held:
            cast("TextIO", self._pager.stdin).write(text)


def _command() -> str | None:
    """The pager's command line; None where none is wanted or there, or nobody could tell it to go on."""
    if os.environ.get("TERM", "dumb") == "dumb" or not os.isatty(0):
        return None
    for name in ("MSIXTOOL_PAGER", "PAGER"):
        if name in os.environ:
            return None if os.environ[name] in ("", "cat") else os.environ[name]
    from shutil import which

    return "less" if which("less") else None
