"""The ways in which a short log can be read: as it is, or with what its way to us did to it undone.

People paste logs out of mails, terminals, YAML, CSV and JSON, newest line first, or with their blanks
and quotes made typographic. Each way of undoing keeps the numbers of the lines: where lines are joined,
empty ones follow. Which reading is right is decided by what can be explained in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from urllib.parse import unquote_to_bytes

from msixtool.kept import NamedTuple

SHORT = 1 << 16
"""Up to this size in bytes a log is tried in several readings."""


class Reading(NamedTuple):
    """A log as bytes; `newest_first` where its lines were turned round."""

    data: bytes
    newest_first: bool = False

    def number(self, line: int) -> int:
        """The number in the log as given of a line of this reading; both count from 1."""
        return self.data.count(b"\n") + 2 - line if self.newest_first else line


def readings(data: bytes) -> Iterator[Reading]:
    """Each reading that differs from those before it; the log as it is comes first."""
    seen = set()
    for turn in (_newest_first,) if _is_newest_first(data) else (_same,):
        for decode in _DECODINGS:
            for unwrap in _UNWRAPPINGS:
                read = turn(decode(unwrap(data)))
                if read not in seen:
                    seen.add(read)
                    yield Reading(read, turn is _newest_first)


def _same(data: bytes) -> bytes:
    return data


def _newest_first(data: bytes) -> bytes:
    return b"\n".join(data.split(b"\n")[::-1])


_STAMP = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*|\b\d\d:\d\d:\d\d[.,\d]*|\b1\d{9}(?:\.\d+)?\b")
_END = b"load of migration failed"
_PLACE = b"while loading state for instance"


def _is_newest_first(data: bytes) -> bool:
    """By the times of the lines; without them, by what QEMU says last standing first."""
    found = (_STAMP.search(line) for line in data.split(b"\n"))
    stamps = [match[0] for match in found if match]
    rises = sum(a < b for a, b in pairwise(stamps))
    falls = sum(a > b for a, b in pairwise(stamps))
    if rises or falls:
        return falls > rises
    lines = data.split(b"\n")
    ends = [at for at, line in enumerate(lines) if _END in line and _PLACE not in line]
    places = [at for at, line in enumerate(lines) if _PLACE in line and _END not in line]
    return bool(ends and places) and ends[0] < places[0] and ends[-1] < places[-1]


def _doubled(data: bytes) -> bytes:
    """Quotes doubled in YAML's single-quoted strings and in CSV, each single again."""
    return data.replace(b"''", b"'").replace(b'""', b'"')


def _percent(data: bytes) -> bytes:
    """As in an URL. A newline stays an escape: lines keep their numbers."""
    if not re.search(rb"%(?:20|27|3A)", data, re.IGNORECASE):
        return data
    return unquote_to_bytes(re.sub(rb"%0[AD]", rb"\\n", data, flags=re.IGNORECASE))


def _quoted_printable(data: bytes) -> bytes:
    """As mail encodes it: =27 for a quote, = at the end of a line that goes on."""
    if not re.search(rb"=(?:[0-9A-F]{2}|\r?\n)", data):
        return data
    joined = _join(data, lambda line, _: line.rstrip(b"\r").endswith(b"="), b"", cut=1)
    return re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), joined)


_HEX_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


def _hex_escapes(data: bytes) -> bytes:
    r"""\x27 for a quote, as programs print bytes."""
    return _HEX_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]).replace(b"\n", rb"\n"), data)


_BYTES = re.compile(rb'"MESSAGE" ?: ?\[([0-9, ]{0,60000})\]')


def _byte_arrays(data: bytes) -> bytes:
    """journalctl -o json, where a message is not all text: its bytes as numbers."""

    def text(found: re.Match[bytes]) -> bytes:
        numbers = [number for word in re.findall(rb"[0-9]{1,3}", found[1]) if (number := int(word)) < 256]
        return b'"MESSAGE":"' + bytes(numbers).replace(b"\n", rb"\n") + b'"'

    return _BYTES.sub(text, data) if _BYTES.search(data) else data


def _join(
    data: bytes, goes_on: Callable[[bytes, bytes], bool], glue: bytes, *, cut: int = 0, strip: bool = False
) -> bytes:
    """Lines joined where `goes_on` says so of a line and the next one; empty lines make up for them."""
    made: list[bytes] = []
    behind = 0
    previous = b""
    for line in data.split(b"\n"):
        if made and goes_on(previous, line):
            head = made[-1].rstrip(b"\r")
            made[-1] = head[: len(head) - cut].removesuffix(b" \\") + glue + (line.strip() if strip else line)
            behind += 1
        else:
            made += [b""] * behind
            behind = 0
            made.append(line)
        previous = line
    return b"\n".join([*made, *[b""] * behind])


def _indented(data: bytes) -> bytes:
    """Folded YAML, or a second line that is set in: what begins with blanks goes on with the line before."""
    return _join(
        data,
        lambda _, line: line.startswith((b"  ", b"\t")) and not _FRESH.match(line.strip()),
        b" ",
        strip=True,
    )


_FRESH = re.compile(
    rb"(?:(?!failed: |ret: |features: |directory\b)[-\w.]+: (?!\w+:)|[-{}\[\]#>]|\d{4}-\d\d-\d\d"
    rb"|[A-Z][a-z]{2} [ \d]\d |\[|qemu|kvm|libvirt"
    rb"|error|Error|Failed|load of|Unknown|Features|Traceback|File )"
)
"""How a line of its own begins, rather than the rest of another."""
_LEADER = re.compile(rb"^(?:> ?)+", re.MULTILINE)
_ROW = re.compile(rb"^ *\|(?:[^|\n]*\|)? ([^|\n]*)\| *$|^ *\+[-=+]{3,}\+ *$", re.MULTILINE)
"""A row of a table drawn in characters, with its last cell; or a line between two."""


def _wrapped(data: bytes) -> bytes:
    """Broken at blanks, as mail and tables do it: a long line goes on in one that does not begin like a
    line."""
    data = _ROW.sub(lambda found: (found[1] or b"").rstrip(b" "), _LEADER.sub(b"", data))
    return _join(
        data,
        lambda before, line: len(before) > 50 and bool(line.strip()) and not _FRESH.match(line),
        b" ",
        strip=True,
    )


def _cut(data: bytes) -> bytes:
    """Broken at a width, as a terminal does it: the widest lines go on in the next."""
    width = max(map(len, data.split(b"\n")))
    if width < 40:
        return data
    return _join(data, lambda before, _: len(before) == width, b"")


_DECODINGS = (_same, _doubled, _hex_escapes, _percent, _quoted_printable, _byte_arrays)
_UNWRAPPINGS = (_same, _indented, _wrapped, _cut)
