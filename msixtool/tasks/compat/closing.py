"""The loop of `cmdline --check`: what differs between a stream and a fresh one of its command changes it.

A candidate is one property more for the device whose section is refused, one more for the machine, or a
device of the section's own name; QEMU's `help` says which there are. It is kept where a fresh stream of the
changed command is refused for fewer reasons. Source: QEMU system/qdev-monitor.c (qdev_print_help).
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from msixtool.dump import OpenDump
from msixtool.errors import FormatError, InputError
from msixtool.formats.idstr import Idstr
from msixtool.tasks.cmdline import CommandLine
from msixtool.tasks.cmdline.words import Note, joined
from msixtool.tasks.compat import Comparison, compare
from msixtool.tasks.compat.qemu_target import Trial, fresh_stream, try_load
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.tasks.fresh import ask_program, dying_with_us

MOST_STARTS = 200
"""The most QEMUs that are started to find what a command lacks."""
MOST_SECONDS = 180.0
"""After this no other candidate is tried."""
_HELP_TIMEOUT = 20.0
_PROPERTY = re.compile(
    r"^ +([a-zA-Z0-9_-]+)=<(bool|OnOffAuto|u?int(?:8|16|32|64)(?:_t)?|size)>(.*)$", re.MULTILINE
)
_DEFAULT = re.compile(r"default: \"?([a-z0-9]+)")
_DEVICE = re.compile(r'^name "([^"]+)"', re.MULTILINE)
_ADVISED = re.compile(r"([a-z0-9_-]+)=")
_PLACES = frozenset(
    {"addr", "bootindex", "acpi-index", "chassis", "chassis_nr", "bus_nr", "rombar", "romsize"}
)
"""Numbers that say where a device is, or what the firmware does with it."""
_FLAGS = ("bool", "OnOffAuto")


@dataclass(frozen=True, slots=True)
class _Addition:
    """A command with one thing more, and that in words."""

    args: tuple[str, ...]
    option: str
    words: str


@dataclass
class _Closing:
    program: Sequence[str]
    source: OpenDump
    command: CommandLine
    starts: int = 0
    deadline: float = 0.0
    helps: dict[str, str] = field(default_factory=dict)

    def close(self) -> tuple[CommandLine, Trial]:
        """Change the command as long as that helps; the last word has a real load."""
        self.deadline = time.monotonic() + MOST_SECONDS
        trial = try_load([*self.program, *self.command.args], self.source)
        if trial.loaded:
            return self.command, trial
        wrong = self._errors(self.command.args)
        while wrong and (better := self._better(wrong)) is not None:
            change, left, mended = better
            note = Note(change.option, f"{change.words}: found by trying, as without it {_why(mended)}")
            self.command = replace(self.command, args=change.args, notes=(*self.command.notes, note))
            wrong = left
            if not wrong:
                trial = try_load([*self.program, *self.command.args], self.source)
        if not trial.loaded and wrong:
            note = Note(_option(wrong[0]), f"nothing was found that mends it: {_why(wrong[0])}")
            self.command = replace(self.command, notes=(*self.command.notes, note))
            trial = try_load([*self.program, *self.command.args], self.source)
        return self.command, trial

    def _better(self, wrong: list[Finding]) -> tuple[_Addition, list[Finding], Finding] | None:
        """The first candidate that leaves fewer reasons, those, and the one that it was tried for."""
        tried: set[tuple[str, ...]] = set()
        for cause in wrong:
            for change in self._candidates(cause):
                if change.args in tried:
                    continue
                if self.starts >= MOST_STARTS or time.monotonic() > self.deadline:
                    return None
                tried.add(change.args)
                left = self._errors(change.args)
                if left is not None and len(left) < len(wrong):
                    return change, left, cause
        return None

    def _errors(self, args: Sequence[str]) -> list[Finding] | None:
        """What stops the load, by a fresh stream; None where the command does not start."""
        self.starts += 1
        try:
            with fresh_stream([*self.program, *args]) as stream, OpenDump.open(stream) as target:
                found: Comparison = compare(self.source, target, target_version=self.command.version)
        except (InputError, FormatError):
            return None
        return [each for each in found.findings if each.severity is Severity.ERROR]

    def _candidates(self, wrong: Finding) -> Iterator[_Addition]:
        section = Idstr(wrong.section or "")
        if wrong.code is Code.SECTION_UNKNOWN:
            yield from self._device(section)
        at = self._place_of(section.path)
        if at is not None:
            model = self.command.args[at].partition(",")[0]
            for prop in _properties(self._help("-device", model), wrong):
                yield self._more(at, "-device", prop, f"{wrong.section}: {prop}")
        at = self.command.args.index("-machine") + 1
        model = self.command.args[at].partition(",")[0]
        for prop in _properties(self._help("-machine", model), wrong):
            yield self._more(at, "-machine", prop, prop)

    def _more(self, at: int, option: str, prop: str, words: str) -> _Addition:
        args = list(self.command.args)
        name = prop.partition("=")[0]
        kept = [part for part in args[at].split(",") if part.partition("=")[0] != name]
        args[at] = ",".join([*kept, prop])
        return _Addition(tuple(args), option, words)

    def _device(self, section: Idstr) -> Iterator[_Addition]:
        """A device that is called as the section is."""
        known = _DEVICE.findall(self._help("-device", ""))
        kind = section.kind
        place: dict[str, str] = {}
        if section.bus in self.command.buses:
            place = {"bus": self.command.buses[section.bus], "addr": f"0x{section.address}"}
        for name in (kind, kind.replace("_", "-"), f"{kind}-pci", f"{kind}_pci", f"isa-{kind}"):
            if name in known:
                word = joined(name, place)
                yield _Addition((*self.command.args, "-device", word), "-device", f"{section}: {word}")

    def _place_of(self, path: str) -> int | None:
        own = self.command.ids.get(path)
        if not own:
            return None
        words = enumerate(self.command.args)
        return next((at for at, word in words if f",id={own}," in f"{word},"), None)

    def _help(self, option: str, model: str) -> str:
        """What QEMU says about a device or a machine type, or which devices there are."""
        asked = f"{model},help" if model else "help"
        if (said := self.helps.get(option + asked)) is None:
            try:
                run = ask_program(dying_with_us([*self.program, option, asked]), _HELP_TIMEOUT)
                said = run.stdout
            except (InputError, OSError, subprocess.TimeoutExpired):
                said = ""
            self.helps[option + asked] = said
        return said


def close(program: Sequence[str], command: CommandLine, source: OpenDump) -> tuple[CommandLine, Trial]:
    """Load a source with a command of `program`, changed until the load succeeds or nothing more is known.

    The notes say what was changed, and what stays. Raises InputError where QEMU does not start.
    """
    return _Closing(program, source, command).close()


def _properties(said: str, wrong: Finding) -> list[str]:
    """Candidates of a `help`: what the advice names first, then switches, then numbers of the stream."""
    advised = set(_ADVISED.findall(wrong.advice or ""))
    found: list[tuple[bool, bool, str]] = []
    for name, kind, rest in _PROPERTY.findall(said):
        if name in _PLACES:
            continue
        for value in _values(kind, rest, wrong):
            found.append((name not in advised, kind not in _FLAGS, f"{name}={value}"))
    return [prop for *_, prop in sorted(found, key=lambda each: each[:2])]


def _values(kind: str, rest: str, wrong: Finding) -> list[str]:
    default = _DEFAULT.search(rest)
    if kind in _FLAGS:
        usual = {"true": "on", "false": "off"}.get(default[1], default[1]) if default else None
        return [value for value in ("on", "off") if value != usual]
    if isinstance(wrong.source, bool) or not isinstance(wrong.source, int):
        return []
    number = wrong.source
    near = {number, number + 1, number - 1, number >> 3}
    return [
        str(value) for value in sorted(near) if value >= 0 and (default is None or str(value) != default[1])
    ]


def _option(wrong: Finding) -> str:
    return "-device" if "/" in (wrong.section or "") else "-machine"


def _why(wrong: Finding) -> str:
    where = f"{wrong.section}: " if wrong.section else ""
    return f"{where}{wrong.message}"
