"""A comparison without a target: PROGRAM with the command line that the source needs is the target.

Where a firmware is not QEMU's own a blank one of its size is made: a stream brings the contents along.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from msixtool.dump import OpenDump
from msixtool.errors import InputError
from msixtool.qemu.versions import Version
from msixtool.tasks.cmdline import CommandLine, command_line
from msixtool.tasks.compat.closing import close
from msixtool.tasks.compat.qemu_target import TargetCommand, Trial, words_of
from msixtool.tasks.finding import Code, Finding
from msixtool.tasks.fresh import ask_program, dying_with_us, passing_file

VERSION_TIMEOUT = 10.0
"""Seconds within which a QEMU says its version."""
_VERSION = re.compile(r"QEMU emulator version ([0-9]+)\.([0-9]+)")
_NO_MACHINE = ("unsupported machine type", "Machine type not supported", "is not a valid machine")


def version_of(program: Sequence[str]) -> Version:
    """The version of a QEMU. Raises InputError for a program that is none, or does not answer."""
    try:
        run = ask_program(dying_with_us([*program, "--version"]), VERSION_TIMEOUT)
    except OSError as error:
        raise InputError("cannot be started", path=program[0], found=error.strerror) from None
    except subprocess.TimeoutExpired:
        expected = f"its version within {VERSION_TIMEOUT:.0f} s"
        raise InputError("is no QEMU", path=program[0], expected=expected, found="no answer") from None
    said = run.stdout + run.stderr
    found = _VERSION.search(said)
    if found is None:
        lines = said.strip().splitlines()
        raise InputError(
            "is no QEMU",
            path=program[0],
            expected="QEMU emulator version …",
            found=lines[0][:200] if lines else f"status {run.returncode}",
        )
    return int(found[1]), int(found[2])


@dataclass
class OnProgram:
    """A QEMU, and the firmware that was made for it. A context manager: leaving it removes that."""

    program: str
    _stack: ExitStack = field(default_factory=ExitStack)
    _blanks: dict[int, Path] = field(default_factory=dict)
    """Firmware of zeros, by size in bytes."""

    def __enter__(self) -> OnProgram:
        self._words = words_of(self.program)
        plain = self._words[:-2] if self._words[-2:] == ["-display", "none"] else self._words
        self._release = version_of(plain)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def closed(self, source: OpenDump, command: CommandLine) -> tuple[CommandLine, Trial]:
        """Load a source with a command, and change that until the load succeeds or nothing more is known.

        Raises InputError where the target does not start.
        """
        blank = self._with_firmware(command).args[len(command.args) :]
        return close([*self._words, *blank], command, source)

    @property
    def release(self) -> Version:
        """What PROGRAM says its version is."""
        return self._release

    def command_for(self, source: OpenDump) -> TargetCommand:
        """The command for a source, with a blank firmware where it needs one of another size.

        Raises InputError where the source has no machine type.
        """
        made = self._with_firmware(command_line(source, version=self._release, program=self._words[0]))
        return TargetCommand((*self._words, *made.args), tuple(made.args))

    def machine_missing(self, source: OpenDump, error: InputError) -> Finding | None:
        """That PROGRAM did not start as it lacks the machine type of a source; None for another reason."""
        if not any(said in str(error) for said in _NO_MACHINE):
            return None
        return Finding(
            Code.MACHINE_TYPE,
            f"machine type: {source.index.machine}, which {self.program} does not have",
            section="configuration",
            field="machine",
            source=source.index.machine,
            advice="Use a QEMU that has it: the vendor's own, or an older release.",
        )

    def _with_firmware(self, command: CommandLine) -> CommandLine:
        if command.firmware is None:
            return command
        if command.firmware not in self._blanks:
            descriptor, path = self._stack.enter_context(passing_file())
            os.truncate(descriptor, command.firmware)
            self._blanks[command.firmware] = path
        return replace(command, args=(*command.args, "-bios", str(self._blanks[command.firmware])))
