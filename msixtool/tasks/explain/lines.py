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

from msixtool.qemu.wordings import HINTS

BLOCK = 1 << 18
"""How much is read at once, in bytes."""
LONGEST = 1 << 18
"""Where a line is longer than this it is searched in pieces of so many bytes."""
OVERLAP = 1 << 12
"""By how much two pieces of one line overlap; no message is longer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, or a piece of a very long one.

    `number` counts from 1. `text` is unescaped, and may be several lines by that. What begins at
    `limit` or behind belongs to the next piece, which begins there.
    """

    number: int
    text: str
    limit: int


def read_lines(log: BinaryIO) -> Iterator[Line]:
    """The lines that may hold a known message. Raises OSError where the log cannot be read."""
    number, rest = 1, b""
    while block := log.read(BLOCK):
        data = rest + block
        end = data.rfind(b"\n") + 1
        if not end and len(data) > LONGEST + OVERLAP:
            end = len(data) - OVERLAP
            yield from _lines(data, number, end)
        elif end:
            yield from _lines(data[:end], number)
            number += data.count(b"\n", 0, end)
        rest = data[end:]
    yield from _lines(rest, number)


def _lines(data: bytes, number: int, limit: int | None = None) -> Iterator[Line]:
    """The lines of whole lines, or the piece of one line whose own part ends at `limit`."""
    if not any(hint in data for hint in HINTS):
        return
    if limit is not None:
        text = unescaped(data.decode("utf-8", "replace"))
        yield Line(number, text, len(unescaped(data[:limit].decode("utf-8", "replace"))))
        return
    for position, raw in enumerate(data.split(b"\n")):
        if any(hint in raw for hint in HINTS):
            text = unescaped(raw.decode("utf-8", "replace"))
            yield Line(number + position, text, len(text))


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
    return text


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _PLAIN.get(found[2], found[2])
