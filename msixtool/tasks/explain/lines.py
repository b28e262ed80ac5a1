"""A log, however long and whatever is in it, as the lines in which a known message may stand.

What holds no part of any known message is passed over in blocks, so that a log of gigabytes costs
a search and no memory. Lines that JSON, HTML or syslog have escaped are read as what they were.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from msixtool.qemu.wordings import WITH_HINT

LOG_BLOCK = 1 << 18
"""How much is read at once, in bytes."""
_LONGEST = 1 << 18
"""Where a line is longer than this it is searched in pieces of so many bytes."""
OVERLAP = 1 << 12
"""By how much two pieces of one line overlap; no message is longer."""

_SHORT = 5000
"""Of a log's first block all lines are looked at where they are not more than this."""
BEFORE = 12
"""How many lines before one that says that a load failed are looked at for the cause."""
FRAMES = (b"load of migration failed", b"while loading state ", b"while loading VM state")
"""What QEMU says after a cause."""
SPEAKERS = (
    b"qemu-kvm", b"qemu-system-", b"qemu: ", b"kvm: ", b"virError(", b"libvirtError", b"internal error: ",
    b"operation failed: ", b"unsupported configuration: ", b"igrate failure", b"igration failed",
    b"igration status", b"Unsafe migration", b"Broken pipe", b"Connection reset",
    b'"error-desc"', b'"GenericError"',
)  # fmt: skip
"""What stands in the lines of QEMU and of what manages it."""


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
    """The lines that may hold a message. Raises OSError where the log cannot be read."""
    number, rest = 1, b""
    searched = _Searched()
    while block := log.read(LOG_BLOCK):
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end:
            yield from searched.lines(data[:end], number)
            number += data.count(b"\n", 0, end)
        elif len(data) > _LONGEST + OVERLAP:
            end = len(data) - OVERLAP
            yield from _piece(data, number)
        rest = data[end:]
    yield from _piece(rest, number)


class _Searched:
    """The lines of a log that are looked at, in their order: of a short log all.

    Later those with a hint, those of QEMU and of what manages it, and those before a frame, where the
    cause is.
    """

    def __init__(self) -> None:
        self._first = True
        self._before: list[tuple[int, bytes]] = []

    def lines(self, data: bytes, number: int) -> Iterator[Line]:
        """Those of whole lines of which the first has this number."""
        words = _words(data)
        hints = _with_hints(data, words)
        if self._first and data.count(b"\n") <= _SHORT:
            yield from self._all(data, number, hints)
        else:
            yield from self._some(data, number, hints, words)
        self._first = False
        tail = data[-OVERLAP:].split(b"\n")[1:-1][-BEFORE:]
        last = number + data.count(b"\n")
        self._before = [(last - len(tail) + place, line) for place, line in enumerate(tail)]

    def _all(self, data: bytes, number: int, hints: dict[int, list[bytes]]) -> Iterator[Line]:
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            yield _line(number, data[start:end], hints.get(start, ()))
            start, number = end + 1, number + 1

    def _some(
        self, data: bytes, number: int, hints: dict[int, list[bytes]], words: set[bytes]
    ) -> Iterator[Line]:
        wanted = set(hints)
        wanted.update(_starts(data, _there(SPEAKERS, words)))
        for start in _starts(data, _there(FRAMES, words)):
            wanted.update(_lines_before(data, start))
            if start == 0 or data.count(b"\n", 0, start) < BEFORE:
                yield from (_line(at, text, ()) for at, text in self._before)
                self._before = []
        counted = 0
        for start in sorted(wanted):
            number += data.count(b"\n", counted, start)
            counted = start
            yield _line(number, data[start : data.find(b"\n", start)], hints.get(start, ()))


def _line(number: int, data: bytes, hints: Iterable[bytes]) -> Line:
    text = unescaped(data.decode("utf-8", "replace"))
    if not data.isascii():
        plain = text.encode()
        hints = (hint for hint in WITH_HINT if hint in plain)
    return Line(number, text, tuple(hints))


