"""What `msixtool compat` does with its arguments, and what it prints."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msixtool.cli.options import are_many
from msixtool.cli.output import console, print_json, report_damage, warn
from msixtool.cli.page import Page
from msixtool.cli.plain import WIDTH
from msixtool.cli.status import ExitStatus
from msixtool.devices.device import kind_of
from msixtool.documents import Document, saved_source, source_document
from msixtool.documents.compat import compat_document, damage_of, trial_document, vmstate_document
from msixtool.dump import Dump
from msixtool.errors import UsageError
from msixtool.pages.views import compat_row
from msixtool.qemu.vendors import Target, target_of
from msixtool.qemu.versions import Version, parse_version
from msixtool.tasks.compat import Comparison, compare, vmstate_file
from msixtool.tasks.compat.risks import risks
from msixtool.tasks.compat.vmstate_diff import compare_files
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.words import plural

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool.tasks.compat.on_program import Answer, OnProgram
    from msixtool.tasks.compat.qemu_target import Trial
    from msixtool.tasks.compat.vmstate_file import VmstateFile


@dataclass(frozen=True, slots=True)
class Run:
    """The arguments, as they were given."""

    sources: Sequence[str]
    target: str | None
    target_version: str | None
    target_vmstate: str | None
    qemu: str | None
    on: str | None
    domain: str | None
    try_it: bool
    to: str | None
    jobs: int | None
    offset: int
    snapshot: str | None
    as_json: bool
    page: Page

    def run(self) -> ExitStatus:
        """Compare, print, and say how it went."""
        if self.target is not None and vmstate_file.is_vmstate_file(self.target):
            return self._vmstates(self.target)
        with self._asked() as question:
            return self._many(question) if are_many(self.sources) else self._one(question)

    def _one(self, question: _Question) -> ExitStatus:
        with Dump.open(self.sources[0], offset=self.offset, snapshot=self.snapshot) as source:
            comparison, target, trial = question.answer(source)
            self._print(self._document(source, question, target, comparison, trial), comparison, trial)
            return max(_status(comparison), *map(report_damage, (source, *question.targets)))

    def _print(self, document: Document, comparison: Comparison, trial: Trial | None = None) -> None:
        """One comparison: for programs or for people, and its page."""
        if self.as_json:
            print_json(document)
        else:
            _print_findings(console(), comparison, trial)
        if self.page.is_asked:
            from msixtool.pages import compat_page

            self.page.write(compat_page(document))

    def _many(self, question: _Question) -> ExitStatus:
        """A row for each source, or a line of JSON."""
        from msixtool.cli import many
        from msixtool.cli.summary import CompatSummary

        def one(path: str) -> many.Seen:
            with Dump.open(path, offset=self.offset, snapshot=self.snapshot) as source:
                comparison, target, trial = question.answer(source)
                document = row = None
                if self.as_json or self.page.is_asked:
                    document = self._document(source, question, target, comparison, trial)
                if self.as_json and document is not None:
                    print_json(document, one_line=True)
                damage = report_damage(source, brief=True)
                status = max(_status(comparison), damage)
                facts = _facts(comparison)
                if self.page.is_asked and document is not None:
                    row = compat_row(document, facts[0])
                return many.Seen(status, bool(damage), facts, row)

        summary = None if self.as_json else CompatSummary()
        damage = max(map(report_damage, question.targets), default=ExitStatus.DONE)
        status = many.run(
            self.sources,
            one,
            jobs=self.jobs,
            summary=summary,
            inline=not question.shared,
            rows=self.page.rows if self.page.is_asked else None,
        )
        if self.page.is_asked:
            from msixtool.pages import compat_fleet_page

            self.page.write(compat_fleet_page(self.page.rows))
        return max(status, damage)

    def _document(
        self, source: Dump, question: _Question, target: Any, comparison: Comparison, trial: Trial | None
    ) -> Document:
        damage = damage_of(source, *question.targets)
        document = compat_document(source_document(source), target, comparison, trial, damage=damage)
        return document | question.more

    @contextmanager
    def _asked(self) -> Iterator[_Question]:
        version = parse_version(self.target_version) if self.target_version else None
        vmstate = vmstate_file.read(self.target_vmstate) if self.target_vmstate else None
        with ExitStack() as stack:
            if self.to is not None:
                yield _Risks(target_of(self.to))
            elif self.on is not None:
                from msixtool.tasks.compat.on_program import OnProgram

                program = stack.enter_context(OnProgram(self.on, version, vmstate))
                yield _Made(program, self.try_it)
            elif self.domain is not None:
                yield _OfDomain(stack, self.domain, version, vmstate, self.try_it)
            elif self.target is not None:
                dump = stack.enter_context(Dump.open(self.target))
                yield _Streams(self.target, dump, version, vmstate, source_document(dump))
            else:
                yield self._started(stack, version, vmstate)

    def _started(self, stack: ExitStack, version: Version | None, vmstate: VmstateFile | None) -> _Streams:
        from msixtool.tasks.compat.qemu_target import fresh_target, words_of

        assert self.qemu is not None
        command = words_of(self.qemu)
        fresh = stack.enter_context(fresh_target(command))
        if fresh.why is not None and vmstate is None:
            warn(f"{command[0]}: no vmstate description: {fresh.why}")
        dump = stack.enter_context(Dump.open(fresh.stream))
        document = source_document(dump) | {"path": self.qemu}
        tried = command if self.try_it else None
        return _Streams(str(fresh.stream), dump, version, vmstate or fresh.vmstate, document, tried)

    def _vmstates(self, target: str) -> ExitStatus:
        """Two files of -dump-vmstate."""
        if len(self.sources) != 1 or not vmstate_file.is_vmstate_file(self.sources[0]):
            raise UsageError(
                "a vmstate description is compared with another one",
                path=target,
                expected="SOURCE of that kind, or --target-vmstate with a TARGET stream",
            )
        one, other = vmstate_file.read(self.sources[0]), vmstate_file.read(target)
        comparison = Comparison(tuple(compare_files(one, other)))
        documents = vmstate_document(one.path, one.machine), vmstate_document(other.path, other.machine)
        self._print(compat_document(*documents, comparison), comparison)
        return ExitStatus.DONE if comparison.compatible else ExitStatus.REPORT


class _Question:
    """What is asked of each source."""

    @property
    def shared(self) -> bool:
        """Whether several processes may ask it at the same time."""
        return True

    @property
    def targets(self) -> tuple[Dump, ...]:
        """The stream of the target, if it has one."""
        return ()

    @property
    def more(self) -> Document:
        """What the document of the last answer has besides."""
        return {}

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        """The comparison, the document of the target, and what a real load did."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Risks(_Question):
    to: Target

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        comparison = Comparison(tuple(risks(source, self.to.release, self.to.vendor)))
        source.check_unchanged()
        return comparison, self.to.document(), None


