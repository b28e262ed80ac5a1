"""The known messages in a line: what each says, and in which order they stand."""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter

from msixtool.qemu.wordings import WITH_HINT, Role, Wording
from msixtool.tasks.explain.families import FAMILIES
from msixtool.tasks.explain.lines import Line
from msixtool.tasks.explain.pieces import Piece, find_pieces, message_starts

MOST_IN_A_LINE = 1000
"""Of a line that repeats one message over and over, this many matches of each wording are looked at."""

_NAMED = re.compile(r"(?:\bqemu[\w.+-]{0,60}|\bkvm)(?:\[\d{1,10}\])?: ?(?:error: |warning: )?$")
_PROCESS = re.compile(r"\b[\w.+-]{1,60}\[(\d{1,10})\]: ")
_REACH = 160


@dataclass(frozen=True, slots=True)
class Event:
    """One message. `statement` numbers the messages within the log's line, which may once have been several.

    `named`: its words are weak, and QEMU's name stands before them. `process` is the pid in a journal's
    prefix, None without one.
    """

    wording: Wording
    line: int
    statement: int
    text: str
    values: dict[str, str]
    named: bool
    process: str | None
    matched: str = ""
    """Of a message that a family knows: what the family has of it."""

    @property
    def told_by_family(self) -> bool:
        """Whether it is known by its family alone."""
        return self.wording.name in FAMILY_WORDINGS

    @property
    def name(self) -> str:
        return self.wording.name

    @property
    def role(self) -> Role:
        return self.wording.role

    def number(self, group: str) -> int | str | None:
        """A value as its wording writes it: a number, a text, or None where it is not there."""
        text = self.values.get(group)
        base = self.wording.base
        if text is None or base is None:
            return text
        if base == 0:
            base = 16 if text.startswith("0x") else 10
        return int(text, base)


SAID = Wording("said", re.compile(""), "", Role.SAID, rank=1)
"""What QEMU said in words that are not known."""
FAMILY_WORDINGS = {
    each.name: Wording(each.name, re.compile(""), "", Role.CAUSE, rank=each.rank) for each in FAMILIES
}
"""Each family as a wording; its templates are looked for in pieces (see pieces.py)."""

_Found = tuple[int, int, Wording, re.Match[str]]
"""Where a match begins and ends, and what matched."""


def find_events(line: Line) -> list[Event]:
    """The known messages of a line in their order.

    Where two overlap, the one that begins first counts, and weak words less than others.
    """
    found = []
    for hint in line.hints:
        for wording in WITH_HINT[hint]:
            matches = islice(wording.pattern.finditer(line.text), MOST_IN_A_LINE)
            found += [(match.start(), match.end(), wording, match) for match in matches]
    found.sort(key=lambda entry: (entry[2].weak, entry[0], -entry[1]))
    kept: list[_Found] = []
    for entry in found:
        place = bisect(kept, entry[0], key=itemgetter(0))
        clear_before = not place or kept[place - 1][1] <= entry[0]
        if clear_before and (place == len(kept) or entry[1] <= kept[place][0]):
            kept.insert(place, entry)
    pieces = find_pieces(line.text, [(start, end, wording.role) for start, end, wording, _ in kept])
    entries = [(start, _event(line, wording, match)) for start, _, wording, match in kept]
    entries += [(piece.start, _told(line, piece)) for piece in pieces]
    entries.sort(key=itemgetter(0))
    events: list[Event] = []
    begins = message_starts(line.text)
    for start, event in entries:
        events.append(replace(event, statement=bisect(begins, start)))
    return events


def _told(line: Line, piece: Piece) -> Event:
    """What is known by its family, or not at all."""
    wording = SAID if piece.family is None else FAMILY_WORDINGS[piece.family.name]
    return Event(
        wording,
        line.number,
        0,
        printable(piece.text),
        {name: printable(value) for name, value in piece.values.items()},
        piece.named,
        _process_at(line.text, piece.start),
        piece.matched,
    )


def _event(line: Line, wording: Wording, match: re.Match[str]) -> Event:
    start = match.start()
    begin = line.text.rfind("\n", 0, start) + 1
    named = wording.weak and _NAMED.search(line.text, max(begin, start - _REACH), start) is not None
    return Event(
        wording,
        line.number,
        0,
        printable(match[0]),
        {name: printable(value) for name, value in match.groupdict().items() if value is not None},
        named,
        _process_at(line.text, start),
    )


def _process_at(text: str, start: int) -> str | None:
    """The pid in the prefix of the line in which a message begins at `start`."""
    begin = text.rfind("\n", 0, start) + 1
    # A journal's line that was several ones has its prefix before the first alone.
    return _process(text, begin, start) or (_process(text, 0, start) if begin else None)


def _process(text: str, begin: int, end: int) -> str | None:
    """The pid in the prefix of the line that begins at `begin`."""
    end = min(end, begin + _REACH)
    bracket = text.find("]: ", begin, end)
    found = _PROCESS.search(text, begin, bracket + 3) if bracket > 0 else None
    return None if found is None else found[1]


def printable(text: str) -> str:
    """Text of a log, safe to be shown: what a terminal would act on is replaced."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
