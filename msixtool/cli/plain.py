"""Text and tables for people where there is no terminal: what fits needs no layout, and no rich.

Importing rich takes a fifth of a whole `inspect`, and laying out a table of 2048 vectors with it five
times as long as all else. So a pipe gets lines that fit as they are; rich folds the others, and has
all of what goes to a terminal.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from msixtool.cli.guard import plain_line
from msixtool.kept import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions
    from rich.table import Table

WIDTH = 80
"""Columns that every table fits into."""
_GAP = "  "
_AT_ONCE = 4096


class Column(NamedTuple):
    """A column of a table. `whole` cells are not folded, `style` is rich's."""

    heading: str = ""
    justify: Literal["left", "right"] = "left"
    whole: bool = False
    style: str = ""


class Rows:
    """A table without lines: columns, and rows of as many cells. `heading` says whether it has one."""

    def __init__(self, *columns: Column, heading: bool = True) -> None:
        self.columns = list(columns)
        self._heading = heading
        self._rows: list[tuple[str, ...]] = []
        self._styles: list[str | None] = []

    def add_row(self, *cells: str, style: str | None = None) -> None:
        """Add a row, a cell a column; the last ones may be left out. `style` is rich's."""
        self._rows.append((*map(plain_line, cells), *[""] * (len(self.columns) - len(cells))))
        self._styles.append(style)

    def lines(self) -> list[str] | None:
        """The table as text; None where it does not fit into WIDTH, or holds what only rich can measure."""
        rows = [tuple(column.heading for column in self.columns)] if self._heading else []
        rows += self._rows
        if not all(_is_simple(cell) for row in rows for cell in row):
            return None
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        if sum(widths) + len(_GAP) * (len(widths) - 1) > WIDTH:
            return None
        pads = [str.rjust if column.justify == "right" else str.ljust for column in self.columns]
        return [
            _GAP.join(pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True))
            for row in rows
        ]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table]:
        """For a terminal: where not all fits, cells are folded between words; within them, if need be.

        A heading's word is broken last, and no text is ever left out.
        """
        from rich.table import Table

        gap, widths = self._fitted(options.max_width)
        # A gap is a column: whether padding counts behind the last one, releases of rich differ.
        made = Table(box=None, padding=0, pad_edge=False, show_header=self._heading, header_style="bold")
        empty = 0 if any(widths) else -1  # A column of nothing stays away: rich would give it a width.
        for at, (column, width) in enumerate(zip(self.columns, widths, strict=True)):
            if at:
                made.add_column(width=gap)
            if width == empty:
                continue
            made.add_column(
                _broken(column.heading, width),
                justify=column.justify,
                overflow="fold",
                style=column.style or None,
                width=width,
            )
        for row, style in zip(self._rows, self._styles, strict=True):
            cells = [
                ("", _broken(cell, width)) if width != empty else ("",)
                for cell, width in zip(row, widths, strict=True)
            ]
            made.add_row(*[*chain.from_iterable(cells)][1:], style=style)
        yield made

    def _fitted(self, room: int) -> tuple[int, Sequence[int | None]]:
        """The gap, and a width for each column; None for all where the terminal is too narrow for any."""
        levels = [*zip(*map(self._widths, range(len(self.columns))), strict=True)]
        gaps = len(self.columns) - 1
        for gap, level in (
            (len(_GAP), 1 if room >= WIDTH else 0),
            *((1, at) for at in range(1, len(levels))),
        ):
            if sum(levels[level]) + gap * gaps <= room:
                return gap, _given(levels[level::-1], room - gap * gaps)
        return 1, [None] * len(self.columns)

    def _widths(self, at: int) -> Iterator[int]:
        """What a column needs: to be folded nowhere, between words, or behind marks in them; to break no word
        of its heading; to be there at all."""
        from rich.cells import cell_len

        def most(texts: Iterable[str]) -> int:
            return max(map(cell_len, texts), default=0)

        column, cells = self.columns[at], [row[at] for row in self._rows]
        heading = column.heading if self._heading else ""
        whole = most((heading, *cells))
        yield whole
        words = [word for cell in cells for word in cell.split()]
        yield whole if column.whole else most((*heading.split(), *words))
        own = [part for word in heading.split() for part in _parts(word, "/")]
        yield most((*own, *(part for word in words for part in _parts(word))))
        yield max(most(own), min(whole, 1))
        yield min(whole, 1)


