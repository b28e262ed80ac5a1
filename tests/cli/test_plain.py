"""What goes into a pipe: laid out as rich does it, without rich where it fits."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st
from rich.console import Console

from msixtool.cli.guard import plain_line
from msixtool.cli.plain import WIDTH, Column, Plain, Rows

CELL = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=14).map(str.strip)


def by_rich(what: object, *, soft_wrap: bool = False, width: int = WIDTH) -> list[str]:
    """The lines that rich prints, without the blanks at their ends."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False, no_color=True)
    console.print(what, soft_wrap=soft_wrap)
    return [line.rstrip(" ") for line in out.getvalue().split("\n")]


def printed(what: object, *, soft_wrap: bool = False) -> list[str]:
    """The lines that a pipe gets."""
    out = io.StringIO()
    Plain(out).print(what, soft_wrap=soft_wrap)
    return out.getvalue().split("\n")


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    columns = draw(
        st.lists(
            st.builds(Column, CELL, st.sampled_from(["left", "right"]), st.booleans(), st.just("")),
            min_size=1,
            max_size=6,
        )
    )
    rows = Rows(*columns, heading=draw(st.booleans()))
    for cells in draw(st.lists(st.lists(CELL, min_size=1, max_size=len(columns)), min_size=1, max_size=5)):
        rows.add_row(*cells)
    return rows


@given(tables())
def test_a_table_is_laid_out_as_rich_does_it(rows: Rows) -> None:
    assert printed(rows) == by_rich(rows)


@given(tables(), st.integers(30, 100))
def test_a_terminal_of_any_width_loses_nothing_of_a_table(rows: Rows, width: int) -> None:
    lines = by_rich(rows, width=width)
    assert max(map(len, lines)) <= width
    assert Counter("".join("".join(lines).split())) == Counter(
        "".join("".join(by_rich(rows, width=400)).split())
    )


def test_where_not_all_fits_long_names_are_folded_behind_their_marks_and_headings_stay() -> None:
    columns = ("Device", "Vec", "Avail/taken/used", "Pending")
    rows = Rows(*(Column(name, whole=name == "Device") for name in columns))
    rows.add_row("0000:00:03.0:00.0/virtio-balloon", "2", "-", "none")
    assert by_rich(rows, width=50) == [
        "Device                Vec Avail/taken/used Pending",
        "0000:00:03.0:00.0/    2   -                none",
        "virtio-balloon",
        "",
    ]
    assert by_rich(rows, width=34) == [
        "                    Avail/",
        "                    taken/",
        "Device          Vec used   Pending",
        "0000:00:03.0:   2   -      none",
        "00.0/virtio-",
        "balloon",
        "",
    ]


@given(st.text(max_size=200), st.booleans())
@example(" \x85", False)
@example("a\rb\x0bc\x0cd\x1ce\x1df\x1eg\x85h\u2028i\u2029j\nk", False)
def test_text_is_one_line_printed_as_rich_does_it(text: str, soft_wrap: bool) -> None:
    assert printed(text, soft_wrap=soft_wrap) == by_rich(plain_line(text), soft_wrap=soft_wrap)


def test_what_is_too_wide_is_folded() -> None:
    rows = Rows(Column("Name"), Column("What"))
    rows.add_row("short", "word " * 30)
    assert rows.lines() is None
    assert len(printed(rows)) > 2
    assert max(map(len, printed(rows))) <= WIDTH


@pytest.mark.parametrize("command", ["inspect", "show", "load"])
def test_a_pipe_is_answered_without_rich(command: str, sample: Path) -> None:
    program = (
        "import sys; from msixtool.cli import run; run(sys.argv[1:]); "
        "sys.exit(any(name.startswith('rich') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program, command, sample], capture_output=True, check=False)
    assert done.stdout
    assert done.returncode == 0, done.stderr
