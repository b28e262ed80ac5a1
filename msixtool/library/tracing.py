"""Where each interrupt is: the answer of `trace`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import sleep

from msixtool.devices.device import MsixDevice
from msixtool.documents import Document, Origin
from msixtool.documents.trace import trace_document
from msixtool.dump import OpenDump
from msixtool.library.answer import Answer
from msixtool.library.capturing import captured
from msixtool.tasks.capture import Address, Progress
from msixtool.tasks.trace import Interrupt, Trace, Traced, trace
from msixtool.tasks.trace.advice import meaning, recovery
from msixtool.tasks.trace.living import looks
from msixtool.words import plural


@dataclass(frozen=True, slots=True, repr=False)
class Tracing(Answer):
    """Every interrupt from its cause to its CPU, at the moment of the stream.

    `later` is the second stream of the same VM, where one decided; `trace` has CPUs and all else.
    `paused_ms` is for how long a running VM stood at each look, by QEMU's clock; None for a stream.
    """

    origin: Origin
    later: Origin | None
    trace: Trace
    paused_ms: tuple[float | None, ...] | None = None
    said: tuple[str, ...] = ()
    """What a person should know of how a VM was found, and of what was not read of it."""

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
        """What contradicts the formats, of the streams and of what is in guest memory."""
        path = None if self.later is None else self.later.path
        return (*self.trace.damage, *(f"{path}: {each}" for each in self.trace.later_damage))

    @property
    def notes(self) -> tuple[str, ...]:
        """What of guest memory the stream does not hold, and why the later stream decided nothing."""
        note = self.trace.later_note
        return (*self.trace.missing[:20], *self.said, *([] if note is None else [note]))

    @property
    def waiting(self) -> int | None:
        """Queues of requests of which the device took none between two looks; None where nothing decided."""
        if self.later is None or self.trace.later_note is not None:
            return None
        return sum(row.still_waiting is True for each in self.devices for row in each.interrupts)

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
        return trace_document(self.origin, self.trace, self.damage, self.later, self.paused_ms)

    def summary(self) -> str:
        rows = sum(len(each.interrupts) for each in self.devices)
        return f"{plural(len(self.devices), 'device')}, {plural(rows, 'interrupt')}, {len(self.lost)} lost"


def trace_stream(dump: OpenDump, device: str | None, vector: int | None, later: OpenDump | None) -> Tracing:
    """Follow the interrupts of an opened stream. Raises UsageError where nothing matches."""
    traced = trace(dump, device, vector=vector, later=later)
    return Tracing(Origin.of(dump), None if later is None else Origin.of(later), traced)


def trace_vm(
    vm: Address | os.PathLike[str],
    device: str | None = None,
    *,
    vector: int | None = None,
    twice: float | None = None,
    ram: bool = False,
    progress: Progress | None = None,
) -> Tracing:
    """Follow the interrupts of a running VM, and with `twice` again after so many seconds: does it hang?

    `vm` is the path of its QMP socket or what `address_of` gives. Device state is read, and of RAM the rings
    and remapping tables alone, so that the guest stands for milliseconds; with `ram` all of it is captured.

    Raises InputError where there is no VM, or its QEMU refuses; UsageError where no device matches.
    """
    address = os.fspath(vm) if isinstance(vm, os.PathLike) else vm
    waits = () if twice is None else (twice,)
    with ExitStack() as opened:
        if ram:
            return _of_ram(opened, address, device, vector, waits, progress)
        found = opened.enter_context(looks(address, device, waits=waits))
        traced = trace_stream(found[0].dump, device, vector, found[-1].dump if waits else None)
        notes = [note for each in found for note in (*each.captured.notes, each.left_out) if note]
        paused = tuple(each.captured.paused_ms for each in found)
        return replace(traced, paused_ms=paused, said=tuple(dict.fromkeys(notes)))


def _of_ram(
    opened: ExitStack,
    vm: Address,
    device: str | None,
    vector: int | None,
    waits: tuple[float, ...],
    progress: Progress | None,
) -> Tracing:
    """The same of whole captures."""
    taken, dumps = [], []
    for wait in (0.0, *waits):
        sleep(wait)
        taken.append(opened.enter_context(captured(vm, progress=progress)))
        dumps.append(opened.enter_context(OpenDump.open(taken[-1].path)))
    traced = trace_stream(dumps[0], device, vector, dumps[-1] if waits else None)
    origins = [Origin.of(dump)._replace(path=each.vm.name) for dump, each in zip(dumps, taken, strict=True)]
    return replace(
        traced,
        origin=origins[0],
        later=origins[-1] if waits else None,
        paused_ms=tuple(each.vm.paused_ms for each in taken),
        said=tuple(dict.fromkeys(note for each in taken for note in each.notes)),
    )
