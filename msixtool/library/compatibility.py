"""Will it load there: the answer of `compat`, and the targets that can be asked.

A target is a stream, a release, a QEMU that is started for it, a program that is given the command line
that the source needs, or a domain's XML; `target_of` opens whichever is named.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from msixtool.documents import Document, Origin
from msixtool.documents.compat import compat_document, trial_document
from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.formats.idstr import Idstr
from msixtool.library.answer import Answer
from msixtool.qemu.vendors import Build, build_of
from msixtool.qemu.versions import Version, parse_version
from msixtool.tasks.compat import Comparison, compare, vmstate_file
from msixtool.tasks.compat.risks import risks
from msixtool.tasks.finding import Finding, Severity
from msixtool.tasks.refusals import TOLD
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.formats.dump_vmstate import Vmstates
    from msixtool.tasks.compat.qemu_target import TargetCommand, Trial


@dataclass(frozen=True, slots=True, repr=False)
class Compatibility(Answer):
    """Whether the target loads the source, and every reason why not, in the order in which QEMU meets them.

    `about` is the target as the document has it, `cmdline` the command line that was made for it, `trial`
    what a real load did; `notes` are what was left out of a target that was made.
    """

    source: Origin
    target: Origin | None
    about: Document
    comparison: Comparison
    trial: Trial | None = None
    cmdline: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    machine: str | None = None
    """Of the source, where that is a file of -dump-vmstate and no stream."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (self.source,) if self.target is None else (self.source, self.target)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged in either stream, with the path of the stream."""
        return tuple(f"{origin.path}: {damage}" for origin in self.origins for damage in origin.damage)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Errors, which stop the load, and what else is worth a word."""
        return self.comparison.findings

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stops the load; the first is what QEMU would die of."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def compatible(self) -> bool:
        """Whether nothing was found that stops the load."""
        return self.comparison.compatible

    @property
    def ok(self) -> bool:
        """As `compatible`."""
        return self.compatible

    @property
    def cause(self) -> str | None:
        """What the first error is about, apart from the one device that it was found in; None without one."""
        first = self.comparison.first
        if first is None:
            return None
        of = f" of {Idstr(first.section).kind}" if first.section else ""
        what = f": {first.field}" if first.field and "/" not in first.field else ""
        return f"{first.code.value}{of}{what}"

    @property
    def predicted(self) -> bool | None:
        """Whether the real load went as was predicted; None where there was none."""
        if self.trial is None:
            return None
        code = trial_document(self.trial)["code"]
        if not self.trial.loaded and self.comparison.first is not None and code:
            return bool(code == self.comparison.first.code.value)
        return self.trial.loaded == self.compatible

    def document(self) -> Document:
        """`msixtool.compat/1`."""
        source = self.source.document()
        if self.machine is not None:
            source["machine"] = self.machine
        document = compat_document(source, self.about, self.comparison, self.trial, damage=self.damage)
        return document if self.cmdline is None else document | {"cmdline": list(self.cmdline)}

    def summary(self) -> str:
        return "loads" if self.compatible else f"{plural(len(self.errors), 'reason')}, first {self.cause}"


class Target(ABC):
    """What sources are compared with, one after another. Made by `target_of`."""

    shared = True
    """Whether several processes may ask it at the same time."""
    notes: tuple[str, ...] = ()
    """What is to be said of it once."""

    @property
    def origin(self) -> Origin | None:
        """The stream of the target, where one stream stands for all sources."""
        return None

    strict = False
    """Whether a doubt counts that nothing in the streams gives rise to."""

    def answer(self, source: OpenDump) -> Compatibility:
        """Compare one source with it. Raises InputError where a file changed, or a target does not start."""
        found = self._answer(source)
        return found if self.strict else replace(found, comparison=found.comparison.evident)

    @abstractmethod
    def _answer(self, source: OpenDump) -> Compatibility: ...


@contextmanager
def target_of(
    target: str | os.PathLike[str] | BinaryIO | OpenDump | None = None,
    *,
    to: str | None = None,
    qemu: str | None = None,
    on: str | None = None,
    domain: str | None = None,
    try_it: bool = False,
    target_version: str | None = None,
    target_vmstate: str | None = None,
    strict: bool = False,
) -> Iterator[Target]:
    """The one target that is named, for the length of the block.

    `target` is a fresh stream of the target's own command line; `to` a release ("11.1") or a
    distribution ("debian-12"), of which only risks are told; `qemu` a command line to start, paused; `on` a
    QEMU to start with the command line that each source needs; `domain` the path of a domain's XML, "-"
    for that in a save image. With `try_it` a QEMU that is started really loads each source as well.
    `target_version` is the release of the target where its stream leaves it open, `target_vmstate` the
    path of what it wrote with -dump-vmstate. With `strict` what the streams leave open is told even where
    they do not differ in it.

    Raises UsageError where none or several are named, or a version is none, InputError where the target
    cannot be read or started.
    """
    named = [each for each in (target, to, qemu, on, domain) if each is not None]
    if len(named) != 1:
        found = f"{len(named)} of them" if named else None
        raise UsageError(
            "compat needs a target", expected="a target stream, or a release as `to`", found=found
        )
    said = _Said(
        None if target_version is None else parse_version(target_version),
        None if target_vmstate is None else vmstate_file.read_vmstate_file(target_vmstate),
    )
    with ExitStack() as stack:
        asked: Target
        if to is not None:
            asked = _Risks(build_of(to))
        elif on is not None:
            asked = _OfProgram(stack, on, said, try_it)
        elif domain is not None:
            asked = _OfDomain(stack, domain, said, try_it)
        elif qemu is not None:
            asked = _started(stack, qemu, said, try_it)
        elif isinstance(target, OpenDump):
            asked = _Stream(target, said)
        else:
            assert target is not None
            asked = _Stream(stack.enter_context(OpenDump.open(target)), said)
        asked.strict = strict
        yield asked


def compare_vmstates(source: str, target: str) -> Compatibility:
    """What a QEMU that wrote `target` with -dump-vmstate refuses of one that wrote `source`.

    Raises UsageError where `source` is no such file, InputError where either cannot be read.
    """
    from msixtool.tasks.compat.vmstate_diff import compare_files

    if not vmstate_file.is_vmstate_file(source):
        raise UsageError(
            "a vmstate description is compared with another one",
            path=target,
            expected="SOURCE of that kind, or --target-vmstate with a TARGET stream",
        )
    one, other = vmstate_file.read_vmstate_file(source), vmstate_file.read_vmstate_file(target)
    about = Origin(target, os.path.getsize(target)).document() | {"machine": other.machine}
    comparison = Comparison(tuple(compare_files(one, other)))
    origin = Origin(source, os.path.getsize(source))
    return Compatibility(origin, None, about, comparison, machine=one.machine)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a user says of the QEMU of the target: its release, and its -dump-vmstate."""

    version: Version | None = None
    vmstate: Vmstates | None = None

    def compare(self, source: OpenDump, target: OpenDump, own: Vmstates | None = None) -> Comparison:
        """Two streams; `own` is what the target's own QEMU wrote, where nothing is said."""
        return compare(source, target, target_version=self.version, vmstate=self.vmstate or own)