def _given(levels: Sequence[Sequence[int]], room: int) -> list[int]:
    """Widths from the first of `levels`, as far as there is room up to each that follows.

    The columns that need least have all that they need, the one that needs most what is left.
    """
    widths = list(levels[0])
    for more in levels[1:]:
        by_need = sorted(range(len(widths)), key=lambda at: more[at] - widths[at])
        for at in by_need:
            needed = more[at] - widths[at]
            if needed <= room - sum(widths):
                widths[at] = more[at]
        widths[by_need[-1]] += min(room - sum(widths), more[by_need[-1]] - widths[by_need[-1]])
    return widths


def _parts(word: str, marks: str = "-/:,@") -> list[str]:
    """A word in parts, each with the mark behind which it may be broken."""
    from re import findall

    return findall(f"[^{marks}]*[{marks}]|[^{marks}]+", word)


def _broken(cell: str, width: int | None) -> str:
    """A cell whose words are broken behind marks in them where they are longer than `width` columns."""
    if width is None or len(cell) <= width or not cell.isascii():
        return cell
    return " ".join(word if len(word) <= width else _broken_word(word, width) for word in cell.split(" "))


def _broken_word(word: str, width: int) -> str:
    parts = _parts(word, "/")  # a device's path and its kind
    lines = [""]
    for part in parts if max(map(len, parts)) <= width else _parts(word):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def write_pieces(out: TextIO, pieces: Iterable[str]) -> None:
    """Write pieces, some thousand at once; those before an error, too. Of a stream of 10^5 sections the text
    as a whole would take ten times as much as its document."""
    ready: list[str] = []
    try:
        for piece in pieces:
            ready.append(piece)
            if len(ready) == _AT_ONCE:
                out.write("".join(ready))
                ready.clear()
    finally:
        out.write("".join(ready))


class Plain:
    """A pipe or a file: what the commands use of rich's Console."""

    is_terminal = False

    def __init__(self, out: TextIO) -> None:
        self._out = cast("TextIO", _Unpadded(out))

    def print(self, what: Any = "", *, soft_wrap: bool = False, end: str = "\n", **styles: Any) -> None:
        """Print text or a table; `soft_wrap` text is not folded."""
        if isinstance(what, str):
            if _is_simple(what) and (soft_wrap or len(what) <= WIDTH):
                self._out.write(what + end)  # nearly all lines
                return
            what = plain_line(what)
        lines = _lines(what, soft_wrap)
        if lines is None:
            self._console.print(what, soft_wrap=soft_wrap, end=end, **styles)
        else:
            self._out.write("\n".join(lines) + end)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines that are not folded."""
        write_pieces(self._out, (plain_line(line) + "\n" for line in lines))

    @cached_property
    def width(self) -> int:
        """Columns that text is folded at."""
        return self._console.width

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "no_color": True}
        return Console(file=self._out, width=max(WIDTH, Console().width), **options)


class _Unpadded:
    """Text output without the blanks that pad the lines of a table: nobody wants them in a pipe."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        if " \n" in text:
            lines = text.split("\n")
            text = "\n".join([*(line.rstrip(" ") for line in lines[:-1]), lines[-1]])
        return self._out.write(text)

    def flush(self) -> None:
        self._out.flush()


def _lines(what: Any, soft_wrap: bool) -> list[str] | None:
    """The lines of text or of a table that rich would print just so; None where it has to see to them."""
    if isinstance(what, Rows):
        return what.lines()
    text = what if isinstance(what, str) else getattr(what, "plain", None)  # of rich's Text, which has styles
    if not isinstance(text, str):
        return None
    lines = text.split("\n")
    fit = (_is_simple(line) and (soft_wrap or len(line) <= WIDTH) for line in lines)
    return lines if all(fit) else None


def _is_simple(text: str) -> bool:
    """Whether each character takes one column."""
    return text.isascii() and text.isprintable()
