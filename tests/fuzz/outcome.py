"""What the harness deals in: an input, what became of it, and what should not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tests.fuzz import octets


class Outcome(StrEnum):
    """How far a reader got with an input."""

    REFUSED = "refused"
    """One of msixtool's own errors, in one line: nothing could be read."""
    PARTLY = "partly"
    """It was read, and what is damaged in it was named."""
    WHOLE = "whole"
    """It was read, and nothing was found to be damaged."""


class MisreadError(AssertionError):
    """Something that a reader must not do, though it raised nothing: the reason in words."""


@dataclass(frozen=True, slots=True)
class Input:
    """A mutated input. `base` says what it was made from, `other` is the second operand, if there is one."""

    base: str
    data: bytes
    other: bytes = b""


@dataclass(frozen=True, slots=True)
class Reader:
    """Something that reads bytes from outside: how an input for it is made, and how it is read.

    `read` raises an error of msixtool for what it refuses; whatever else it raises is a finding.
    `bases` names what inputs are made from, as the log has to say it: another list gives other inputs.
    `mutate` changes any input so that most of them still pass the first check, for runs by coverage.
    """

    name: str
    what: str
    make: Callable[[Random], Input]
    read: Callable[[Input], Outcome]
    bases: Callable[[], list[str]]
    weight: float = 1.0
    """Its share of a run over all readers: those that are quick get more."""
    mutate: Callable[[Random, bytes], bytes] = octets.mutate


@dataclass(frozen=True, slots=True)
class Finding:
    """What went wrong with one input, which `reader`, `seed` and `index` make again."""

    reader: str
    seed: int
    index: int
    base: str
    kind: str
    text: str

    def __str__(self) -> str:
        line = self.text.strip().splitlines()[-1] if self.text.strip() else ""
        return (
            f"{self.reader} --seed {self.seed} --only {self.index} ({self.base}): {self.kind}: {line[:300]}"
        )


@dataclass(slots=True)
class Tally:
    """What ran: how many inputs came to which outcome, and the extremes.

    Times are seconds of CPU of one input, memory is the peak of the worker's resident set in bytes.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_index: int = -1
    memory: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Inputs that ran."""
        return sum(self.outcomes.values())

    def add(self, other: Tally) -> None:
        """Count what another worker did."""
        self.outcomes.update(other.outcomes)
        if other.slowest > self.slowest:
            self.slowest, self.slowest_index = other.slowest, other.slowest_index
        self.memory = max(self.memory, other.memory)
        self.seconds += other.seconds
        self.findings += other.findings
