"""Printing results to standard output, and what is damaged to standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from msixtool.cli import screen
from msixtool.cli.guard import below, terminal
from msixtool.cli.plain import Column, Plain, Rows, write_pieces
from msixtool.cli.screen import remark, warn
from msixtool.cli.status import ExitStatus
from msixtool.errors import visible
from msixtool.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from msixtool import Answer, Origin
    from msixtool.cli.page import Page

_Shown = TypeVar("_Shown", bound="Answer")

SHOWN = 20
"""Places of damage, and other lines on standard error, that are shown of one input."""


def console() -> Console:
    """Standard output for people: colour on a terminal only, 80 columns where there is none."""
    colour = screen.wants_colour(sys.stdout)
    if (colour or sys.stdout.isatty()) and not screen.asked.quiet:
        return terminal(below(sys.stdout), colour=colour)
    return cast("Console", Plain(sys.stdout))


def heading(out: Console, file: object) -> None:
    """The name of one file of several, above what is shown of it."""
    out.print(f"{visible(str(file))}:", style="bold")


def print_lines(out: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Lines as long as they are: what stands out in each, and the rest. There may be 10^5 of them."""
    if isinstance(out, Plain):
        out.print_lines(map("".join, lines))
        return
    from rich.text import Text

    for bold, rest in lines:
        out.print(Text.assemble((bold, "bold"), rest), soft_wrap=True)


def print_folded(
    out: Console,
    text: str,
    *,
    width: int | None = None,
    indent: str = "",
    hanging: str | None = None,
    style: str | None = None,
) -> None:
    """Text broken at blanks at `width` (None: that of all tables), its continuation indented by `hanging`
    (None: as its first line)."""
    from textwrap import wrap

    behind = indent if hanging is None else hanging
    room = screen.columns() if width is None else width
    for line in wrap(text, room, initial_indent=indent, subsequent_indent=behind, break_on_hyphens=False):
        out.print(line, style=style, soft_wrap=True)


def table(*columns: str | tuple[str, Literal["left", "right"]]) -> Rows:
    """A plain table. A column is its heading, or heading and justification."""
    made = [Column(column) if isinstance(column, str) else Column(*column) for column in columns]
    return Rows(*(column._replace(whole=column.heading in ("Device", "Address")) for column in made))


def print_json(document: dict[str, Any], *, one_line: bool = False) -> None:
    """One JSON document: indented where it is the only one, on a line of its own among several.

    With `--format csv` its rows, behind their heading.
    """
    if screen.asked.format == "csv":
        from msixtool.cli.rows import print_rows

        print_rows(document)
        return
    if one_line:
        print(json.dumps(document, ensure_ascii=False))
        return
    print_pieces(json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(document))


def print_pieces(pieces: Iterable[str]) -> None:
    """One line that comes in pieces."""
    write_pieces(sys.stdout, pieces)
    sys.stdout.write("\n")


def give_answer(
    answer: _Shown, printed: Callable[[Console, _Shown], None], page: Page, *, as_json: bool
) -> None:
    """Print an answer, by `printed` for people, and write the page of it that was asked for."""
    if as_json:
        print_json(answer.document())
    else:
        printed(console(), answer)
    if page.is_asked:
        from msixtool import pages

        page.write(pages.page_of(answer.document()))


def report(answer: Answer, *, brief: bool = False) -> ExitStatus:
    """Name what is damaged on standard error; the status that follows from the answer and the damage."""
    own = ExitStatus.DONE if answer.ok else ExitStatus.REPORT
    return max(own, *(report_damage(origin, brief=brief) for origin in answer.origins))


def report_damage(origin: Origin, *, brief: bool = False) -> ExitStatus:
    """Name what is damaged in an input, or only odd, on standard error; the status that follows from it.

    `brief`, for one stream of many: all its damage in a line.
    """
    for warning in origin.warnings:
        remark(f"{origin.path}: {warning}")
    damage = origin.damage
    if brief and damage:
        more = f" (and {plural(len(damage) - 1, 'more place')})" if len(damage) > 1 else ""
        warn(f"{origin.path}: damaged: {damage[0]}{more}")
        return ExitStatus.USAGE
    for place in damage[:SHOWN]:
        warn(f"{origin.path}: damaged: {place}")
    if len(damage) > SHOWN:
        warn(f"{origin.path}: damaged: and {len(damage) - SHOWN} more places (all of them with --json)")
    return ExitStatus.USAGE if damage else ExitStatus.DONE


def for_each(files: Sequence[str], one: Callable[[str], ExitStatus]) -> ExitStatus:
    """Run `one` on each file; what cannot be read is named, and the others go on.

    Of several statuses the gravest counts.
    """
    from msixtool.errors import MsixtoolError

    statuses = [ExitStatus.DONE]
    for file in files:
        try:
            statuses.append(one(file))
        except MsixtoolError as error:
            if len(files) == 1:
                raise
            warn(str(error.at(path=file)))
            statuses.append(ExitStatus.USAGE)
    return max(statuses)
