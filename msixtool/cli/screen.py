"""How a command meets its screen: colour, a pager, and how much it says besides its answer.

The environment's words for colour are NO_COLOR (https://no-color.org), CLICOLOR and CLICOLOR_FORCE
(https://bixense.com/clicolors); the pager is chosen, and told what to do, as git does it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from msixtool.cli.guard import Guarded, below

if TYPE_CHECKING:
    import subprocess

Color = Literal["auto", "always", "never"]
Format = Literal["table", "json", "csv"]
Only = Literal["failing", "damaged"]


@dataclass(repr=False, eq=False)
class Screen:
    """What the options ask for; there is one, made anew for each run."""

    color: Color = "auto"
    format: Format = "table"
    only: Only | None = None
    quiet: bool = False
    verbose: bool = False
    pager: bool = True

    def forget(self) -> None:
        """What was asked for in a run before this one."""
        vars(self).update(vars(Screen()))


asked = Screen()


@contextmanager
def screened() -> Iterator[None]:
    """A run on standard output, which is guarded: options are forgotten behind it, a pager is waited for."""
    asked.forget()
    out: Any = sys.stdout
    terminal = out.below
    paged = Paged(terminal) if terminal.isatty() else None
    if paged is not None:
        out.below = paged
    if sys.stderr.isatty():
        from msixtool import bars
        from msixtool.cli.progress import progress_bar

        bars.set(progress_bar)
    try:
        yield
    finally:
        if asked.verbose:
            from msixtool import told

            told.set(None)
        if paged is not None:
            out.below = terminal
            paged.close()


def wants_colour(out: TextIO) -> bool:
    """Whether what is printed to `out` is coloured: by the option, then the environment, then what it is."""
    if asked.color != "auto":
        return asked.color == "always"
    environment = os.environ
    if environment.get("NO_COLOR"):
        return False
    forced = {"FORCE_COLOR", "TTY_COMPATIBLE"} & environment.keys()  # what rich goes by
    if forced or environment.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return out.isatty() and environment.get("CLICOLOR") != "0"


def columns() -> int:
    """Columns that lines are laid out for: 80, or those of a terminal that has fewer."""
    from msixtool.cli.plain import WIDTH

    if not sys.stdout.isatty():
        return WIDTH
    from shutil import get_terminal_size  # with archives in tow: not for a run into a pipe

    return min(WIDTH, get_terminal_size().columns)


def be_quiet() -> None:
    """Print nothing from here on but errors: the status is the answer."""
    asked.quiet = True
    if isinstance(sys.stdout, Guarded):
        sys.stdout.silent = True


def be_verbose() -> None:
    """Say on standard error how each input is read."""
    from msixtool import told
    from msixtool.cli.output import remark

    asked.verbose = True
    told.set(remark)


def say(line: str) -> None:
    """A line on standard error; in its place in the pager, where what was printed before it is there."""
    out = below(sys.stdout)
    if isinstance(out, Paged) and sys.stderr.isatty():
        out.error(f"{line}\n")
    else:
        print(line, file=sys.stderr)


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
