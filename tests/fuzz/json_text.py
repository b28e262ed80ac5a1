"""Changes of JSON text that leave it JSON, most of them: values of another type, size or depth."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from functools import lru_cache
from random import Random

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+0-9.eE]+|[{}\[\],:]|true|false|null')

DEPTHS = (2, 10, 63, 64, 65, 200, 1000, 3000)
"""How deep values are nested, beyond what a parser can bear."""


class Spans:
    """Places in a text, each from its start to its end: in an array, as long texts have very many."""

    def __init__(self) -> None:
        self._ends = array("I")

    def append(self, start: int, end: int) -> None:
        self._ends.extend((start, end))

    def __len__(self) -> int:
        return len(self._ends) // 2

    def choice(self, rng: Random) -> tuple[int, int]:
        """One of them."""
        at = 2 * rng.randrange(len(self))
        return self._ends[at], self._ends[at + 1]


@dataclass(frozen=True, slots=True)
class Outline:
    """Where values and names stand in a text."""

    values: Spans
    names: Spans
    containers: Spans
    """Those of the values that are objects or lists, the outermost left out."""
    members: Spans
    """A name with its value."""


@lru_cache(maxsize=256)
def outline(text: str) -> Outline:
    """Where things stand in a JSON text that is whole."""
    found = Outline(Spans(), Spans(), Spans(), Spans())
    values, members = found.values, found.members
    opened: list[tuple[int, int | None]] = []
    name: tuple[int, int] | None = None
    for token in _TOKEN.finditer(text):
        word, start, end = token[0], token.start(), token.end()
        if word in "{[":
            opened.append((start, None if name is None else name[0]))
            name = None
        elif word in "}]":
            if not opened:
                continue  # it was mutated before
            begin, named = opened.pop()
            values.append(begin, end)
            if opened:
                found.containers.append(begin, end)
            if named is not None:
                members.append(named, end)
        elif word in ",:":
            continue
        elif word[0] == '"' and _is_name(text, end) and name is None:
            name = (start, end)
            found.names.append(*name)
        else:
            values.append(start, end)
            if name is not None:
                members.append(name[0], end)
            name = None
    return found


def _is_name(text: str, end: int) -> bool:
    return text[end : end + 16].lstrip().startswith(":")


def mutate(rng: Random, text: str, *, words: tuple[str, ...] = ()) -> str:
    """Change one to a few things in a JSON text; `words` are strings that mean something to its reader."""
    parts = outline(text)
    edits: list[tuple[int, int, str]] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        edits.append(_edit(rng, text, parts, words))
    # From the end to the start, so that places stay; those that overlap are left out.
    reached = len(text) + 1
    for start, end, new in sorted(edits, reverse=True):
        if end <= reached:
            text = text[:start] + new + text[end:]
            reached = start
    if rng.random() < 0.04:
        text = _break(rng, text)
    return text


def _edit(rng: Random, text: str, parts: Outline, words: tuple[str, ...]) -> tuple[int, int, str]:
    how = rng.random()
    if not parts.values:
        return 0, len(text), value(rng, words)
    if how < 0.5 or not parts.members:
        start, end = parts.values.choice(rng)
        old = text[start:end]
        new = _alike(rng, text, parts, old) if rng.random() < 0.35 else value(rng, words, old)
        return start, end, new
    if how < 0.62 and parts.names:
        start, end = parts.names.choice(rng)
        other = parts.names.choice(rng)
        return start, end, text[other[0] : other[1]] if rng.random() < 0.7 else string(rng, words)
    if how < 0.72:
        return _without(text, parts.members.choice(rng))
    if how < 0.82:
        start, end = parts.members.choice(rng)
        return end, end, "," + text[start:end]
    if how < 0.92 and parts.containers:
        start, end = parts.containers.choice(rng)
        most = max(1, min(4000, 200_000 // (end - start)))
        return end, end, ("," + text[start:end]) * rng.choice((1, 2, most))
    one, other = parts.values.choice(rng), parts.values.choice(rng)
    return one[0], one[1], text[other[0] : other[1]]


def _alike(rng: Random, text: str, parts: Outline, old: str) -> str:
    """A value of the same type: what passes the first check, and is wrong behind it."""
    if old[0] in "-0123456789":
        return str(rng.choice((0, 1, 2, 3, 5, 8, 16, 64, 255, 256, 4096, rng.randrange(1 << 32))))
    if old in ("true", "false"):
        return "true" if old == "false" else "false"
    for _ in range(8):
        start, end = parts.values.choice(rng)
        if text[start] == old[0] and text[start:end] != old:
            return text[start:end]
    return old


def _without(text: str, member: tuple[int, int]) -> tuple[int, int, str]:
    """A member and the comma behind it, or before it."""
    start, end = member
    behind = len(text[end:]) - len(text[end:].lstrip()) + end if end < len(text) else end
    if text[behind : behind + 1] == ",":
        return start, behind + 1, ""
    before = len(text[:start].rstrip())
    return (before - 1, end, "") if text[before - 1 : before] == "," else (start, end, "")


def value(rng: Random, words: tuple[str, ...], old: str = "null") -> str:
    """A JSON value of any kind."""
    how = rng.random()
    if how < 0.5:
        return number(rng)
    if how < 0.7:
        return string(rng, words)
    if how < 0.85:
        return rng.choice(("true", "false", "null", "{}", "[]", '""', "[[]]", '{"": 0}', "[null]", "[{}]"))
    if how < 0.95:
        depth = rng.choice(DEPTHS)
        left, right = rng.choice((("[", "]"), ('{"fields":[', "]}"), ('{"struct":', "}"), ('{"a":', "}")))
        return left * depth + old + right * depth
    return "[" + ",".join([old if len(old) < 40 else "0"] * rng.choice((2, 100, 2000))) + "]"


def number(rng: Random) -> str:
    """A number at which programs go wrong, some of them no JSON at all."""
    bits = rng.choice((8, 15, 16, 24, 31, 32, 40, 53, 63, 64, 127))
    return rng.choice(
        (
            "0",
            "1",
            "-1",
            "2",
            str((1 << bits) - 1),
            str(1 << bits),
            str(-(1 << bits)),
            str(rng.randrange(1 << 12)),
            str(rng.randrange(1 << 12)),
            "0.5",
            "-0.0",
            "1e3",
            "1e308",
            "1e999",
            "NaN",
            "Infinity",
            "9" * rng.choice((20, 400, 4300, 5000)),
        )
    )


def string(rng: Random, words: tuple[str, ...]) -> str:
    """A string in quotes: names that are known, and characters that terminals and encodings mind."""
    how = rng.random()
    if how < 0.5 and words:
        return '"' + rng.choice(words) + '"'
    return (
        '"'
        + rng.choice(
            (
                "",
                "x",
                "a" * rng.choice((255, 256, 5000)),
                "\\ud800",
                "\\udcff",
                "\\u0000",
                "\\n\\r\\t",
                "\\u001b[31m",
                "[/red][bold]",
                "../../x",
                "é漢🙂",
                "*",
                "%s{0}{x!r}",
                "0",
                "-1",
                "1e9",
                "0000:00:03.0/e1000e",
            )
        )
        + '"'
    )


def _break(rng: Random, text: str) -> str:
    """Text that is no JSON any more."""
    at = rng.randrange(len(text) + 1)
    return rng.choice((text[:at], text[:at] + rng.choice(("\x00", "}", "]", ",", '"', "\\")) + text[at:]))
