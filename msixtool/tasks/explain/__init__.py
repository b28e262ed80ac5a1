"""Why a migration failed: what QEMU, libvirt or a management layer logged, explained.

`explain` goes through a log once, in bounded memory: it finds each known failure among whatever
else is there, and says what it means. With the stream that was refused it says it for sure.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from msixtool.dump import OpenDump
from msixtool.qemu.refusals.logged import STREAM
from msixtool.qemu.refusals.logged_devices import DEVICES, OUTSIDE
from msixtool.qemu.wordings import Role
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.causes import CAUSES
from msixtool.tasks.explain.events import find_events
from msixtool.tasks.explain.evidence import StreamAtHand
from msixtool.tasks.explain.explanation import Explanation
from msixtool.tasks.explain.failures import SHUT_DOWN, Failure, find_failures
from msixtool.tasks.explain.families import CONSEQUENCE, FAMILIES
from msixtool.tasks.explain.lines import read_lines
from msixtool.tasks.explain.packed import Pieces, begun, text_of
from msixtool.tasks.explain.readings import SHORT, Reading, readings
from msixtool.tasks.explain.rotated import Joined, logs_of
from msixtool.tasks.explain.silent import crash, quoted, silent
from msixtool.tasks.explain.unread import looks_like_qemu
from msixtool.tasks.finding import Finding

__all__ = [
    "MOST", "Explanation", "Finding", "Joined", "explain", "logs_of", "looks_like_qemu", "together",
]  # fmt: skip

MOST = 1000
"""The most failures that are explained; a log with more repeats itself."""

_SENTENCES = {**STREAM, **DEVICES, **OUTSIDE, **{each.name: each.sentence for each in FAMILIES}}
_CAUSES = {**CAUSES, "crash": crash, SHUT_DOWN: crash}


def explain(log: BinaryIO, dump: OpenDump | None = None) -> list[Explanation]:
    """The failures in a log by their lines, each once, explained; at most MOST.

    `dump` is the stream that was refused, or one of the same VM. Raises OSError where the log cannot be read.
    """
    evidence = None if dump is None else StreamAtHand(dump)
    head, pieces = begun(text_of(log), SHORT + 1)
    if len(head) > SHORT:
        return _explain(io.BufferedReader(Pieces(pieces)), evidence)
    best: list[Explanation] = []
    most = 0.0
    for reading in readings(head):
        found = _explain(io.BytesIO(reading.data), evidence)
        worth = _worth(found)
        if worth > most or not best:
            best, most = _numbered(found, reading), worth
    return best


def together(sides: Sequence[Sequence[Explanation]]) -> list[Explanation]:
    """What the logs of the sides of one migration tell: causes first, then what only follows from one.

    Each explanation has its `log`. What one side only noticed is told with where another says why.
    """
    every = [(side, each) for side, found in enumerate(sides) for each in found]
    causes = [(side, each) for side, each in every if each.rank is not None and each.rank < CONSEQUENCE]
    rest = []
    for side, each in every:
        if (side, each) in causes:
            continue
        why = next((cause for other, cause in causes if other != side), None)
        if why is not None:
            there = f"The reason stands in {why.log}, line {why.line}: {why.text}"
            each = replace(each, told=replace(each.told, advice=there))
        rest.append(each)
    return [cause for _, cause in causes] + rest


def _explain(log: BinaryIO, evidence: StreamAtHand | None) -> list[Explanation]:
    """What one reading of a log gives."""
    found = _Found()
    for failure in find_failures(event for line in read_lines(log) for event in find_events(line)):
        if failure.counts:
            found.add(failure, evidence)
        if found.full:
            break
    return sorted(found.explanations, key=lambda explanation: explanation.line)


def _worth(found: list[Explanation]) -> float:
    """How much a reading tells: its causes; where it has none, what it says of where it failed."""
    if any(each.rank is not None and each.rank < CONSEQUENCE for each in found):
        return sum(each.worth for each in found)
    return sum((2 if each.rank is None else 1) + each.details for each in found) / 100


def _numbered(found: list[Explanation], reading: Reading) -> list[Explanation]:
    """With the numbers that the lines have in the log as it was given."""
    for each in found:
        each.line = reading.number(each.line)
        each.lines = tuple(sorted(map(reading.number, each.lines)))
        each.again = sorted(map(reading.number, each.again))
    return sorted(found, key=lambda each: each.line)


class _Found:
    """The explanations so far: a failure that is logged again is counted, not explained twice."""

    def __init__(self) -> None:
        self.explanations: list[Explanation] = []
        self._known: dict[tuple[str, str | None], list[Explanation]] = {}
        self._ends: set[str | None] = set()

    @property
    def full(self) -> bool:
        return len(self.explanations) >= MOST

    def add(self, failure: Failure, evidence: StreamAtHand | None) -> None:
        lines = tuple(dict.fromkeys(event.line for event in failure.events))
        if all(event.role is Role.END for event in failure.events) and failure.errno in self._ends:
            # That a load failed, without more, is most often said again of one that is explained.
            return
        same = self._same(failure)
        if same is not None:
            same.repeat(failure.first.line, lines)
            return
        case = Case(failure, evidence)
        first = failure.first
        made = Explanation(
            first.line,
            first.text,
            _tell(case),
            lines,
            qemu=failure.qemu,
            known=first.role is not Role.SAID,
            rank=None if failure.cause is None else failure.cause.wording.rank,
        )
        self.explanations.append(made)
        self._known.setdefault(failure.identity, []).append(made)
        if failure.end is not None:
            self._ends.add(failure.errno)

    def _same(self, failure: Failure) -> Explanation | None:
        """The explanation of the same failure, where it stands in the log already."""
        for known in self._known.get(failure.identity, ()):
            if failure.section in (None, known.told.section):
                return known
        return None


def _tell(case: Case) -> Finding:
    """What a failure means."""
    cause = case.failure.cause
    if cause is None:
        return silent(case)
    if cause.role is Role.SAID:
        return quoted(case)
    if cause.name in _CAUSES:
        return _CAUSES[cause.name](case)
    return case.tell(_SENTENCES[cause.name])
