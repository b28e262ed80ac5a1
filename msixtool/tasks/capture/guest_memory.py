"""Pieces of guest memory of a VM that stands: as many bytes as are asked for, and no copy of the rest.

Source: QEMU monitor/hmp-cmds-target.c (xp). It answers in text, opens no file, and takes guest physical
addresses, so that nothing has to be known of the machine's memory map.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from msixtool.ram.looked_at import Piece, Span
from msixtool.tasks.capture.monitor import Command

APART = 512
"""Bytes between two spans up to which they are read as one: a command takes as long as a KiB of text."""
MOST_SPANS = 256
"""Commands that one look takes, 0.1 to 0.3 ms each: the guest stands for all of them."""
MOST_BYTES = 96 << 10
_LINE = re.compile(r"^(?:0x)?[0-9a-f]+:((?: 0x[0-9a-f]{2})+)\s*$", re.MULTILINE)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that are near to each other as one."""
    found: list[Span] = []
    for start, length in sorted(spans):
        last = found[-1] if found else None
        if last is not None and start <= last.start + last.length + APART:
            found[-1] = Span(last.start, max(last.length, start + length - last.start))
        else:
            found.append(Span(start, length))
    return found


def affordable(spans: Sequence[Span]) -> list[Span]:
    """As many of the spans as can be read in one look."""
    found, size = [], 0
    for span in islice(spans, MOST_SPANS):
        size += span.length
        if size > MOST_BYTES:
            break
        found.append(span)
    return found


def reading(span: Span) -> Command:
    """The command that reads a span."""
    return "human-monitor-command", {"command-line": f"xp /{span.length}xb {span.start:#x}"}


def pieces(spans: Sequence[Span], answers: Sequence[object]) -> list[Piece]:
    """What was read, by what QEMU answered; nothing of a span whose answer is no dump of all its bytes."""
    found = []
    for span, answer in zip(spans, answers, strict=True):
        if isinstance(answer, str):
            words = " ".join(match[1] for match in _LINE.finditer(answer.replace("\r", "")))
            data = bytes(int(word, 16) for word in words.split())
            if len(data) == span.length:
                found.append(Piece(span.start, data))
    return found
