"""How the values of a script are spelt: each kind reads one from words, and spells it again.

`parse` raises UsageError, with what is allowed and what was found; the form that asked adds its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from msixtool.errors import UsageError
from msixtool.kept import NamedTuple
from msixtool.msix.events import BUS_MASTER_OFF, VECTOR_UNUSED, MsixEvent, VectorEvent
from msixtool.msix.versions import QemuVersion
from msixtool.qemu.versions import whole_version

_U16, _U32, _U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1

MAX_LIST = 4096
"""Vectors that one line may name, one by one or in ranges."""

_NUMBER = re.compile(r"0[xX]([0-9a-fA-F]{1,16})$|([0-9]{1,20})$")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?$")
_SHOWN = 60
"""Characters of a wrong word that an error shows."""

VectorNumbers = tuple[int, ...] | Literal["all"]
"""Vectors in the order given, or all that the device has."""


def wrong(expected: str, found: str) -> UsageError:
    """The error of a word that is not what was expected."""
    shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
    return UsageError("value", expected=expected, found=repr(shown))


class ValueKind(Protocol):
    """One kind of value; `many` says whether it takes as many words as `accepts` lets it."""

    @property
    def many(self) -> bool: ...
    @property
    def expected(self) -> str:
        """What is allowed, for errors."""

    def accepts(self, word: str) -> bool: ...
    def parse(self, words: Sequence[str]) -> Any: ...
    def format(self, value: Any) -> list[str]: ...


class _OneWord:
    """A value that is one word."""

    many = False

    def accepts(self, word: str) -> bool:
        return True


@dataclass(frozen=True)
class Number(_OneWord):
    """A number from 0 to `high`, or one of `allowed`; spelt in hex or not, and read in either."""

    high: int = _U64
    hexadecimal: bool = True
    allowed: tuple[int, ...] = ()

    @property
    def expected(self) -> str:
        if self.allowed:
            return " or ".join(map(str, self.allowed))
        return f"a number from 0 to {self.high:#x}" if self.hexadecimal else f"a number from 0 to {self.high}"

    def parse(self, words: Sequence[str]) -> int:
        found = _NUMBER.match(words[0])
        value = -1 if not found else int(found[1], 16) if found[1] else int(found[2])
        if not 0 <= value <= self.high or (self.allowed and value not in self.allowed):
            raise wrong(self.expected, words[0])
        return value

    def format(self, value: int) -> list[str]:
        return [f"{value:#x}" if self.hexadecimal else str(value)]


@dataclass(frozen=True)
class OneOf(_OneWord):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(self.words)

    def parse(self, words: Sequence[str]) -> str:
        if words[0] not in self.words:
            raise wrong(self.expected, words[0])
        return words[0]

    def format(self, value: str) -> list[str]:
        return [value]


class Switch(_OneWord):
    """`on` or `off`."""

    expected = "on or off"

    def parse(self, words: Sequence[str]) -> bool:
        if words[0] not in ("on", "off"):
            raise wrong(self.expected, words[0])
        return words[0] == "on"

    def format(self, value: bool) -> list[str]:
        return ["on" if value else "off"]


class Word(_OneWord):
    """Any word: a file, a device, a name."""

    expected = "a word"

    def parse(self, words: Sequence[str]) -> str:
        if not words[0]:
            raise wrong(self.expected, words[0])
        return words[0]

    def format(self, value: str) -> list[str]:
        return [value]


class VersionWord(_OneWord):
    """A QEMU version, `10.0` or `10.0.13`."""

    expected = "a QEMU version like 10.0"

    def parse(self, words: Sequence[str]) -> QemuVersion:
        try:
            return whole_version(words[0])
        except UsageError:
            raise wrong(self.expected, words[0]) from None

    def format(self, value: QemuVersion) -> list[str]:
        return [".".join(map(str, value))]


class BarOffset(NamedTuple):
    """A place in a BAR; `size` is the BAR's own, in bytes, None for as large as need be."""

    bar: int
    offset: int
    size: int | None = None


class PlaceInBar(_OneWord):
    """`BAR:OFFSET`, or `BAR:OFFSET:SIZE` with the size of the BAR."""

    expected = "BAR:OFFSET or BAR:OFFSET:SIZE, the BAR from 0 to 5"

    def parse(self, words: Sequence[str]) -> BarOffset:
        parts = words[0].split(":")
        try:
            bar, *rest = (
                Number(limit).parse([part]) for limit, part in zip((5, _U32, _U64), parts, strict=False)
            )
        except UsageError:
            raise wrong(self.expected, words[0]) from None
        if len(parts) not in (2, 3):
            raise wrong(self.expected, words[0])
        return BarOffset(bar, *rest)

    def format(self, value: BarOffset) -> list[str]:
        size = "" if value.size is None else f":{value.size:#x}"
        return [f"{value.bar}:{value.offset:#x}{size}"]


