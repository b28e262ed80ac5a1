"""A VM at one moment: its device state, and of its memory the few bytes that a question needs."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msixtool.output.files import OutputFile
from msixtool.ram.looked_at import MemoryPiece, Span
from msixtool.tasks.capture import guest_memory
from msixtool.tasks.capture.address import Address, vm_name
from msixtool.tasks.capture.devices import write_devices, write_look
from msixtool.tasks.capture.visit import Captured, Visit, run_visit, visit

ATTEMPTS = 3
"""Looks after which what a guest has moved meanwhile again is left out."""

Wanted = Callable[["VmStream"], Sequence[Span]]
"""What of guest memory a question needs, by the device state."""


class VmStream(io.FileIO):
    """A stream in a file of memory alone, which is called as the VM is. The caller closes it."""

    def __init__(self, vm: Address) -> None:
        super().__init__(os.memfd_create("msixtool"), "r+")
        self.full_name = vm_name(vm)

    def output(self) -> OutputFile:
        """The file to be written from its start."""
        self.seek(0)
        self.truncate()
        return OutputFile(self.fileno(), self.full_name, patchable=True)


@dataclass(frozen=True, slots=True)
class Moment:
    """Device state as a stream, and what was read of guest memory while the VM stood."""

    stream: VmStream
    pieces: tuple[MemoryPiece, ...]
    captured: Captured
    left_out: int = 0
    """Pieces that are not known of this moment: the guest moved them meanwhile, or QEMU cannot read them."""


def _nothing(_: VmStream) -> list[Span]:
    return []


def moments(address: Address, wanted: Wanted = _nothing, waits: Sequence[float] = ()) -> list[Moment]:
    """A VM now, and again after each of `waits` seconds in which it goes on.

    Where memory is needed is seen in device state that is taken first; then the VM stands once for both.
    Raises as `capture`.
    """
    return run_visit(address, _moments(address, wanted, waits))


async def _moments(address: Address, wanted: Wanted, waits: Sequence[float]) -> list[Moment]:
    found: list[Moment] = []
    spans: list[Span] = []
    try:
        for wait in (0.0, *waits):
            await asyncio.sleep(wait)
            stream = VmStream(address)
            try:
                async with visit(address) as seen:
                    pieces, spans = await _look(seen, stream, wanted, spans)
            except BaseException:
                stream.close()
                raise
            left_out = len(spans) - len(pieces)
            found.append(Moment(stream, tuple(pieces), seen.captured(devices=True), left_out))
    except BaseException:
        for each in found:
            each.stream.close()
        raise
    return found


async def _look(
    seen: Visit, stream: VmStream, wanted: Wanted, spans: list[Span]
) -> tuple[list[MemoryPiece], list[Span]]:
    """Pieces of memory and device state of one moment, and the spans that such a moment needs."""
    vm = seen.vm
    if not spans:
        await write_devices(vm, seen.machine, seen.release, stream.output())
        spans = _needed(wanted, stream)
    pieces: list[MemoryPiece] = []
    for _ in range(ATTEMPTS if spans else 0):
        began = time.monotonic()
        before = await guest_memory.read_spans(vm, spans)
        count = guest_memory.affordable(time.monotonic() - began, spans)
        vm.pauses.forget()
        pieces = await write_look(
            vm, seen.machine, seen.release, stream.output(), spans[:count], runs=seen.before.running
        )
        pieces += guest_memory.same(before, await guest_memory.read_spans(vm, spans[count:]))
        needed = _needed(wanted, stream)
        if needed == spans:
            break
        spans = needed
    return pieces, spans


def _needed(wanted: Wanted, stream: VmStream) -> list[Span]:
    return guest_memory.merged(wanted(stream))[: guest_memory.MOST_SPANS]
