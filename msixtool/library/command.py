"""The QEMU command line that a stream loads into: the answer of `cmdline`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msixtool import dump as door
from msixtool.documents import Document, Origin
from msixtool.documents.cmdline import cmdline_document
from msixtool.library.answer import OfOne
from msixtool.qemu.versions import parse_version
from msixtool.tasks.cmdline import CommandLine, command_line
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.tasks.cmdline.words import Note
    from msixtool.tasks.compat.qemu_target import Trial


@dataclass(frozen=True, slots=True, repr=False)
class Command(OfOne):
    """The command line, and what a QEMU that was asked to load the stream with it did (`trial`)."""

    line: CommandLine
    trial: Trial | None = None

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
        return cmdline_document(self.origin, self.line)

    def summary(self) -> str:
        return f"{self.program}, {plural(len(self.args), 'word')}, {plural(len(self.notes), 'note')}"


def command_for(
    dump: door.Dump,
    *,
    qemu_version: str | None,
    program: str | None,
    bios: str | None,
    like_target: str | None,
    check: str | None,
) -> Command:
    """The command line for an opened stream. Raises as `Dump.cmdline` does."""
    version = parse_version(qemu_version) if qemu_version else None
    like = parse_version(like_target) if like_target else None
    if check is None:
        line = command_line(dump, version=version, program=program, bios=bios, like=like)
        return Command(Origin.of(dump), line)
    from msixtool.tasks.compat.on_program import OnProgram

    with OnProgram(check) as target:
        version = version or target.release
        line = command_line(dump, version=version, program=program, bios=bios, like=like)
        line, trial = target.closed(dump, line)
    return Command(Origin.of(dump), line, trial)