@dataclass
class _Made(_Question):
    """A target made for each source, of one program."""

    program: OnProgram
    try_it: bool
    _last: Answer | None = None

    @property
    def shared(self) -> bool:
        return False

    @property
    def targets(self) -> tuple[Dump, ...]:
        return () if self._last is None or self._last.target is None else (self._last.target,)

    @property
    def more(self) -> Document:
        return {} if self._last is None else {"cmdline": list(self._last.command.args)}

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        found = self._last = self.program.answer(source, try_it=self.try_it)
        source.check_unchanged()
        if found.target is None:
            return found.comparison, saved_source(self.program.program, None), found.trial
        document = source_document(found.target) | {"path": self.program.program}
        return found.comparison, document, found.trial


@dataclass
class _OfDomain(_Question):
    """A target made for each source of a domain's XML: that of a file, or that in the source itself."""

    stack: ExitStack
    domain: str
    version: Version | None
    vmstate: VmstateFile | None
    try_it: bool
    _targets: tuple[Dump, ...] = ()
    _more: Document = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        return False

    @property
    def targets(self) -> tuple[Dump, ...]:
        return self._targets

    @property
    def more(self) -> Document:
        return self._more

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        from msixtool.tasks.compat.domain import domain_command, xml_of
        from msixtool.tasks.compat.qemu_target import fresh_target, try_load

        made = domain_command(xml_of(self.domain, source), source)
        for line in made.changed:
            warn(f"{self.domain}: {line}")
        fresh = self.stack.enter_context(fresh_target(made.words))
        target = self.stack.enter_context(Dump.open(fresh.stream))
        self._targets, self._more = (target,), {"cmdline": list(made.words[1:])}
        vmstate = self.vmstate or fresh.vmstate
        comparison = compare(source, target, target_version=self.version, vmstate=vmstate)
        trial = try_load(made.words, source) if self.try_it else None
        return comparison, source_document(target) | {"path": self.domain}, trial


