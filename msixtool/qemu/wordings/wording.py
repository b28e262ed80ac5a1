"""One wording of QEMU: what it looks like in a log, and what part it plays in a failure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from msixtool.qemu.versions import Version


class Role(Enum):
    """The part that a message plays in a failure, which QEMU tells in several."""

    CAUSE = "why it failed"
    PLACE = "where it failed"
    END = "that it failed"
    NOTE = "a warning: QEMU goes on"
    SAID = "words that are not known, of the QEMU that failed"


@dataclass(frozen=True, slots=True)
class Wording:
    """A message that QEMU, or what manages it, logs.

    `pattern` has a named group for each value; `hint` is a part of every such message that no
    escaping changes, so that a log without it need not be searched. `base` is that of the numbers
    in the groups `source` and `target`: 0 where a prefix says it, None where they are text.
    """

    name: str
    pattern: re.Pattern[str]
    hint: str
    role: Role = Role.CAUSE
    base: int | None = None
    since: Version | None = None
    """The first release with these words, and `until` the last; None where that is not known."""
    until: Version | None = None
    weak: bool = False
    """Too common to count alone: only beside other messages of a failure, or with QEMU's name before it."""
    after: frozenset[str] = field(default_factory=frozenset)
    """Causes that this message only follows from, where one of them stands just before it."""
    rank: int = 0
    """Of two causes of one failure the one with the lower rank is it: 0 for one that tells why by itself."""


def wording(
    name: str,
    pattern: str,
    hint: str = "",
    role: Role = Role.CAUSE,
    *,
    base: int | None = None,
    since: Version | None = None,
    until: Version | None = None,
    weak: bool = False,
    after: tuple[str, ...] = (),
    rank: int = 0,
) -> Wording:
    """A Wording whose pattern is compiled. No pattern may match across lines or repeat a repetition.

    Without `hint` the pattern has no signs of its own: it is its own hint.
    """
    return Wording(
        name, re.compile(pattern), hint or pattern, role, base, since, until, weak, frozenset(after), rank
    )


SECTION = r"'(?P<section>[^'\n]{1,255})'"
"""A section's idstr in quotes: QEMU writes it with a length of one byte."""
NAME = r"[^\s':\"\\]{1,255}"
"""A name without blanks."""
START = r"(?<![^\s':\"\\])"
"""Where a name begins: a pattern that begins with one is tried there only, not at each letter of it."""
HEX = r"[0-9a-fA-F]{1,32}"
NUMBER = r"-?\d{1,20}"
REASON = r"[^\n\"]{1,300}"
"""The rest of a message that is told in free words."""