def _starts(data: bytes, words: Iterable[bytes]) -> Iterator[int]:
    """Where each line begins that holds one of these."""
    for word in words:
        found = data.find(word)
        while found >= 0:
            yield data.rfind(b"\n", 0, found) + 1
            found = data.find(word, data.find(b"\n", found))


def _lines_before(data: bytes, start: int) -> Iterator[int]:
    """Where the lines before one begin."""
    for _ in range(BEFORE):
        if start <= 0:
            return
        start = data.rfind(b"\n", 0, start - 1) + 1
        yield start


_LETTERS = bytes(code if chr(code).isalpha() and code < 128 else ord(" ") for code in range(256))
_WHOLE_WORD = re.compile(rb"(?:^(?=[A-Z])|(?<=[^A-Za-z]))[A-Za-z]{2,}(?=[^A-Za-z])")
"""Hints that begin with a small letter may begin within a word, and end within one."""
_ESCAPED = (b"", b"n", b"r", b"t")
"""Letters of an escape that can stand before a word."""


def _words(data: bytes) -> set[bytes]:
    """The words of a block, each once: far quicker than a search for each of many hints."""
    return set(data.translate(_LETTERS).split())


def _key(hint: bytes) -> frozenset[bytes]:
    """Words of which one is there where the hint is: its longest whole one; none where it has none."""
    found = _WHOLE_WORD.findall(hint)
    longest = max(found, key=len, default=None)
    if longest is None:
        return frozenset()
    return frozenset(before + longest for before in _ESCAPED)


def _there(wanted: Iterable[bytes], words: set[bytes]) -> Iterator[bytes]:
    """Those that can be in a block that has these words."""
    for each in wanted:
        key = _KEYS[each]
        if not key or not words.isdisjoint(key):
            yield each


def _with_hints(data: bytes, words: set[bytes]) -> dict[int, list[bytes]]:
    """The hints that stand in each line, by where it begins."""
    hints: dict[int, list[bytes]] = {}
    for hint in _there(WITH_HINT, words):
        for start in _starts(data, (hint,)):
            hints.setdefault(start, []).append(hint)
    return hints


_KEYS = {each: _key(each) for each in (*WITH_HINT, *SPEAKERS, *FRAMES)}


def _piece(data: bytes, number: int) -> Iterator[Line]:
    """A line, or a piece of one; a long one only if something of QEMU's is in it."""
    words = _words(data)
    hints = [hint for hint in _there(WITH_HINT, words) if hint in data]
    spoken = hints or any(each in data for each in _there((*SPEAKERS, *FRAMES), words))
    if data and (spoken or len(data) <= OVERLAP):
        yield _line(number, data, hints)


_MARKS = str.maketrans(
    dict.fromkeys("\u00a0\u202f\u2007", " ")
    | dict.fromkeys("\u2018\u2019\u201a\u2032\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | {"\u200b": "", "\ufeff": "", "\u2026": "..."}
)
"""Typographic quotes and blanks, as forums and web pages make them, made plain."""
_TERMINAL = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'\\/nrtbf]))")
_SYSLOG = re.compile(r"#0([01][0-7])")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_NESTING = 4
"""How often a text may have been escaped: a QMP error in a JSON log in a JSON log."""


def unescaped(text: str) -> str:
    """What the text was before it was made part of JSON, HTML, a syslog line or a terminal's output."""
    if not text.isascii():
        text = text.translate(_MARKS)
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    for _ in range(_NESTING):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(_unescape, text)
    if not text.isascii():
        # JSON has what is beyond 16 bits as two escapes. Half of that is no character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "&" in text:
        text = html.unescape(text)
    if "#0" in text:
        text = _SYSLOG.sub(lambda found: chr(int(found[1], 8)), text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _PLAIN.get(found[2], found[2])
