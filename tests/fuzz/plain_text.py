"""Changes of text in lines: scripts, TOML, logs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from tests.fuzz import json_text

MOST = 1 << 20
"""Characters that a mutated text has at most."""

_WORD = re.compile(r'"[^"\n]*"|[^\s"=,:\[\]{}]+')
_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]+|\d+)")


def mutate(rng: Random, text: str, words: Sequence[str] = (), others: Sequence[str] = ()) -> str:
    """Change one to a few lines or words; `words` mean something to the reader, `others` are like texts."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(lines))
        how = rng.random()
        if how < 0.62:
            lines[at] = _line(rng, lines[at], words)
        elif how < 0.7:
            del lines[at]
            lines = lines or [""]
        elif how < 0.78:
            lines[at:at] = [lines[at]] * rng.choice((1, 1, 2, 50))
        elif how < 0.86:
            to = rng.randrange(len(lines))
            lines[at], lines[to] = lines[to], lines[at]
        elif how < 0.95 and others:
            more = rng.choice(others).split("\n")
            start = rng.randrange(len(more))
            lines[at:at] = more[start : start + rng.choice((1, 1, 3, 20))]
        else:
            lines[at:at] = [junk(rng)]
    return "\n".join(lines)[:MOST]


def _line(rng: Random, line: str, words: Sequence[str]) -> str:
    """One change within a line."""
    how = rng.random()
    found = list((_NUMBER if how < 0.35 else _WORD).finditer(line))
    if how < 0.75 and found:
        place = rng.choice(found)
        return line[: place.start()] + _word(rng, place[0], words, how < 0.35) + line[place.end() :]
    at = rng.randrange(len(line) + 1)
    if how < 0.85:
        return (
            line[:at]
            + rng.choice((" ", "=", '"', "'", "#", ",", "-", "\\", "\t", "\x00", "é", "{", "]"))
            + line[at:]
        )
    if how < 0.92:
        return line[:at]
    if how < 0.96:
        return line + " " + _word(rng, "", words, False)
    return line[:at] + junk(rng) + line[at:]


def _word(rng: Random, old: str, words: Sequence[str], is_number: bool) -> str:
    how = rng.random()
    if is_number and how < 0.45:
        return str(rng.choice((0, 1, 2, 3, 4, 7, 16, 0x40, 0x800, rng.randrange(1 << 32))))
    if is_number and how < 0.7:
        number = json_text.number(rng)
        return hex(int(number)) if rng.random() < 0.4 and number.isdigit() and len(number) < 400 else number
    if how < 0.5 and words:
        return rng.choice(words)
    if how < 0.6:
        return old * 2
    if how < 0.7:
        return ""
    return rng.choice(
        (junk(rng), json_text.string(rng, ()), "0-2047", "0,1,2", "none", "all", "-0", "0x", "1_0")
    )


def junk(rng: Random) -> str:
    """Text that nobody meant: long, binary, control characters, half an escape."""
    return rng.choice(
        (
            "x" * rng.choice((1, 80, 300, 70_000)),
            rng.randbytes(rng.choice((1, 8, 100))).decode("latin-1"),
            "\x1b[31mred\x1b[0m",
            '\\u00e9\\n\\"\\\\' * rng.choice((1, 500)),
            "&lt;&quot;&#x110000;&#0;" * rng.choice((1, 200)),
            "#033[1m#011",
            "[/bold] [link=x]",
            "'" * rng.choice((1, 2, 1001)),
            "(" * rng.choice((1, 5000)),
            "%n%s{0}{self}",
            "\ufeff\u202e\u2028",
        )
    )
