"""`msixtool compat`: will that QEMU load this stream, and if not, why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import zip_longest
from os import PathLike, path
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import living, options
from msixtool.cli.completion import complete_files
from msixtool.cli.page import Page, html_options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus
from msixtool.words import plural

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Compatibility, Finding, Target, TargetOptions, Trial

_BELOW = "   "
"""Where what is said of a finding begins, below its heading."""

EXAMPLES = """\b
Examples:
  msixtool compat vm.mig target.mig
  msixtool compat vm.mig --qemu "qemu-system-x86_64 -M q35 -device xhci" --try
  msixtool compat saves/ --on qemu-system-x86_64 --try
  msixtool compat vm.mig --to 11.1
  msixtool compat saves/ target.mig
  msixtool compat --domain web1 --on qemu-system-x86_64
  msixtool compat old.json new.json      (two files of qemu -dump-vmstate)"""


@click.command(epilog=EXAMPLES, short_help="Will the target load it, and why not.")
@click.argument("words", metavar="SOURCE... [TARGET]", nargs=-1, shell_complete=complete_files)
@click.option("--target-version", metavar="VERSION", help="The target's QEMU, if its stream leaves it open.")
@options.path_option(
    "--target-vmstate", help="What the target's QEMU wrote with -dump-vmstate: decides more."
)
@click.option("--qemu", metavar="COMMAND", help="Start this QEMU paused as the target, and end it.")
@click.option("--on", metavar="PROGRAM", help="Start this QEMU with the command line that SOURCE needs.")
@click.option(
    "--domain",
    metavar="FILE.xml|NAME",
    help="libvirt's XML is the target (- for that in a save image); a domain's NAME is the source.",
)
@living.connect_option
@living.qmp_option
@click.option(
    "--try", "try_it", is_flag=True, help="With --qemu, --on or --domain: really load SOURCE as well."
)
@click.option(
    "--to",
    metavar="VERSION",
    help="No target: what is at risk with a QEMU release, or a distribution's (debian-12).",
)
@click.option("--strict", is_flag=True, help="Warn also where a doubt is all there is: nothing differs.")
@options.jobs_option
@options.only_option
@options.container_options
@options.json_option
@options.format_option
@html_options
@options.common_options
def compat(
    words: tuple[str, ...],
    connect: str | None,
    qmp: str | None,
    jobs: int | None,
    offset: int,
    snapshot: str | None,
    as_json: bool,
    html: str | None,
    force: bool,
    **how: Unpack[TargetOptions],
) -> ExitStatus:
    """Predict whether a target loads SOURCE, and every reason why not, in the order QEMU meets them.

    TARGET is a fresh stream of the target's own command line (msixtool capture --run makes one).
    SOURCE may be a folder: then there is a table of one row a stream, or a line of JSON for each.
    What cannot be told from what is given is a warning, `undecided`. A running VM may be the source:
    its devices are captured, with --try its RAM too.
    """
    from msixtool import Dump, address_of, compare_vmstates, is_vmstate_file, target_of
    from msixtool.cli.screen import remark

    vm = None
    if qmp is not None or connect is not None or not _is_xml(how["domain"]):
        vm, how["domain"] = address_of(qmp, how["domain"], connect), None
    made = [each for each in (how["qemu"], how["on"], how["domain"]) if each is not None]
    given = [*made, *([] if how["to"] is None else [how["to"]])]
    if how["try_it"] and (not made or how["to"] is not None):
        raise click.UsageError("--try needs --qemu, --on or --domain: what to try it with.")
    if len(given) > 1:
        raise click.UsageError("give one of --qemu, --on, --domain and --to, not both.")
    if vm is not None and len(words) > (0 if given else 1):
        raise click.UsageError("the VM is the source: give no other one.")
    if not words and vm is None:
        raise click.UsageError("no source: give a stream, --qmp or the --domain of a VM.")
    if not given and len(words) < (2 if vm is None else 1):
        raise click.UsageError("no target: give a TARGET stream, --qemu, --on, --domain or --to.")
    sources, target = (words, None) if given else (words[:-1], words[-1])
    screen = _Printed(as_json, Page(html, force, inputs=words))
    if target is not None and vm is None and is_vmstate_file(target):
        if len(sources) > 1:
            raise click.UsageError("a vmstate description is compared with one other.")
        return screen.one(compare_vmstates(sources[0], target))
    with (
        end_in_order() if made else nullcontext(),
        target_of(target, **how) as asked,
    ):
        for note in asked.notes:
            remark(note)

        def answer(file: str | PathLike[str]) -> Compatibility:
            with Dump.open(file, offset=offset, snapshot=snapshot) as source:
                return asked.answer(source)

        if vm is not None:
            with living.captured_file(vm, devices=not how["try_it"]) as file:
                return screen.one(answer(file))
        if options.are_many(sources):
            return screen.many(sources, answer, asked, jobs)
        return screen.one(answer(sources[0]))


def _is_xml(domain: str | None) -> bool:
    """Whether --domain names a file, and no VM."""
    return domain is None or domain == "-" or domain.endswith(".xml") or path.exists(domain)


class _Printed:
    """What is printed of answers: for people, for programs, as a page."""

    def __init__(self, as_json: bool, page: Page) -> None:
        self.as_json = as_json
        self.page = page

    def one(self, answer: Compatibility) -> ExitStatus:
        """One comparison, whole."""
        from msixtool.cli.output import give_answer, report
        from msixtool.cli.screen import remark

        for note in answer.notes:
            remark(note)
        give_answer(answer, _print, self.page, as_json=self.as_json)
        return report(answer)

    def many(
        self, sources: Sequence[str], ask: Callable[[str], Compatibility], target: Target, jobs: int | None
    ) -> ExitStatus:
        """A row for each source, or a line of JSON."""
        from msixtool.cli import many
        from msixtool.cli.output import print_json, report_damage
        from msixtool.cli.screen import remark
        from msixtool.cli.summary import CompatSummary, compat_facts
        from msixtool.pages.views import compat_row

        def one(path: str) -> many.StreamOutcome:
            answer = ask(path)
            for note in answer.notes:
                remark(note)
            if self.as_json:
                print_json(answer.document(), one_line=True)
            damage = report_damage(answer.source, brief=True)
            status = max(ExitStatus.DONE if answer.ok else ExitStatus.REPORT, damage)
            facts = compat_facts(answer)
            row = compat_row(answer.document(), facts[0]) if self.page.is_asked else None
            return many.StreamOutcome(status, bool(damage), facts, row, answer.source.domain)

        damage = ExitStatus.DONE if target.origin is None else report_damage(target.origin)
        status = many.run_many(
            sources,
            one,
            jobs=jobs,
            summary=None if self.as_json else CompatSummary(),
            inline=not target.shared,
            rows=self.page.rows if self.page.is_asked else None,
        )
        if self.page.is_asked:
            from msixtool.pages import compat_fleet_page

            self.page.write(compat_fleet_page(self.page.rows))
        return max(status, damage)


def _print(out: Console, answer: Compatibility) -> None:
    from msixtool import Severity

    errors = answer.errors
    others = [finding for finding in answer.findings if finding.severity is not Severity.ERROR]
    if errors:
        out.print(f"The load fails: {plural(len(errors), 'reason')}.", style="bold red")
        _print_findings(out, errors, [f"{number}. " for number, _ in enumerate(errors, 1)])
    else:
        out.print("Nothing was found that stops the load.", style="bold")
    # What one step mends stands together, above that step.
    advised = list(dict.fromkeys(finding.advice for finding in others))
    others.sort(key=lambda finding: advised.index(finding.advice))
    _print_findings(out, others, [f"{finding.severity.value}: " for finding in others])
    if answer.trial is not None:
        _print_trial(out, answer, answer.trial)


def _print_findings(out: Console, findings: Sequence[Finding], marks: Sequence[str]) -> None:
    """One after another, each behind its mark; the advice that neighbours share stands once, below them."""
    for mark, finding, after in zip_longest(marks, findings, findings[1:]):
        _print_finding(out, mark, finding, advise=after is None or after.advice != finding.advice)


def _print_finding(out: Console, mark: str, finding: Finding, *, advise: bool) -> None:
    from msixtool.cli.output import print_folded

    instance = f"@{finding.instance}" if finding.instance else ""
    at = "" if finding.config_offset is None else f" at {finding.config_offset:#x}"
    section = f"{finding.section}{instance}: " if finding.section else ""
    out.print()
    code = "" if finding.code == "undecided" else f"{finding.code.value}{at}"
    print_folded(out, f"{mark}{section}{code}".rstrip(": "), hanging=_BELOW, style="bold")
    print_folded(out, finding.message, indent=_BELOW)
    if finding.advice and advise:
        print_folded(out, finding.advice, indent=_BELOW, style="green")


def _print_trial(out: Console, answer: Compatibility, trial: Trial) -> None:
    from msixtool.cli.output import print_folded

    out.print()
    verdict = "as predicted" if answer.predicted else "which was not predicted"
    if trial.loaded:
        out.print(f"Tried: QEMU loaded it, {verdict}.", style="bold")
        return
    out.print(f"Tried: QEMU refused it, {verdict}:", style="bold")
    for line in trial.stderr.splitlines()[-8:]:
        print_folded(out, line, indent=_BELOW, style="dim")
