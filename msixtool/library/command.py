"""The QEMU command line that a stream loads into: the answer of `cmdline`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from msixtool.documents import Document, Origin
from msixtool.documents.cmdline import cmdline_document
from msixtool.dump import OpenDump
from msixtool.library.answer import OfOne
from msixtool.qemu.versions import parse_version
from msixtool.tasks.cmdline import CommandLine, command_line
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.tasks.cmdline.words import Note
    from msixtool.tasks.compat.on_program import OnProgram
    from msixtool.tasks.compat.qemu_target import Trial


@dataclass(frozen=True, slots=True, repr=False)
class Command(OfOne):
    """The command line, and what a QEMU that was asked to load the stream with it did (`trial`)."""

    origin: Origin
    line: CommandLine
    trial: Trial | None = None
    domain: str | None = None
    """The XML of a libvirt domain, where that was asked for."""

    @property
    def program(self) -> str:
        """What QEMU is called."""
        return self.line.program

    @property
    def args(self) -> tuple[str, ...]:
        """Its arguments, without the program."""
        return self.line.args

    @property
    def notes(self) -> tuple[Note, ...]:
        """One for each choice that the stream does not tell."""
        return self.line.notes

    @property
    def ok(self) -> bool:
        """Whether the stream was loaded, where that was tried."""
        return self.trial is None or self.trial.loaded

    def shell(self) -> str:
        """For a POSIX shell, an option a line."""
        return self.line.shell()

    def document(self) -> Document:
        """`msixtool.cmdline/1`."""
        document = cmdline_document(self.origin, self.line)
        return document if self.domain is None else document | {"domain": self.domain}

    def summary(self) -> str:
        return f"{self.program}, {plural(len(self.args), 'word')}, {plural(len(self.notes), 'note')}"


def command_for(
    dump: OpenDump,
    *,
    qemu_version: str | None = None,
    program: str | None = None,
    bios: str | None = None,
    like_target: str | None = None,
    check: str | None = None,
    libvirt: bool = False,
) -> Command:
    """The command line for an opened stream. Keywords are CommandOptions; raises as `Dump.cmdline` does."""
    version = parse_version(qemu_version) if qemu_version else None
    like = parse_version(like_target) if like_target else None
    trial = None
    with nullcontext() if check is None else _program(check) as target:
        version = version or (None if target is None else target.release)
        line = command_line(dump, version=version, program=program, bios=bios, like=like)
        if target is not None:
            line, trial = target.closed(dump, line)
    if not libvirt:
        return Command(Origin.of(dump), line, trial)
    from msixtool.tasks.cmdline.libvirt import domain_of

    domain, line = domain_of(line, PurePath(dump.path).name)
    return Command(Origin.of(dump), line, trial, domain)


def _program(check: str) -> OnProgram:
    from msixtool.tasks.compat.on_program import OnProgram

    return OnProgram(check)
