"""`msixtool validate`: what is wrong with a stream, rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.completion import complete_rules
from msixtool.cli.living import or_vm
from msixtool.cli.status import SEVERITIES, ExitStatus
from msixtool.errors import visible, with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import OpenOptions, RuleFinding, Validation

STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@click.command(short_help="What is wrong with a stream, rule by rule.")
@options.files_or_vm_argument
@click.option(
    "--ignore",
    shell_complete=complete_rules,
    metavar="RULE",
    multiple=True,
    help="Leave out this rule. May be given again.",
)
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    default="info",
    help="Leave out the findings below this severity [info].",
)
@options.saved_kind_option
@options.jobs_option
@options.only_option
@or_vm("files")
@options.container_options
@options.json_option
@options.format_option
@options.common_options
def validate(
    files: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: str,
    kind: str | None,
    jobs: int | None,
    as_json: bool,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Say what is wrong with a stream: damage, and what QEMU or the PCI specification forbids.

    An error is refused by QEMU or contradicts the format; a warning loads, but no sound device gets
    there, or the guest will miss something. The status is 1 where there is an error. Every rule is
    explained in docs/validate.md. FILE may also be what `save` wrote, or a folder: then there is a table
    of one row a stream, or a line of JSON for each.
    """
    from functools import partial

    from msixtool import Dump, check_rules, open_input
    from msixtool.cli.output import console, print_json

    check_rules(ignore)
    many = options.are_many(files)

    def answer(file: str, table: bool) -> tuple[ExitStatus, Validation]:
        """The status; what is found is printed unless a `table` is to be made of it: of streams alone."""
        # What is found in a folder counts where it is a stream; what is named may be a saved state, too.
        opening = partial(open_input, kind=kind) if file in files else Dump.open
        with opening(file, walk=True, **where) as given:
            found = given.validate(ignore=ignore, severity=severity)
        if as_json:
            print_json(found.document(), one_line=many)
        elif not table:
            _print(console(), found, heading=many)
        return ExitStatus.DONE if found.ok else ExitStatus.REPORT, found

    return _validate_many(files, answer, jobs, as_json) if many else answer(files[0], False)[0]


def _validate_many(
    files: Sequence[str],
    answer: Callable[[str, bool], tuple[ExitStatus, Validation]],
    jobs: int | None,
    as_json: bool,
) -> ExitStatus:
    """Each file as it would be alone; a table where there are folders."""
    from msixtool.cli import many
    from msixtool.cli.summary import ValidateSummary, validate_facts

    summary = ValidateSummary() if any(map(options.is_folder, files)) and not as_json else None

    def one(file: str) -> many.StreamOutcome:
        status, found = answer(file, summary is not None)
        facts = None if summary is None else validate_facts(found)
        return many.StreamOutcome(status, bool(found.origin.damage), facts, domain=found.origin.domain)

    return many.run_many(files, one, jobs=jobs, summary=summary)


def _print(out: Console, answer: Validation, *, heading: bool) -> None:
    """A line for each finding with what it means below it, and a summary."""
    path, base_offset = str(answer.origin.path), answer.origin.base_offset
    runs = list(_runs(answer.findings))
    if heading and runs:
        out.print(f"{visible(path)}:", style="bold", soft_wrap=True)
    names = max((len(_device(run[0])) for run in runs), default=0)
    vectors = max((len(_vectors(run)) for run in runs), default=0)
    for run in runs:
        first = run[0]
        offset = "" if first.offset is None else f"{first.offset + base_offset:#x}"
        out.print(f"{first.severity.value:7}", style=STYLES[first.severity.value], end="  ")
        place = f"{_device(first):{names}}  {_vectors(run):{vectors}}  {offset:>10}"
        is_long = out.is_terminal and len(_INDENT) + len(place) + len(first.rule) + 2 > out.width
        gap = f"\n{_INDENT}" if is_long else "  "
        for line in f"{place}{gap}{first.rule}".split("\n"):
            out.print(line, soft_wrap=True)
        for line in _message(first.message, out.width):
            out.print(line, style="dim", soft_wrap=True)
    out.print(f"{visible(path)}: {_summary(answer.findings)}", style="bold", soft_wrap=True)


def _runs(findings: Sequence[RuleFinding]) -> Iterator[list[RuleFinding]]:
    """Findings that say the same of one vector after another are shown as one."""
    run: list[RuleFinding] = []
    for finding in findings:
        if run and _continues(run[-1], finding):
            run.append(finding)
            continue
        if run:
            yield run
        run = [finding]
    if run:
        yield run


def _continues(before: RuleFinding, finding: RuleFinding) -> bool:
    return before.vector is not None and finding == replace(
        before, vector=before.vector + 1, offset=finding.offset
    )


def _device(finding: RuleFinding) -> str:
    return "-" if finding.device is None else with_instance(finding.device, finding.instance)


def _vectors(run: Sequence[RuleFinding]) -> str:
    first, last = run[0].vector, run[-1].vector
    if first is None:
        return ""
    return f"vector {first}" if first == last else f"vectors {first}-{last}"


def _message(message: str, width: int) -> list[str]:
    """The message below its line, indented and folded."""
    import textwrap

    return textwrap.wrap(
        message, max(40, width), initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False
    )


_INDENT = " " * 9
"""Below the severity."""


def _summary(findings: Sequence[RuleFinding]) -> str:
    from msixtool.words import plural

    counts = {severity: sum(f.severity.value == severity for f in findings) for severity in SEVERITIES}
    words = [
        f"{counts['info']} info" if severity == "info" else plural(counts[severity], severity)
        for severity in SEVERITIES
        if counts[severity]
    ]
    return ", ".join(words) or "nothing to report"
