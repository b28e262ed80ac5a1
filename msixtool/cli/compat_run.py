"""What `msixtool compat` does with its arguments, and what it prints."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msixtool.cli.output import WIDTH, console, print_json, report_damage, warn
from msixtool.cli.status import ExitStatus
from msixtool.devices.device import kind_of
from msixtool.documents import source_document
from msixtool.documents_compat import compat_document, trial_document, vmstate_document
from msixtool.dump import Dump
from msixtool.errors import MsixtoolError, NotAStreamError, UsageError
from msixtool.qemu.versions import Version, format_version, parse_version
from msixtool.tasks.compat import Comparison, compare, vmstate_file
from msixtool.tasks.compat.risks import risks
from msixtool.tasks.compat.vmstate_diff import compare_files
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.words import plural

if TYPE_CHECKING:
    from rich.console import Console

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
    try_it: bool
    to: str | None
    offset: int
    snapshot: str | None
    as_json: bool

    def run(self) -> ExitStatus:
        """Compare, print, and say how it went."""
        if self.target is not None and vmstate_file.is_vmstate_file(self.target):
            return self._vmstates(self.target)
        files = list(_files(self.sources))
        if not files:
            raise UsageError(
                "nothing to compare", expected="a stream, or a folder of streams", found="no file"
            )
        with self._asked() as question:
            report = _Report(self.as_json, len(files) > 1 or any(map(_is_folder, self.sources)))
            for path, from_folder in files:
                self._one(path, from_folder, question, report)
            return report.end()

    def _one(self, path: str, from_folder: bool, question: _Question, report: _Report) -> None:
        try:
            with Dump.open(path, offset=self.offset, snapshot=self.snapshot) as source:
                report.add(source, *question.answer(source))
        except MsixtoolError as error:
            if not report.several:
                raise
            if from_folder and isinstance(error, NotAStreamError):
                warn(f"{error.at(path=path)}: left out")
                return
            warn(str(error.at(path=path)))
            report.status = ExitStatus.USAGE

    @contextmanager
    def _asked(self) -> Iterator[_Question]:
        version = parse_version(self.target_version) if self.target_version else None
        vmstate = vmstate_file.read(self.target_vmstate) if self.target_vmstate else None
        with ExitStack() as stack:
            if self.to is not None:
                yield _Risks(parse_version(self.to))
            elif self.target is not None:
                dump = stack.enter_context(Dump.open(self.target))
                yield _Streams(dump, version, vmstate, source_document(dump))
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
        return _Streams(dump, version, vmstate or fresh.vmstate, document, command if self.try_it else None)

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
        if self.as_json:
            documents = vmstate_document(one.path, one.machine), vmstate_document(other.path, other.machine)
            print_json(compat_document(*documents, comparison))
        else:
            _print_findings(console(), comparison, None)
        return ExitStatus.DONE if comparison.compatible else ExitStatus.REPORT


class _Question:
    """What is asked of each source."""

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        """The comparison, the document of the target, and what a real load did."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Risks(_Question):
    to: Version

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        return Comparison(tuple(risks(source, self.to))), {"qemu": format_version(self.to)}, None


@dataclass(frozen=True, slots=True)
class _Streams(_Question):
    """`command` is what to try the load with, if it is to be tried."""

    target: Dump
    version: Version | None
    vmstate: VmstateFile | None
    document: Any
    command: list[str] | None = None

    def answer(self, source: Dump) -> tuple[Comparison, Any, Trial | None]:
        comparison = compare(source, self.target, target_version=self.version, vmstate=self.vmstate)
        trial = None
        if self.command is not None:
            from msixtool.tasks.compat.qemu_target import try_load

            trial = try_load(self.command, source)
        return comparison, self.document, trial


@dataclass
class _Report:
    """What is printed of each source, and of all together."""

    as_json: bool
    several: bool
    status: ExitStatus = ExitStatus.DONE
    causes: Counter[str] = field(default_factory=Counter)
    count: int = 0

    def add(self, source: Dump, comparison: Comparison, target: Any, trial: Trial | None) -> None:
        """Print one source."""
        self.count += 1
        if self.as_json:
            document = compat_document(source_document(source), target, comparison, trial)
            print_json(document, one_line=self.several)
        elif self.several:
            self._line(source.path, comparison)
        else:
            _print_findings(console(), comparison, trial)
        done = ExitStatus.DONE if comparison.compatible else ExitStatus.REPORT
        self.status = max(self.status, done, report_damage(source))

    def _line(self, path: str, comparison: Comparison) -> None:
        first = comparison.first
        out = console()
        if first is None:
            out.print(f"{path}: loads", soft_wrap=True)
            return
        self.causes[_cause(first)] += 1
        place = f"{first.section}: " if first.section else ""
        out.print(f"{path}: {place}{first.message}", soft_wrap=True)

    def end(self) -> ExitStatus:
        """Print the summary of several sources; the status of the whole."""
        if self.several and not self.as_json:
            out = console()
            loads = self.count - sum(self.causes.values())
            out.print()
            out.print(f"{plural(self.count, 'stream')}: {loads} would load", style="bold")
            for cause, count in self.causes.most_common():
                _wrapped(out, f"{count:4}  {cause}", indent="")
        return self.status


def _cause(finding: Finding) -> str:
    """What a finding is about, apart from the one device that it was found in."""
    of = f" of {kind_of(finding.section)}" if finding.section else ""
    what = f": {finding.field}" if finding.field and "/" not in finding.field else ""
    return f"{finding.code.value}{of}{what}"


def _files(sources: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The files to compare, and whether each was found in a folder."""
    for source in sources:
        if _is_folder(source):
            yield from ((str(path), True) for path in sorted(Path(source).rglob("*")) if path.is_file())
        else:
            yield source, False


def _is_folder(path: str) -> bool:
    return path != "-" and Path(path).is_dir()


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