class VectorWords:
    """Vectors as words: numbers and ranges (`0 2 4-7`), or `all`."""

    many = True
    expected = "vectors: numbers, ranges like 0-3, or all"

    def accepts(self, word: str) -> bool:
        return word == "all" or _RANGE.match(word) is not None

    def parse(self, words: Sequence[str]) -> VectorNumbers:
        if not words or list(words) == ["all"]:
            return "all" if words else ()
        numbers: list[int] = []
        for word in words:
            first, last = self._range(word)
            if last - first >= MAX_LIST - len(numbers):
                raise wrong(f"at most {MAX_LIST} vectors", word)
            numbers += range(first, last + 1)
        return tuple(numbers)

    def _range(self, word: str) -> tuple[int, int]:
        found = _RANGE.match(word)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise wrong(self.expected, word)
        return int(found[1]), int(found[2] or found[1])

    def format(self, value: VectorNumbers) -> list[str]:
        if value == "all":
            return ["all"]
        return [str(a) if a == b else f"{a}-{b}" for a, b in _runs(value)]


class VectorList(_OneWord):
    """Vectors in one word: `0,2,4-7`, `all` or `none`."""

    expected = "vectors: numbers and ranges with commas, all, or none"

    def parse(self, words: Sequence[str]) -> VectorNumbers:
        if words[0] == "none":
            return ()
        try:
            return VectorWords().parse(words[0].split(","))
        except UsageError:
            raise wrong(self.expected, words[0]) from None

    def format(self, value: VectorNumbers) -> list[str]:
        return [",".join(VectorWords().format(value)) or "none"]


class EventPattern(NamedTuple):
    """An event as a script names it: `KIND`, or `KIND:VECTOR`."""

    event: str
    vector: int | None = None

    def __str__(self) -> str:
        return self.event if self.vector is None else f"{self.event}:{self.vector}"


class EventPatterns:
    """Events as words, each `KIND` or `KIND:VECTOR`."""

    many = True

    @property
    def expected(self) -> str:
        return f"events, KIND or KIND:VECTOR, with KIND one of {', '.join(EVENTS)}"

    def accepts(self, word: str) -> bool:
        return True

    def parse(self, words: Sequence[str]) -> tuple[EventPattern, ...]:
        return tuple(map(self._pattern, words))

    def _pattern(self, word: str) -> EventPattern:
        event, colon, vector = word.partition(":")
        if event not in EVENTS or (colon and event not in VECTOR_EVENTS):
            raise wrong(self.expected, word)
        return EventPattern(event, Number(_U16, False).parse([vector]) if colon else None)

    def format(self, value: Iterable[EventPattern]) -> list[str]:
        return [str(pattern) for pattern in value]


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers that count up, in the order given."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[start], numbers[at - 1]
            start = at


def _kinds(event: type[MsixEvent]) -> Iterator[str]:
    """The kind of an event and of those derived from it."""
    if hasattr(event, "event"):
        yield event.event
    for derived in event.__subclasses__():
        yield from _kinds(derived)


EVENTS = tuple(dict.fromkeys(_kinds(MsixEvent)))
"""The kinds of events."""
VECTOR_EVENTS = frozenset(_kinds(VectorEvent))
"""Those of one vector."""

VALUE_KINDS: dict[str, ValueKind] = {
    "N": Number(_U32, hexadecimal=False),
    "BAR": Number(5, hexadecimal=False),
    "OFFSET": Number(_U32),
    "ADDRESS": Number(_U64),
    "DATA": Number(_U32),
    "VECTOR-CONTROL": Number(_U32),
    "CONTROL": Number(_U16),
    "COMMAND": Number(_U16),
    "VALUE": Number(_U64),
    "SIZE": Number(hexadecimal=False, allowed=(1, 2, 4, 8)),
    "WIDTH": Number(hexadecimal=False, allowed=(1, 2, 4)),
    "COUNT": Number(_U32, hexadecimal=False),
    "VECTOR": Number(_U16, hexadecimal=False),
    "VECTORS": VectorWords(),
    "LIST": VectorList(),
    "PLACE": PlaceInBar(),
    "VERSION": VersionWord(),
    "EVENT": OneOf(EVENTS),
    "EVENTS": EventPatterns(),
    "REASON": OneOf((VECTOR_UNUSED, BUS_MASTER_OFF)),
    "on|off": Switch(),
    "FILE": Word(),
    "DEVICE": Word(),
    "KIND": Word(),
    "NAME": Word(),
    "TEXT": Word(),
}
"""The kind that each placeholder of a usage line stands for."""
