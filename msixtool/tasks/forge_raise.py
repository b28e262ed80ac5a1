"""Putting an interrupt on its way again: a request bit of an APIC, for a guest that waits for it.

Source: QEMU hw/intc/apic.c (apic_set_irq, apic_update_irq), target/i386/cpu.h (CPU_INTERRUPT_HARD).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msixtool.devices.cpus import Cpu, read_cpus
from msixtool.errors import UsageError
from msixtool.formats import build, interrupts, msix, parse, sizeof
from msixtool.tasks.trace.follow import Follower

if TYPE_CHECKING:
    from msixtool.devices.device import MsixDevice
    from msixtool.dump import OpenDump
    from msixtool.stream.rewrite import Overlay

_WORD = sizeof(interrupts.WORD)


def raise_interrupts(overlay: Overlay, dump: OpenDump, raised: Iterable[tuple[str, int]]) -> list[str]:
    """Set in `overlay`, which lies over `dump`, what makes each (device, vector) of `raised` arrive.

    That is the request bit of every CPU that its message goes to; of a masked vector the pending bit, which
    is sent when the guest unmasks it. Returns notes. Raises UsageError where the message can reach nobody.
    """
    wanted = list(raised)
    if not wanted:
        return []
    cpus, _ = read_cpus(dump.source, dump.index)
    follower = Follower(dump, cpus)
    by_id = {cpu.apic.id: cpu for cpu in cpus if cpu.apic is not None}
    notes = []
    for pattern, vector in wanted:
        device = dump.select_one(pattern)
        if vector >= device.vectors:
            raise UsageError(
                "--raise",
                device=device.name,
                expected=f"a vector from 0 to {device.vectors - 1}",
                found=vector,
            )
        if device.is_masked(vector):
            _set_pending(overlay, device, vector)
            notes.append(f"{device.name}: vector {vector} is masked: its pending bit is set instead")
            continue
        route = follower.route(device, vector)
        if route.note is not None or route.cpu_vector is None or not route.cpus:
            why = route.note or f"its route is {route.kind}"
            raise UsageError(
                f"--raise: the message of vector {vector} reaches no CPU: {why}", device=device.name
            )
        for each in route.cpus:
            _request(overlay, by_id[each], route.cpu_vector)
    return notes


def _request(overlay: Overlay, cpu: Cpu, vector: int) -> None:
    """Set the request bit, and what tells TCG's CPU to look at it."""
    assert cpu.apic is not None
    at = cpu.apic.item.data_offset + interrupts.IRR_OFFSET + _WORD * (vector // 32)
    _set_bits(overlay, at, 1 << vector % 32)
    if cpu.common is not None and cpu.apic.enabled:
        at = cpu.common.data_offset + interrupts.INTERRUPT_REQUEST_OFFSET
        _set_bits(overlay, at, interrupts.HARD_INTERRUPT)


def _set_bits(overlay: Overlay, at: int, bits: int) -> None:
    word = parse(interrupts.WORD, overlay.read(at, _WORD), what="interrupt state", offset=at) | bits
    overlay.patch(at, build(interrupts.WORD, word, what="interrupt state"))


def _set_pending(overlay: Overlay, device: MsixDevice, vector: int) -> None:
    at = device.offset + msix.ENTRY_SIZE * device.vectors + vector // 8
    overlay.patch(at, bytes([overlay.read(at, 1)[0] | 1 << vector % 8]))
