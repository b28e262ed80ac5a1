"""Pieces of guest memory of a VM: as many bytes as are asked for, and no copy of the rest.

Source: QEMU monitor/hmp-cmds-target.c (xp). It answers in text, opens no file, and takes guest physical
addresses, so that nothing has to be known of the machine's memory map.

A command takes 0.1 ms, by libvirt one and more, and the guest should stand for less than 100 ms whatever
the number of its queues. So what is too much for that is read before and after, while the guest runs: where
both are equal, it was so in between (`same`), and a ring that moves does not hang.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msixtool.ram.looked_at import MemoryPiece, Span
from msixtool.tasks.capture.monitor import Monitor, QmpCommand

APART = 512
"""Bytes between two spans up to which they are read as one: a command takes as long as a KiB of text."""
MOST_SPANS = 1 << 12
"""The most spans that are read."""
AT_ONCE = 128
"""Commands that are asked for at once: by libvirt they are one word of a command line."""
BUDGET = 0.025
"""Seconds that the guest may stand for reading."""
_LINE = re.compile(r"^(?:0x)?[0-9a-f]+:((?: 0x[0-9a-f]{2})+)\s*$", re.MULTILINE)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that are near to each other as one."""
    found: list[Span] = []
    for start, length in sorted(spans):
        last = found[-1] if found else None
        if last is not None and start <= last.start + last.length + APART:
            found[-1] = Span(last.start, max(last.length, start + length - last.start))
        else:
            found.append(Span(start, length))
    return found


def affordable(seconds: float, spans: Sequence[Span]) -> int:
    """How many spans may be read while the guest stands, where all of them took so long while it ran."""
    return min(len(spans), AT_ONCE, int(BUDGET * len(spans) / max(seconds, 1e-6)))


def reading(span: Span) -> QmpCommand:
    """The command that reads a span."""
    return "human-monitor-command", {"command-line": f"xp /{span.length}xb {span.start:#x}"}


def pieces(spans: Sequence[Span], answers: Sequence[object]) -> list[MemoryPiece]:
    """What was read, by what QEMU answered; nothing of a span whose answer is no dump of all its bytes."""
    found = []
    for span, answer in zip(spans, answers, strict=True):
        if isinstance(answer, str):
            words = " ".join(match[1] for match in _LINE.finditer(answer.replace("\r", "")))
            data = bytes(int(word, 16) for word in words.split())
            if len(data) == span.length:
                found.append(MemoryPiece(span.start, data))
    return found


async def read_spans(vm: Monitor, spans: Sequence[Span]) -> list[MemoryPiece]:
    """What the spans hold, as the guest runs. Raises InputError where the VM does not answer."""
    found = []
    for start in range(0, len(spans), AT_ONCE):
        some = spans[start : start + AT_ONCE]
        found += pieces(some, await vm.ask_all([reading(span) for span in some]))
    return found


def same(before: Sequence[MemoryPiece], after: Sequence[MemoryPiece]) -> list[MemoryPiece]:
    """The pieces that have not changed."""
    known = set(before)
    return [piece for piece in after if piece in known]
