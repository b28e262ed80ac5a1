"""`msixtool replay`: play a script of guest and device actions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import zip_longest
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.completion import complete_files
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import OpenOptions, Step

_LINE, _ACTION = 4, 34
"""Columns of the line numbers and of the actions; the rest is for what happens."""

_LONGEST = 600
"""Characters of an action, or of what happens, that are shown; --json has it whole."""


@click.command(short_help="Play a script of actions on the MSI-X model.")
@click.argument("script", metavar="[SCRIPT]", required=False, shell_complete=complete_files)
@options.path_option("--record", help="Print the load path of a stream's device as a script instead.")
@options.device_option
@click.option(
    "--qemu-version",
    metavar="VERSION",
    help="The QEMU to behave as where the script does not say [the newest known].",
)
@options.container_options
@options.json_option
@options.common_options
def replay(
    script: str | None,
    record: str | None,
    device: str | None,
    qemu_version: str | None,
    as_json: bool,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Play a script of guest and device actions: what each sets off, and whether what is expected holds.

    SCRIPT is a path, or - for standard input; docs/replay.md lists the actions. Exit status 1 where
    an expectation fails or an action is refused unexpectedly: the rest is played nevertheless.
    """
    if (script is None) == (record is None):
        raise click.UsageError("one of SCRIPT and --record is needed, and not both")
    if record is not None:
        if as_json:
            raise click.UsageError("--record prints a script: --json does not go with it")
        return _record(record, device, qemu_version, **where)
    if device is not None or where["offset"] or where["snapshot"] is not None:
        raise click.UsageError("--device, --offset and --snapshot go with --record")
    from msixtool import replay as ask
    from msixtool.cli.output import console

    played = ask(script, qemu_version=qemu_version)
    return _print_json(played) if as_json else _print_steps(console(), played)


def _record(
    file: str, device: str | None, qemu_version: str | None, **where: Unpack[OpenOptions]
) -> ExitStatus:
    from msixtool import Dump
    from msixtool.cli.output import report

    with Dump.open(file, **where) as dump:
        print(dump.record(device, qemu_version=qemu_version), end="")
        return report(dump.inspect())


def _print_json(steps: Iterable[Step]) -> ExitStatus:
    from msixtool.cli.output import print_json

    failed = 0
    for step in steps:
        print_json(step.to_json(), one_line=True)
        failed += not step.ok
    return ExitStatus.REPORT if failed else ExitStatus.DONE


def _print_steps(out: Console, steps: Iterable[Step]) -> ExitStatus:
    """A table, row by row as the script is played, and a closing line."""
    out.print(f"{'Line':>{_LINE}}  {'Action':{_action_width(out)}}  What happens", style="bold")
    actions = expectations = failed = 0
    for step in steps:
        expectations += step.is_expectation
        actions += not step.is_expectation
        failed += not step.ok
        _print_step(out, step)
    out.print(_summary(actions, expectations, failed), style=None if not failed else "red")
    return ExitStatus.REPORT if failed else ExitStatus.DONE


def _print_step(out: Console, step: Step) -> None:
    wide = _action_width(out)
    room = max(20, out.width - _LINE - wide - 4)
    happens = [line for text in _outcome(step) for line in _wrapped(text, room)]
    action = _wrapped(step.action, wide)
    number = [str(step.line)]
    for line, left, right in zip_longest(number, action, happens, fillvalue=""):
        text = f"{line:>{_LINE}}  {left:{wide}}  {right}".rstrip()
        out.print(text, style=_style(step), soft_wrap=True)


def _action_width(out: Console) -> int:
    """Columns of the actions: less where what happens would have too few."""
    return max(20, min(_ACTION, (out.width - _LINE - 4) // 2))


def _style(step: Step) -> str | None:
    if not step.ok:
        return "bold red"
    if step.is_expectation:
        return "green"
    return "red" if any("LOST" in line for line in step.words()) else None


def _wrapped(text: str, width: int) -> list[str]:
    """The text in lines of this width; what is longer than anyone reads is cut."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _outcome(step: Step) -> list[str]:
    """What became of a line, in words."""
    if step.is_expectation:
        return ["holds" if step.ok else f"FAILS: {step.failure}"]
    read = [] if step.value is None else [f"read {step.value:#x}"]
    lines = [*read, *step.words()]
    return lines if step.ok else [*lines, "FAILS: the script does not expect this"]


def _summary(actions: int, expectations: int, failed: int) -> str:
    from msixtool.words import plural

    outcome = "nothing fails" if not failed else f"{plural(failed, 'line')} fail{'s' if failed == 1 else ''}"
    return f"{plural(actions, 'action')}, {plural(expectations, 'expectation')}: {outcome}."
