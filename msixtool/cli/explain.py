"""`msixtool explain`: why a migration failed, from what was logged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.completion import complete_files
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Explanation, OpenOptions

_SHOWN = 300
"""Characters of a message that are shown; --json has it whole."""
LINES_SHOWN = 8
"""How many line numbers of a failure's repetitions are shown."""


@click.command(short_help="What the failures in a log mean.")
@click.argument("logs", metavar="[LOG]...", nargs=-1, shell_complete=complete_files)
@click.option("--text", metavar="TEXT", help="Explain this text instead of a log.")
@options.path_option("--stream", help="The stream that was refused: says for sure what is in it.")
@options.container_options
@options.json_option
@options.common_options
def explain(
    logs: tuple[str, ...],
    text: str | None,
    stream: str | None,
    as_json: bool,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Find each known migration failure in a log of QEMU, libvirt or what manages them, and explain it.

    LOG is a path, or - for standard input, which is also read where neither LOG nor --text is given. Of a
    folder each NAME.log is read with what was rotated out of it (NAME.log.1, NAME.log.2.gz), oldest first.
    Several LOGs (the source's and the target's) are put together: what one side only noticed is told
    with the other's reason. Exit status 1 where something was explained, 0 where nothing known was found.
    """
    from msixtool import Dump, explain as ask
    from msixtool.cli.output import console, print_json, report
    from msixtool.cli.screen import warn

    if stream is None and (where["offset"] or where["snapshot"] is not None):
        raise click.UsageError("--offset and --snapshot are of the stream: give it with --stream.")
    if logs and text is not None:
        raise click.UsageError("give a LOG or --text, not both.")
    if not logs and text is None:
        if sys.stdin.isatty():
            raise click.UsageError("nothing to explain: give a LOG, --text, or a log on standard input.")
        logs = ("-",)
    if stream == "-" and "-" in logs:
        raise click.UsageError("the log and the stream cannot both come from standard input.")
    opened = nullcontext() if stream is None else Dump.open(stream, **where)
    with opened as dump:
        answer = ask(*logs, text=text, stream=dump)
    if as_json:
        print_json(answer.document())
    else:
        _print(console(), answer.explanations)
    if answer.hint is not None:
        warn(answer.hint)
    if answer.is_full:
        warn(f"only the first {len(answer.explanations)} failures were explained")
    return report(answer)


def _print(out: Console, found: Sequence[Explanation]) -> None:
    for number, explanation in enumerate(found):
        if number:
            out.print()
        _print_one(out, explanation)
    if not found:
        out.print("No known failure of a migration was found.")


def _print_one(out: Console, explanation: Explanation) -> None:
    from msixtool.cli.output import print_folded

    told = explanation.told
    instance = f"@{told.instance}" if told.instance else ""
    log = f"{explanation.log}, " if explanation.log else ""
    heading = f"{log}line {explanation.line}: {told.code.value}"
    if told.section:
        heading += f", {told.section}{instance}"
    print_folded(out, heading, style="bold")
    text = explanation.text
    print_folded(out, text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…", indent="  ", style="dim")
    print_folded(out, told.message, indent="  ")
    if told.advice:
        print_folded(out, told.advice, indent="  ", style="green")
    if explanation.again:
        shown = ", ".join(map(str, explanation.again[:LINES_SHOWN]))
        more = len(explanation.again) - LINES_SHOWN
        again = f"Again: line {shown}" + (f" and {more} more" if more > 0 else "")
        print_folded(out, again, indent="  ", style="dim")
