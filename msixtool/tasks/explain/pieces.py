"""What stands in a line beside the messages that are known word for word: QEMU's other words.

A line may hold several messages (libvirt puts QEMU's last ones together); each begins with QEMU's name. Of a
message that holds others, as the one line of 10.2 and later, what is left at its end is the cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from msixtool.qemu.wordings import Role
from msixtool.tasks.explain.families import find_family
from msixtool.tasks.explain.families.family import Family

_LONGEST = 1000
"""Of a message that is longer, so many characters are looked at."""
_MOST = 200
"""The most messages of one line that are looked at."""

_TIME = r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]{0,10}(?:Z|[+-]\d\d:?\d\d)?:? )?"
SPEAKER = re.compile(
    _TIME + r"(?<![\w.-])(?P<name>qemu(?:-kvm|-system-\w{1,20})?(?:-[\d.]{1,10})?|kvm)(?:\[\d{1,10}\])?:"
    r" (?:error: )?|\n"
)
_WARNING = re.compile(r"(?i)(?:[\w .,=-]{0,80}: )?(?:warning|info): |terminating on signal|QEMU waiting for")
_END = re.compile(r"\"[,})]|'\)|\\n|(?<=[a-z])\"\s")
_BROKEN_OFF = re.compile(r" ?(?:error while loading |load of migration |Failed to load$)")
"""What says where it failed, in a line that was broken in the middle: no reason."""
_LEFT = " :;,.-'\"\t"
_LETTERS = re.compile(r"[A-Za-z]{3}")
_CONTEXT = re.compile(
    r"igrat|libvirt|virError|\bvfio\b|[Qq]emu|QEMU|monitor|error:|ERROR|internal error|operation failed"
    r"|\"error-desc\"|\"class\": ?\"GenericError\""
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A message, or the part of one that is not known word for word; `family` is None where none has it."""

    start: int
    text: str
    named: bool
    family: Family | None = None
    values: dict[str, str] = field(default_factory=dict)
    matched: str = ""
    """What its family has of it, the same however the message is wrapped."""


def message_starts(text: str) -> list[int]:
    """Where the messages of a line begin, but for the first."""
    return [match.end() for match in islice(SPEAKER.finditer(text), 10 * _MOST)]


def find_pieces(text: str, known: list[tuple[int, int, Role]]) -> list[Piece]:
    """The pieces of a line beside its known messages, given as where they begin and end, in order."""
    return [
        piece
        for start, end, named in _messages(text)
        for piece in _in_message(text, start, end, named, known)
    ]


def _messages(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where each message begins and ends, and whether QEMU's name stands before it."""
    start, named = 0, False
    for number, match in enumerate(SPEAKER.finditer(text)):
        if number == _MOST:
            return
        if match.start() > start:
            yield start, match.start(), named
        start, named = match.end(), match[0] != "\n"
    if start < len(text):
        yield start, len(text), named


def _in_message(
    text: str, start: int, end: int, named: bool, known: list[tuple[int, int, Role]]
) -> Iterator[Piece]:
    inside = [entry for entry in known if entry[0] < end and entry[1] > start]
    if any(role in (Role.CAUSE, Role.NOTE) for _, _, role in inside):
        return
    if inside:
        # What is before QEMU's own first words is a prefix; what is behind its last is why.
        begin = inside[-1][1]
        goes_on = text[begin:end].lstrip(" '\"").startswith((":", ";"))
        if goes_on and (inside[0][2] is Role.END or inside[0][0] - start < 3 or named):
            piece = _piece(text, begin, end, named=True)
            if piece is not None:
                yield piece
        return
    piece = _piece(text, start, end, named=named)
    if piece is not None:
        yield piece


def _piece(text: str, start: int, end: int, *, named: bool) -> Piece | None:
    words = text[start : min(end, start + _LONGEST)]
    if not _LETTERS.search(words) or (named and _WARNING.match(words)):
        return None
    found = find_family(words, named=named or _CONTEXT.search(words) is not None)
    if found is not None:
        template, match = found
        begin = 0 if named else _begin(words, match.start())
        values = {name: value for name, value in match.groupdict().items() if value is not None}
        shown, skipped = _trimmed(words[begin:], match.end() - begin)
        return Piece(start + begin + skipped, shown, named, template.family, values, match[0])
    if not named or _BROKEN_OFF.match(words):
        return None
    shown, skipped = _trimmed(words, 0)
    return Piece(start + skipped, shown, named) if _LETTERS.search(shown) else None


def _begin(words: str, match: int) -> int:
    """Where a message begins that the match is in: behind the last prefix of those who log it."""
    begin = max((found.end() for found in _PREFIX.finditer(words, 0, match)), default=0)
    return begin if match - begin <= _MOST_BEFORE else match


_PREFIX = re.compile(
    r": error : \w{1,60}:\d{1,6} : |(?:error|ERROR|Error|failure|failed -|reason|failureReason|desc|msg"
    r"|message|Message)[:=]?['\": ]{1,4}|\d\d:\d\d:\d\d[.,\dZ+:]{0,16} "
)
_MOST_BEFORE = 160


def _trimmed(words: str, least: int) -> tuple[str, int]:
    """A message without what stands around it, and how much was before it; `least` of it is kept."""
    stop = _END.search(words, least)
    whole = words[: stop.start()] if stop else words
    shown = whole.lstrip(_LEFT)
    skipped = len(whole) - len(shown)
    shown = shown.rstrip(" ,;:\t")
    if shown[-1:] in ("'", '"') and not re.search(rf"(?:^|[\s(=:]){shown[-1]}", shown[:-1]):
        shown = shown[:-1]  # that of what the message was quoted in
    return shown, skipped
