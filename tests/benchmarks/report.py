"""The tables of a run, on a terminal and in Markdown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Outcome
from tests.benchmarks.measure import Job, Results

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


@dataclass(frozen=True)
class Sheet:
    """One table: `left` is how many of its columns are words."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int


def measurements(results: Results, jobs: Sequence[Job]) -> Sheet:
    """One row for each job, in order."""
    columns = ("Input", "Command", "Median s", "Least s", "CPU s", "Peak MB", "Times as fast as")
    rows = []
    last = None
    for job in jobs:
        runs = results[job.key]
        other = results.get((job.input, job.beside or ""))
        rows.append(
            (
                job.input if job.input != last else "",
                job.name,
                *(f"{value:.3f}" for value in (runs.median, runs.least, runs.cpu_median)),
                f"{runs.peak / 1e6:.1f}",
                f"{job.beside} {other.median / runs.median:.2f}" if other is not None else "",
            )
        )
        last = job.input
    return Sheet("Measured", columns, rows, 2)


def figures(found: Sequence[Outcome]) -> Sheet:
    """The figures to reach."""
    columns = ("Figure", "Target", "By medians", "By least", "By CPU", "Reached")
    rows = [(each.words, each.target, *each.values, "yes" if each.reached else "NO") for each in found]
    return Sheet("Figures to reach", columns, rows, 1)


def where(names: Sequence[str], steps: Sequence[str], taken: Sequence[Sequence[float]]) -> Sheet:
    """Milliseconds of each step of `inspect`, a column for each input."""
    rows = [
        (step, *(f"{column[number] * 1000:.1f}" for column in taken)) for number, step in enumerate(steps)
    ]
    return Sheet("Where the time of inspect goes (ms)", ("Step", *names), rows, 1)


def show(sheets: Sequence[Sheet], facts: Sequence[tuple[str, str]]) -> None:
    """Print the tables, and the facts of the machine."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for sheet in sheets:
        table = Table(title=sheet.title, title_justify="left", box=None, pad_edge=False)
        for number, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if number < sheet.left else "right", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    for name, value in facts:
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)


def markdown(sheets: Sequence[Sheet], facts: Sequence[tuple[str, str]]) -> str:
    """The same for a page of docs/."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in facts)]
    for sheet in sheets:
        rule = ["---" if number < sheet.left else "---:" for number in range(len(sheet.columns))]
        lines = [f"### {sheet.title}", "", *(_line(row) for row in (sheet.columns, rule, *sheet.rows))]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(path: Path, text: str) -> None:
    """Put the tables into a page between its two marks; a page that is not there is nothing but them.

    Raises ValueError where the page has no marks.
    """
    block = f"{BEGIN}\n{text}{END}"
    if not path.exists():
        path.write_text(block + "\n")
        return
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: expected {BEGIN} and {END}")
    path.write_text(before + block + after)
