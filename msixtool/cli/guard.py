"""The one place where text leaves the program: nothing in it is obeyed by a terminal, or hides.

Names, capabilities, scripts and XML are whatever the writer of an input chose. Standard output is
wrapped for the whole of a run (`guarded`), so that a command prints as it likes; rich, whose colours are
escapes too, is given what it lays out without any (`plain_line`, `terminal`).

Source: Unicode's general categories Cc, Cf, Zl and Zp.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_OBEYED = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""What a terminal obeys or does not show, but for the newline and the tab; compiled when it is first met."""


def escaped(text: str) -> str:
    """Text with the escapes of JSON for what a terminal would obey: JSON stays JSON, of the same value."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text  # nearly all of it is, and the search takes five times as long
    return re.sub(_OBEYED, _escape, text)


def plain_line(text: str) -> str:
    """The same of a text that is one line, or one cell of a table: a newline in it is a blank."""
    return escaped(text).replace("\n", " ")


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class Guarded:
    """A text stream that escapes what is written to it; `below` is the stream itself.

    What is written while it is `silent` is lost.
    """

    def __init__(self, below: TextIO, silent: bool = False) -> None:
        self.below = below
        self.silent = silent

    def write(self, text: str) -> int:
        if not self.silent:
            self.below.write(escaped(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


def guard(stream: TextIO, *, silent: bool = False) -> TextIO:
    """The stream, guarded (once)."""
    return stream if isinstance(stream, Guarded) else cast("TextIO", Guarded(stream, silent))


def below(stream: TextIO) -> TextIO:
    """The stream itself, for what is guarded already."""
    return stream.below if isinstance(stream, Guarded) else stream


@contextmanager
def guarded() -> Iterator[None]:
    """Standard output is guarded meanwhile."""
    before, sys.stdout = sys.stdout, guard(sys.stdout)
    ours = sys.stdout
    try:
        yield
    finally:
        # click puts something else there for a pipe that nobody reads any more, and that has to stay.
        if sys.stdout is ours:
            sys.stdout = before


def terminal(out: TextIO, *, colour: bool) -> Console:
    """Standard output as rich's console of a terminal: the only escapes on it are its own."""
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class Terminal(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(_one_line(what) for what in objects), **options)

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=escaped(segment.text))

    def _one_line(what: Any) -> Any:
        if isinstance(what, str):
            return plain_line(what)
        if isinstance(what, Text) and "\n" in what.plain:
            what = what.copy()
            what.plain = what.plain.replace("\n", " ")
        return what

    return Terminal(
        file=out, force_terminal=True, no_color=not colour, highlight=False, markup=False, emoji=False
    )
