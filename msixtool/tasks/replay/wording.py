"""Events in words for people, a line each; the same event of vectors that follow each other is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from msixtool.formats.x86 import is_x86_msi, x86_message
from msixtool.msix import events as ev
from msixtool.msix.events import MsixEvent

_DROPPED = {
    ev.VECTOR_UNUSED: "the device has not marked it used",
    ev.BUS_MASTER_OFF: "bus mastering is off",
}


def in_words(events: Iterable[MsixEvent]) -> Iterator[str]:
    """The events, each in a line; runs over vectors are folded into one."""
    first: MsixEvent | None = None
    last = 0
    for event in events:
        if first is not None and _follows(event, first, last):
            last += 1
            continue
        if first is not None:
            yield _line(first, last)
        first, last = event, getattr(event, "vector", 0)
    if first is not None:
        yield _line(first, last)


def _follows(event: MsixEvent, first: MsixEvent, last: int) -> bool:
    """Whether `event` is to the next vector what `first` was to the first of the run."""
    if not isinstance(event, ev.VectorEvent) or not isinstance(first, ev.VectorEvent):
        return False
    return event.vector == last + 1 and replace(event, vector=first.vector) == first


def _line(event: MsixEvent, last: int) -> str:
    match event:
        case ev.StateRestored():
            return "table and pending bits restored"
        case ev.FunctionMask(masked, was):
            return (
                f"cached function mask {'stays' if masked == was else 'now'} {'set' if masked else 'clear'}"
            )
        case ev.PollNotifier(start, end):
            return f"poll notifier for bits {start} up to {end}"
        case ev.IntxDeasserted():
            return "INTx deasserted"
        case ev.Reset():
            return "reset"
        case ev.Error(message):
            return f"error: {message}"
        case ev.VectorEvent(vector):
            return _vector_line(event, f"{vector}-{last}" if last > vector else str(vector), last > vector)
    return event.event


def _vector_line(event: ev.VectorEvent, numbers: str, several: bool) -> str:
    vectors = f"vector{'s' if several else ''} {numbers}"
    match event:
        case ev.MessageEvent(_, address, data):
            target = f"{data:#x} to {address:#x}"
            hit = f" ({x86_message(address, data)})" if is_x86_msi(address) else ""
            return f"message of {vectors}: {target}{hit}"
        case ev.MessageDropped(_, reason):
            return f"{vectors} LOST: {_DROPPED.get(reason, reason)}"
        case ev.UseNotifier(_, address, data):
            return f"use notifier of {vectors}: {data:#x} to {address:#x}"
        case ev.ReleaseNotifier():
            return f"release notifier of {vectors}"
        case ev.PendingSet():
            return f"pending bit{'s' if several else ''} {numbers} set"
        case ev.PendingCleared():
            return f"pending bit{'s' if several else ''} {numbers} cleared"
        case ev.VectorUsed(_, count):
            return f"{vectors} used (count {count})"
        case ev.VectorUnused(_, count):
            return f"{vectors} given up (count {count})"
        case ev.Mask():
            return f"{vectors} masked"
        case ev.Unmask():
            return f"{vectors} live"
    return f"{event.event} {numbers}"