def _started(stack: ExitStack, qemu: str, said: _Said, try_it: bool) -> Target:
    from msixtool.tasks.compat.qemu_target import fresh_target, words_of

    command = words_of(qemu)
    fresh = stack.enter_context(fresh_target(command))
    dump = stack.enter_context(OpenDump.open(fresh.stream))
    known = replace(said, vmstate=said.vmstate or fresh.vmstate)
    made = _Stream(dump, known, name=qemu, command=command if try_it else None)
    if fresh.why is not None and said.vmstate is None:
        made.notes = (f"{command[0]}: no vmstate description: {fresh.why}",)
    return made


class _Risks(Target):
    """A release: of its own QEMU nothing is seen."""

    def __init__(self, release: Build) -> None:
        self.release = release

    def _answer(self, source: OpenDump) -> Compatibility:
        comparison = Comparison(tuple(risks(source, self.release.release, self.release.vendor)))
        return Compatibility(Origin.of(source, told=TOLD), None, self.release.document(), comparison)


class _Stream(Target):
    """One stream for all sources; `command` is what to try the load with, if it is to be tried."""

    def __init__(
        self,
        dump: OpenDump,
        said: _Said,
        *,
        name: str | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.dump, self.said, self.command = dump, said, command
        self.about = Origin.of(dump).document() | ({} if name is None else {"path": name})
        # A trial may need disks that only one QEMU can have. Files are read at offsets, so that
        # processes do not get into each other's way; what is left in a pipe only one can read.
        self.shared = command is None and dump.path != "-" and os.path.isfile(dump.path)

    @property
    def origin(self) -> Origin:
        return Origin.of(self.dump)

    def _answer(self, source: OpenDump) -> Compatibility:
        comparison = self.said.compare(source, self.dump)
        trial = None
        if self.command is not None:
            from msixtool.tasks.compat.qemu_target import try_load

            trial = try_load(self.command, source)
        return Compatibility(Origin.of(source, told=TOLD), self.origin, self.about, comparison, trial)


class _Made(Target):
    """A target made for each source, by a command of its own; targets of equal commands are made once."""

    shared = False

    def __init__(self, stack: ExitStack, name: str, said: _Said, try_it: bool) -> None:
        from msixtool.tasks.compat.qemu_target import FreshTargets

        self.targets = stack.enter_context(FreshTargets())
        self.name, self.said, self.try_it = name, said, try_it

    @abstractmethod
    def _command(self, source: OpenDump) -> TargetCommand: ...

    def _missing(self, source: OpenDump, error: InputError) -> Finding | None:
        """What a target that did not start says of the source, if that is all there is to say."""
        return None

    def _answer(self, source: OpenDump) -> Compatibility:
        from msixtool.tasks.compat.qemu_target import try_load

        made = self._command(source)
        notes = tuple(f"{self.name}: {line}" for line in made.changed)
        target, trial = None, None
        try:
            opened, vmstate = self.targets.of(made.words)
        except InputError as error:
            missing = self._missing(source, error)
            if missing is None:
                raise
            comparison = Comparison((missing,))
        else:
            comparison = self.said.compare(source, opened, vmstate)
            trial = try_load(made.words, source) if self.try_it else None
            target = Origin.of(opened)
        about = (target or Origin(None, None)).document() | {"path": self.name}
        origin = Origin.of(source, told=TOLD)
        return Compatibility(origin, target, about, comparison, trial, made.args, notes)


class _OfProgram(_Made):
    """Targets of one program, each with the command line that the source needs."""

    def __init__(self, stack: ExitStack, program: str, said: _Said, try_it: bool) -> None:
        from msixtool.tasks.compat.on_program import OnProgram

        self.program = stack.enter_context(OnProgram(program))
        known = replace(said, version=said.version or self.program.release)
        super().__init__(stack, program, known, try_it)

    def _command(self, source: OpenDump) -> TargetCommand:
        return self.program.command_for(source)

    def _missing(self, source: OpenDump, error: InputError) -> Finding | None:
        return self.program.machine_missing(source, error)


class _OfDomain(_Made):
    """Targets of a domain's XML: that of a file, or that in the source itself."""

    def __init__(self, stack: ExitStack, domain: str, said: _Said, try_it: bool) -> None:
        from msixtool.tasks.compat.domain import DomainCommands

        self.commands = DomainCommands()
        super().__init__(stack, domain, said, try_it)

    def _command(self, source: OpenDump) -> TargetCommand:
        return self.commands.of(self.name, source)
