"""From messages to failures: what QEMU tells of one failure in several messages is one again.

Up to 10.1 QEMU reports the cause first, then each level around it on a line of its own, then that
the load failed; since 10.2 the levels are one line that begins with the last of these. Other lines
may stand between, and the log may be cut anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msixtool.qemu.versions import Version
from msixtool.qemu.wordings import Role
from msixtool.tasks.explain.events import Event
from msixtool.tasks.explain.families import ECHO, UNSENT

_REACH = 50
"""How many lines a message may stand behind the one before it and still be of the same failure."""
_FOLLOWS = frozenset({"magic", "version", "configuration-missing", "section-type", "stream-error"})
"""What a target finds where the channel or the device before it failed."""
SHUT_DOWN = "shut-down"
SAID_REACH = 4
"""How many lines may stand between two messages of which one is not known by itself."""
MOST_AT_ONCE = 64
"""How many processes' failures are told apart where a journal mixes them."""
MOST_MESSAGES = 100
"""The most messages of one failure that are kept; QEMU nests some ten levels."""


@dataclass(slots=True)
class Failure:
    """The messages of one failure, in the order in which they were logged."""

    events: list[Event] = field(default_factory=list)

    @property
    def cause(self) -> Event | None:
        """Why it failed: the first cause that is told, before what only follows from one. A note is its own.

        What QEMU said in words that are not known is the cause where nothing known tells why.
        """
        found = [event for event in self.events if event.role in (Role.CAUSE, Role.NOTE, Role.SAID)]
        cause = min(found, key=lambda event: event.wording.rank, default=None)
        if cause is not None and cause.wording.rank >= ECHO and self.end is not None:
            return None
        return cause

    @property
    def told(self) -> bool:
        """Whether a known cause is told already, so that what is not known need not be it."""
        return any(event.role is Role.CAUSE and event.wording.rank == 0 for event in self.events)

    @property
    def end(self) -> Event | None:
        """That it failed."""
        return next((event for event in self.events if event.role is Role.END), None)

    @property
    def first(self) -> Event:
        """What the failure is known by: its cause, else what names the section, else its first message."""
        return self.cause or self.device or self.events[0]

    @property
    def identity(self) -> tuple[str, str | None]:
        """What a repetition of the same failure has in common with it."""
        return self.first.matched or self.first.text, None if self.cause else self.errno

    @property
    def device(self) -> Event | None:
        """The message that names the section whose load failed."""
        return next((event for event in self.events if _names_section(event)), None)

    @property
    def fields(self) -> list[Event]:
        """The messages that name a field, the innermost first."""
        found = [event for event in self.events if event.name in ("field", "element")]
        same_line = len({(event.line, event.statement) for event in found}) == 1
        return found[::-1] if same_line else found

    @property
    def traced_subsection(self) -> str | None:
        """The subsection that QEMU's own trace says it did not find."""
        found = (event.values.get("subsection") for event in self.events if event.name == "subsection-traced")
        return next(found, None)

    @property
    def section(self) -> str | None:
        """The idstr of the section, where a message names it."""
        own = self.cause.values.get("section") if self.cause else None
        return own or (self.device.values["section"] if self.device else None)

    @property
    def errno(self) -> str | None:
        """What QEMU's error number meant, in the words of strerror, or the number."""
        return self.end.values.get("errno") if self.end else None

    @property
    def counts(self) -> bool:
        """Whether this is more than words that anything might have logged."""
        if all(event.role is Role.SAID for event in self.events):
            return False
        ends = {(event.line, event.statement) for event in self.events if event.role is Role.END}
        others = [event for event in self.events if event.role is not Role.END]
        return not others or any(
            event.named or not event.wording.weak or (event.line, event.statement) in ends for event in others
        )

    @property
    def qemu(self) -> tuple[Version | None, Version | None]:
        """The oldest and the newest QEMU release that speaks like this."""
        since = [event.wording.since for event in self.events if event.wording.since]
        until = [event.wording.until for event in self.events if event.wording.until]
        return max(since, default=None), min(until, default=None)

    def takes(self, event: Event) -> bool:
        """Whether a message belongs to this failure too."""
        last = self.events[-1]
        same = (event.line, event.statement) == (last.line, last.statement)
        if same:
            return True
        if self.end is not None and event.name == SHUT_DOWN:
            # What libvirt says of a QEMU that ends, as it does after a failed load.
            return event.line - last.line <= SAID_REACH
        if self.end is not None or event.line - last.line > _REACH:
            return False
        if Role.SAID in (event.role, last.role):
            return event.line - last.line <= SAID_REACH
        if event.role is Role.CAUSE:
            return self.cause is not None and self._explains(event)
        # The message that names the section is the last before the end.
        return event.role is Role.END or self.device is None

    def _explains(self, event: Event) -> bool:
        """Whether another cause only goes on with this failure's: QEMU says more, or the next
        layer says it again."""
        cause = self.cause
        if cause is None or cause.name in event.wording.after:
            return cause is not None
        if event.line - self.events[-1].line > SAID_REACH:
            return False
        if event.name == cause.name:
            return event.told_by_family
        ranks = cause.wording.rank, event.wording.rank
        if max(ranks) == UNSENT:
            return True
        return 0 in ranks and (
            cause.wording.rank + event.wording.rank > 0 or (cause.told_by_family and event.name in _FOLLOWS)
        )

    def drowns(self, event: Event) -> bool:
        """Whether a message that anything might have logged is noise between this failure's own."""
        vague = event.role is Role.CAUSE and event.wording.weak and not event.named
        return vague and self.counts and self.device is None and self.end is None


def _names_section(event: Event) -> bool:
    return event.role is Role.PLACE and "section" in event.values


def find_failures(events: Iterable[Event]) -> Iterator[Failure]:
    """The failures in a log, each as soon as it is complete."""
    open_failures: dict[str | None, Failure] = {}
    for event in events:
        if event.role is Role.NOTE:
            yield Failure([event])
            continue
        failure = open_failures.get(event.process)
        if failure is not None and failure.drowns(event):
            continue
        if event.role is Role.SAID and failure is not None and failure.end is None and failure.told:
            continue
        if failure is not None and failure.takes(event):
            if len(failure.events) < MOST_MESSAGES:
                failure.events.append(event)
            continue
        if failure is not None:
            yield open_failures.pop(event.process)
        if len(open_failures) == MOST_AT_ONCE:
            yield open_failures.pop(next(iter(open_failures)))
        open_failures[event.process] = Failure([event])
    yield from open_failures.values()
