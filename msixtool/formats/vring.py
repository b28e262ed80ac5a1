"""Virtqueues in guest memory, little-endian, as far as notifications are concerned.

Source: virtio 1.2, 2.7 (split) and 2.8 (packed); QEMU hw/virtio/virtio.c.
"""

from __future__ import annotations

from construct import Int16ul, Int32ul, Struct

AVAIL = Struct("flags" / Int16ul, "idx" / Int16ul)
"""How a split queue's available ring begins; the entries follow, then used_event."""
NO_INTERRUPT = 1
"""Of its flags; without meaning where EVENT_IDX was negotiated."""

USED = Struct("flags" / Int16ul, "idx" / Int16ul)
"""How its used ring begins."""

SHADOW_DOORBELL = Int32ul
"""An index that an NVMe's driver keeps in guest memory, beside the doorbell register."""

EVENT = Int16ul
"""used_event, behind the `size` entries of the available ring."""

DRIVER_EVENT = Struct("off_wrap" / Int16ul, "flags" / Int16ul)
"""A packed queue's driver event suppression; bit 15 of off_wrap is a wrap counter."""
ENABLE, DISABLE, DESC = 0, 1, 2
"""Of its flags: always, never, and when the used index reaches off_wrap."""
WRAP = 1 << 15

MAX_ENTRIES = 1 << 15
"""The most entries of a queue."""

EVENT_IDX, ACCESS_PLATFORM = 29, 33
"""Feature bits: interrupts by index; addresses that an IOMMU translates."""


def event_address(avail: int, size: int) -> int:
    """Where used_event of a split queue of `size` entries stands."""
    return avail + AVAIL.sizeof() + EVENT.sizeof() * size
