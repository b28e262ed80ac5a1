"""What is asked of the screen (colour, a pager, how much is said besides the answer), and lines beside it.

The environment's words for colour are NO_COLOR (https://no-color.org), CLICOLOR and CLICOLOR_FORCE
(https://bixense.com/clicolors).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Literal, TextIO

from msixtool.cli.guard import Guarded
from msixtool.errors import visible

Color = Literal["auto", "always", "never"]
Format = Literal["table", "json", "csv"]
Only = Literal["failing", "damaged"]


class Screen:
    """What the options ask for, beside what holds where they do not; there is one, forgotten after a run."""

    color: Color = "auto"
    format: Format = "table"
    only: Only | None = None
    quiet: bool = False
    verbose: bool = False
    pager: bool = True
    beside: Callable[[str], object] | None = None
    """Takes what is for standard error while a pager has the answer."""

    def forget(self) -> None:
        """What was asked for in a run before this one."""
        vars(self).clear()


asked = Screen()


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

    asked.verbose = True
    told.set(remark)


def say(line: str) -> None:
    """A line on standard error; in its place in the pager, where what was printed before it is there."""
    if asked.beside is not None and sys.stderr.isatty():
        asked.beside(f"{line}\n")
    else:
        print(line, file=sys.stderr)


def warn(message: str) -> None:
    """One line on standard error, of something that is wrong."""
    say(f"msixtool: {visible(message)}")


def remark(message: str) -> None:
    """One line on standard error, of something that is as it should be; not with --quiet."""
    if not asked.quiet:
        warn(message)
