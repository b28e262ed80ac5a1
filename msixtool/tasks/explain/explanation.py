"""One failure, explained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msixtool.qemu.versions import Version, format_version
from msixtool.tasks.finding import Finding

MOST_REPEATS = 1000
"""The most repetitions of one failure whose lines are kept."""


@dataclass(slots=True)
class Explanation:
    """A failure in a log.

    `line` (from 1) and `text` are those of its cause as QEMU told it, `told` is what that means.

    `lines` are all those that tell of it, `again` those on which the same failure stands once more, and
    `qemu` the oldest and the newest release that words it so.
    """

    line: int
    text: str
    told: Finding
    lines: tuple[int, ...] = ()
    again: list[int] = field(default_factory=list)
    qemu: tuple[Version | None, Version | None] = (None, None)
    known: bool = True
    """Whether the words of the cause are known; where not, `text` is what QEMU said, and all there is."""

    log: str | None = None
    """The log that it is from, where several were given."""
    rank: int | None = 0
    """That of the cause (see Wording); None where the log tells none."""

    @property
    def worth(self) -> float:
        """How much is known by this: of two readings of a log the one that tells more is right."""
        if self.rank is None:
            return -1
        return (4 if self.rank == 0 else 1) + self.details / 5

    @property
    def details(self) -> int:
        """How many particulars it has."""
        told = self.told
        found = (told.section, told.field, told.config_offset, told.source, told.target)
        return sum(each not in (None, "") for each in found)

    def repeat(self, line: int, lines: tuple[int, ...]) -> None:
        """Count the same failure once more, told of in `lines` with its cause on `line`."""
        if line in self.lines or len(self.again) >= MOST_REPEATS:
            return
        if line < self.line:
            # Where a journal mixes processes the later of two failures can be complete first.
            line, self.line, self.lines = self.line, line, lines
        self.again.append(line)
        self.again.sort()

    def to_json(self) -> dict[str, Any]:
        """As an object of `msixtool.explain/1`."""
        told = self.told
        named = {} if self.log is None else {"log": self.log}
        return named | {
            "line": self.line,
            "text": self.text,
            "known": self.known,
            "code": told.code.value,
            "section": told.section,
            "instance": told.instance,
            "config_offset": told.config_offset,
            "field": told.field,
            "source": told.source,
            "target": told.target,
            "message": told.message,
            "advice": told.advice,
            "lines": list(self.lines),
            "again": list(self.again),
            "qemu": {"min": format_version(self.qemu[0]), "max": format_version(self.qemu[1])},
        }
