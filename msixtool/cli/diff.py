"""`msixtool diff`: what differs between two streams, SPECs or saved states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.completion import complete_files
from msixtool.cli.page import Page, html_options
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Difference, DiffOptions
    from msixtool.cli.diff_words import DiffLine

_STYLES = {"added": "green", "removed": "red", "changed": ""}


@click.command(short_help="What differs, by device and vector.")
@click.argument("a", shell_complete=complete_files)
@click.argument("b", shell_complete=complete_files)
@options.device_option
@click.option("--loaded", is_flag=True, help="Compare the states as they are after the load path.")
@click.option("--fields", is_flag=True, help="Every vmstate field of every section too, and RAM by digest.")
@click.option("--moving", is_flag=True, help="With --fields: fields that always move count too.")
@click.option("--no-ram", is_flag=True, help="With --fields: leave RAM alone, which takes time to read.")
@click.option(
    "--vectors",
    type=click.IntRange(1, 2048),
    metavar="N",
    help="Vectors of a saved state [what its size says].",
)
@options.kind_option("The kind of device that a saved state is of, such as e1000e.")
@click.option(
    "--snapshot", multiple=True, metavar="NAME", help="Internal snapshot of a qcow2 image: A's; again: B's."
)
@click.option(
    "--offset",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Leading bytes to skip: A's; again: B's.",
)
@options.max_ratio_option
@options.json_option
@html_options
@options.common_options
def diff(
    a: str,
    b: str,
    no_ram: bool,
    vectors: int | None,
    snapshot: tuple[str, ...],
    offset: tuple[int, ...],
    as_json: bool,
    html: str | None,
    force: bool,
    **how: Unpack[DiffOptions],
) -> ExitStatus:
    """Compare the devices with MSI-X of A and B, field by field and vector by vector.

    A and B are streams, SPECs, or states that `save` wrote, in any pairing. Devices are matched by
    name and instance. The status is 0 where nothing differs and 1 where something does.
    """
    from contextlib import ExitStack

    from msixtool import open_input
    from msixtool.cli.output import give_answer
    from msixtool.errors import UsageError

    if (how["moving"] or no_ram) and not how["fields"]:
        raise UsageError("--moving and --no-ram", expected="--fields with them")
    if a == b == "-":
        raise UsageError("only one of A and B can be standard input")
    if len(snapshot) > 2 or len(offset) > 2:
        raise UsageError("--snapshot and --offset", expected="each twice at most: for A, then for B")
    page = Page(html, force, inputs=[a, b])
    where = zip((a, b), (*offset, 0, 0), (*snapshot, None, None), strict=False)
    with ExitStack() as stack:
        left, right = (
            stack.push(open_input(file, offset=skip, snapshot=name, vectors=vectors))
            for file, skip, name in where
        )
        how["ram"] = how["fields"] and not no_ram and how["device"] is None
        answer = left.diff(right, **how)
    give_answer(answer, _print, page, as_json=as_json)
    return _report(answer)


def _report(answer: Difference) -> ExitStatus:
    """Name what is damaged, in the streams or of what was compared; the status."""
    from msixtool.cli.output import SHOWN, report
    from msixtool.cli.screen import warn

    status = report(answer)
    for line in answer.undecoded[:SHOWN]:
        warn(f"damaged: {line}")
    for path, line in answer.broken[:SHOWN]:
        warn(f"{path}: damaged: {line}")
    return ExitStatus.USAGE if answer.damage else status


def _print(out: Console, answer: Difference) -> None:
    """Everything in words."""
    from rich.text import Text

    from msixtool.cli.diff_words import device_lines, field_lines, ram_line
    from msixtool.words import plural

    for line in device_lines(answer.changes, [*answer.sides[0], *answer.sides[1]]):
        _print_device(out, line)
    for section, words in field_lines(answer.fields or []):
        if section:
            out.print(Text(section, "bold"), soft_wrap=True)
        else:
            _print_below(out, words)
    if answer.ram:
        out.print("RAM", style="bold")
    for change in answer.ram or []:
        _print_below(out, ram_line(change))
    if answer.moving:
        count, verb = plural(len(answer.moving), "field"), "moves" if len(answer.moving) == 1 else "move"
        out.print(f"{count} that always {verb} left out (--moving)", style="dim")
    if answer.equal:
        count = plural(len(answer.sides[0]), "device")
        out.print(f"No difference in {count} with MSI-X{_compared_too(answer)}.")


def _compared_too(answer: Difference) -> str:
    if answer.fields is None:
        return ""
    return " and all fields" if answer.ram is None else ", all fields and RAM"


def _print_device(out: Console, line: DiffLine) -> None:
    """One device: in one line where it fits, else each difference in a line of its own."""
    from rich.text import Text

    style = _STYLES[line.tone]
    clauses = line.clauses if line.tone == "changed" else [line.tone, *line.clauses]
    text = ", ".join(clauses)
    if len(line.name) + 2 + len(text) <= out.width:
        out.print(Text.assemble((line.name, "bold"), ": ", (text, style)), soft_wrap=True)
        return
    out.print(Text.assemble((line.name, "bold"), ":"), soft_wrap=True)
    for clause in clauses:
        _print_below(out, clause, style)


def _print_below(out: Console, text: str, style: str | None = None) -> None:
    from msixtool.cli.output import print_folded

    print_folded(out, text, width=out.width, indent="  ", hanging="    ", style=style)
