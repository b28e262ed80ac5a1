"""A log, however long and whatever is in it, as the lines in which a known message may stand.

What holds no part of any known message is passed over in blocks, so that a log of gigabytes costs
a search and no memory. Lines that JSON, HTML or syslog have escaped are read as what they were.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from msixtool.qemu.wordings import WITH_HINT

BLOCK = 1 << 18
"""How much is read at once, in bytes."""
LONGEST = 1 << 18
"""Where a line is longer than this it is searched in pieces of so many bytes."""
OVERLAP = 1 << 12
"""By how much two pieces of one line overlap; no message is longer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, or a piece of a very long one, which overlaps the next.

    `number` counts from 1. `text` is unescaped, and may be several lines by that. `hints` are those
    of the wordings (qemu/wordings) that stand in it.
    """

    number: int
    text: str
    hints: tuple[bytes, ...]


def read_lines(log: BinaryIO) -> Iterator[Line]:
    """The lines that may hold a known message. Raises OSError where the log cannot be read."""
    number, rest = 1, b""
    while block := log.read(BLOCK):
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end:
            yield from _whole_lines(data[:end], number)
            number += data.count(b"\n", 0, end)
        elif len(data) > LONGEST + OVERLAP:
            end = len(data) - OVERLAP
            yield from _piece(data, number)
        rest = data[end:]
    yield from _piece(rest, number)


def _whole_lines(data: bytes, number: int) -> Iterator[Line]:
    """Those of whole lines that have a hint; the first line of `data` has this number."""
    hints: dict[int, list[bytes]] = {}
    for hint in WITH_HINT:
        found = data.find(hint)
        while found >= 0:
            start = data.rfind(b"\n", 0, found) + 1
            hints.setdefault(start, []).append(hint)
            found = data.find(hint, data.find(b"\n", found))
    counted = 0
    for start in sorted(hints):
        number += data.count(b"\n", counted, start)
        counted = start
        text = unescaped(data[start : data.find(b"\n", start)].decode("utf-8", "replace"))
        yield Line(number, text, tuple(hints[start]))


def _piece(data: bytes, number: int) -> Iterator[Line]:
    """A line, or a piece of one, if it has a hint."""
    hints = tuple(hint for hint in WITH_HINT if hint in data)
    if hints:
        yield Line(number, unescaped(data.decode("utf-8", "replace")), hints)


_TERMINAL = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'\\/nrtbf]))")
_SYSLOG = re.compile(r"#0([01][0-7])")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_NESTING = 4
"""How often a text may have been escaped: a QMP error in a JSON log in a JSON log."""


def unescaped(text: str) -> str:
    """What the text was before it was made part of JSON, HTML, a syslog line or a terminal's output."""
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    for _ in range(_NESTING):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(_unescape, text)
    if "&" in text:
        text = html.unescape(text)
    if "#0" in text:
        text = _SYSLOG.sub(lambda found: chr(int(found[1], 8)), text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _PLAIN.get(found[2], found[2])
