"""Where each interrupt is: the answer of `trace`."""

from __future__ import annotations

from dataclasses import dataclass

from msixtool import dump as door
from msixtool.devices.device import MsixDevice
from msixtool.documents import Document, Origin
from msixtool.documents.trace import trace_document
from msixtool.library.answer import Answer
from msixtool.tasks.trace import Interrupt, Trace, Traced, trace
from msixtool.tasks.trace.advice import meaning, recovery
from msixtool.words import plural


@dataclass(frozen=True, slots=True, repr=False)
class Tracing(Answer):
    """Every interrupt from its cause to its CPU, at the moment of the stream.

    `later` is the second stream of the same VM, where one decided; `trace` has CPUs and all else.
    """

    origin: Origin
    later: Origin | None
    trace: Trace

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (self.origin,) if self.later is None else (self.origin, self.later)

    @property
    def devices(self) -> tuple[Traced, ...]:
        """The devices with their interrupts."""
        return self.trace.devices

    @property
    def lost(self) -> list[tuple[MsixDevice, Interrupt]]:
        """The interrupts that will not come, or do not get through."""
        return self.trace.lost

    @property
    def suspects(self) -> list[tuple[MsixDevice, Interrupt]]:
        """Those of which a later stream decides."""
        return self.trace.suspects

    @property
    def ok(self) -> bool:
        """Whether no interrupt is lost."""
        return not self.lost

    @property
    def damage(self) -> tuple[str, ...]:
        """What contradicts the formats, of the stream and of what is in guest memory."""
        return self.trace.damage

    @property
    def notes(self) -> tuple[str, ...]:
        """What of guest memory the stream does not hold, and why the later stream decided nothing."""
        note = self.trace.later_note
        return (*self.trace.missing[:20], *([] if note is None else [note]))

    @staticmethod
    def meaning(row: Interrupt) -> str:
        """What its verdict means, in a sentence."""
        return meaning(row)

    @staticmethod
    def recovery(device: MsixDevice, row: Interrupt) -> str:
        """What brings a lost interrupt back, in a sentence."""
        return recovery(device, row)

    def document(self) -> Document:
        """`msixtool.trace/1`."""
        return trace_document(self.origin, self.trace, self.later)

    def summary(self) -> str:
        rows = sum(len(each.interrupts) for each in self.devices)
        return f"{plural(len(self.devices), 'device')}, {plural(rows, 'interrupt')}, {len(self.lost)} lost"


def trace_stream(dump: door.Dump, device: str | None, vector: int | None, later: door.Dump | None) -> Tracing:
    """Follow the interrupts of an opened stream. Raises UsageError where nothing matches."""
    traced = trace(dump, device, vector=vector, later=later)
    return Tracing(Origin.of(dump), None if later is None else Origin.of(later), traced)