@dataclass(frozen=True, slots=True)
class _Streams(_Question):
    """`command` is what to try the load with, if it is to be tried."""

    path: str
    target: Dump
    version: Version | None
    vmstate: VmstateFile | None
    document: Any
    command: list[str] | None = None

    @property
    def targets(self) -> tuple[Dump, ...]:
        return (self.target,)

    @property
    def shared(self) -> bool:
        # A trial may need disks that only one QEMU can have. Files are read at offsets, so that
        # processes do not get into each other's way; what is left in a pipe only one can read.
        return self.command is None and self.path != "-" and os.path.isfile(self.path)

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        comparison = compare(source, self.target, target_version=self.version, vmstate=self.vmstate)
        trial = None
        if self.command is not None:
            from msixtool.tasks.compat.qemu_target import try_load

            trial = try_load(self.command, source)
        for dump in (source, self.target):
            dump.check_unchanged()
        return comparison, self.document, trial


def _status(comparison: Comparison) -> ExitStatus:
    return ExitStatus.DONE if comparison.compatible else ExitStatus.REPORT


def _facts(comparison: Comparison) -> tuple[str | None, str, int]:
    """For the row of a summary: the cause of the first error, what it says, how many errors there are."""
    first = comparison.first
    if first is None:
        return None, "", 0
    section = f"{first.section}: " if first.section else ""
    count = sum(finding.severity is Severity.ERROR for finding in comparison.findings)
    return _cause(first), f"{section}{first.message}", count


def _cause(finding: Finding) -> str:
    """What a finding is about, apart from the one device that it was found in."""
    of = f" of {kind_of(finding.section)}" if finding.section else ""
    what = f": {finding.field}" if finding.field and "/" not in finding.field else ""
    return f"{finding.code.value}{of}{what}"


def _print_findings(out: Console, comparison: Comparison, trial: Trial | None) -> None:
    errors = [finding for finding in comparison.findings if finding.severity is Severity.ERROR]
    others = [finding for finding in comparison.findings if finding.severity is not Severity.ERROR]
    if errors:
        out.print(f"The load fails: {plural(len(errors), 'reason')}.", style="bold red")
        for number, finding in enumerate(errors, 1):
            _print_finding(out, f"{number}. ", finding)
    else:
        out.print("Nothing was found that stops the load.", style="bold")
    for finding in others:
        _print_finding(out, f"{finding.severity.value}: ", finding)
    if trial is not None:
        _print_trial(out, comparison, trial)


def _print_finding(out: Console, mark: str, finding: Finding) -> None:
    instance = f"@{finding.instance}" if finding.instance else ""
    at = "" if finding.config_offset is None else f" at {finding.config_offset:#x}"
    section = f"{finding.section}{instance}: " if finding.section else ""
    out.print()
    code = "" if finding.code is Code.UNDECIDED else f"{finding.code.value}{at}"
    _wrapped(out, f"{mark}{section}{code}".rstrip(": "), indent="", style="bold")
    _wrapped(out, finding.message, indent="   ")
    if finding.advice:
        _wrapped(out, finding.advice, indent="   ", style="green")


def _print_trial(out: Console, comparison: Comparison, trial: Trial) -> None:
    out.print()
    said = trial_document(trial)
    held = trial.loaded == comparison.compatible
    if not trial.loaded and comparison.first is not None and said["code"]:
        held = said["code"] == comparison.first.code.value
    verdict = "as predicted" if held else "which was not predicted"
    if trial.loaded:
        out.print(f"Tried: QEMU loaded it, {verdict}.", style="bold")
        return
    out.print(f"Tried: QEMU refused it, {verdict}:", style="bold")
    for line in trial.stderr.splitlines()[-8:]:
        _wrapped(out, line, indent="   ", style="dim")


def _wrapped(out: Console, text: str, *, indent: str = "   ", style: str | None = None) -> None:
    """Text folded at the width of every table."""
    for line in textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent or "   ", break_on_hyphens=False
    ):
        out.print(line, style=style, soft_wrap=True)
