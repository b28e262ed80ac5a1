"""`msixtool explain`: why a migration failed, from what was logged."""

from __future__ import annotations

import io
import sys
import textwrap
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus
from msixtool.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool.tasks.explain import Explanation

SHOWN = 300
"""Characters of a message that are shown; --json has it whole."""
LINES_SHOWN = 8
"""How many line numbers of a failure's repetitions are shown."""


@click.command(short_help="What the failures in a log mean.")
@click.argument("logs", metavar="[LOG]...", nargs=-1)
@click.option("--text", metavar="TEXT", help="Explain this text instead of a log.")
@click.option("--stream", metavar="FILE", help="The stream that was refused: says for sure what is in it.")
@options.container_options
@options.json_option
@options.traceback_option
def explain(
    logs: tuple[str, ...],
    text: str | None,
    stream: str | None,
    offset: int,
    snapshot: str | None,
    as_json: bool,
) -> ExitStatus:
    """Find each known migration failure in a log of QEMU, libvirt or what manages them, and explain it.

    LOG is a path, or - for standard input, which is also read where neither LOG nor --text is given.
    Several LOGs (the source's and the target's) are put together: what one side only noticed is told
    with the other's reason. Exit status 1 where something was explained, 0 where nothing known was found.
    """
    from msixtool.cli.output import console, print_json, report_damage, warn
    from msixtool.documents.explain import explain_document
    from msixtool.dump import Dump
    from msixtool.tasks import explain as task

    log = logs[0] if logs else None
    if stream is None and (offset or snapshot is not None):
        raise click.UsageError("--offset and --snapshot are of the stream: give it with --stream.")
    if stream == "-" and "-" in (_name(log, text), *logs):
        raise click.UsageError("the log and the stream cannot both come from standard input.")
    opened = nullcontext() if stream is None else Dump.open(stream, offset=offset, snapshot=snapshot)
    with _open(log, text) as raw, opened as dump:
        counted = _Counted(raw)
        found = task.explain(io.BufferedReader(counted), dump)
        if len(logs) > 1:
            named = [(logs[0], found)]
            for other in logs[1:]:
                with _open(other, None) as more:
                    named.append((other, task.explain(more, dump)))
            found = task.together(named)
        if as_json:
            print_json(explain_document(_name(log, text), counted.size, found, dump))
        else:
            _print(console(), found)
        if len(found) == task.MOST:
            warn(f"only the first {task.MOST} failures were explained")
        if dump is not None and report_damage(dump):
            return ExitStatus.USAGE
    return ExitStatus.REPORT if found else ExitStatus.DONE


def _name(log: str | None, text: str | None) -> str | None:
    """What the log is called; None where it is a text."""
    return log if log is not None else None if text is not None else "-"


def _open(log: str | None, text: str | None) -> AbstractContextManager[BinaryIO]:
    if log is not None and text is not None:
        raise click.UsageError("give a LOG or --text, not both.")
    if text is not None:
        return io.BytesIO(text.encode("utf-8", "surrogateescape"))
    if log is not None and log != "-":
        try:
            return Path(log).open("rb")
        except OSError as error:
            raise InputError("cannot be opened", path=log, found=error.strerror) from None
    if log is None and sys.stdin.isatty():
        raise click.UsageError("nothing to explain: give a LOG, --text, or a log on standard input.")
    return nullcontext(sys.stdin.buffer)


class _Counted(io.RawIOBase):
    """A binary file that counts the bytes that are read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        return len(data)


def _print(out: Console, found: list[Explanation]) -> None:
    for number, explanation in enumerate(found):
        if number:
            out.print()
        _print_one(out, explanation)
    if not found:
        out.print("No known failure of a migration was found.")


def _print_one(out: Console, explanation: Explanation) -> None:
    told = explanation.told
    instance = f"@{told.instance}" if told.instance else ""
    log = f"{explanation.log}, " if explanation.log else ""
    heading = f"{log}line {explanation.line}: {told.code.value}"
    if told.section:
        heading += f", {told.section}{instance}"
    _wrapped(out, heading, indent="", style="bold")
    text = explanation.text
    _wrapped(out, text if len(text) <= SHOWN else f"{text[:SHOWN]}…", style="dim")
    _wrapped(out, told.message)
    if told.advice:
        _wrapped(out, told.advice, style="green")
    if explanation.again:
        shown = ", ".join(map(str, explanation.again[:LINES_SHOWN]))
        more = len(explanation.again) - LINES_SHOWN
        _wrapped(out, f"Again: line {shown}" + (f" and {more} more" if more > 0 else ""), style="dim")


def _wrapped(out: Console, text: str, *, indent: str = "  ", style: str | None = None) -> None:
    from msixtool.cli.plain import WIDTH

    for line in textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    ):
        out.print(line, style=style, soft_wrap=True)
