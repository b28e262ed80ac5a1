"""Where a virtqueue stands: driver, device, and whether an interrupt is owed.

Source: QEMU hw/virtio/virtio.c (virtio_split_should_notify, virtio_packed_should_notify); formats/vring.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.devices.virtio_layout import PackedIndices, RingAddresses, VirtioLayout
from msixtool.formats import parse, sizeof, virtio as fmt, vring
from msixtool.ram.memory import GuestMemory

_INDEX = 0xFFFF


@dataclass(frozen=True, slots=True)
class Ring:
    """The indices of one queue; None for what is not in the stream, or has no meaning for it.

    `event` is where the driver asked to be interrupted next; `suppressed`: it asked for no interrupt.
    """

    packed: bool
    size: int
    available: int | None
    taken: int | None
    used: int | None
    event: int | None = None
    suppressed: bool = False
    owed: bool | None = None
    """Whether an interrupt is due for what was used since the driver last asked; None where nothing tells."""

    @property
    def layout(self) -> str:
        return "packed" if self.packed else "split"

    @property
    def waiting(self) -> int | None:
        """Buffers that the driver made available and the device has not taken yet."""
        if self.available is None or self.taken is None:
            return None
        return (self.available - self.taken) & _INDEX


class QueueReader:
    """Reads the queues of one device out of guest memory; `want` them first."""

    def __init__(self, layout: VirtioLayout, memory: GuestMemory) -> None:
        self._layout = layout
        self._memory = memory
        self._packed = bool(layout.features >> fmt.RING_PACKED & 1)
        self._event_idx = bool(layout.features >> vring.EVENT_IDX & 1)

    @property
    def translated(self) -> bool:
        """Whether the driver gave addresses that an IOMMU, where there is one, translates."""
        return bool(self._layout.features >> vring.ACCESS_PLATFORM & 1)

    def is_set_up(self, queue: int) -> bool:
        """Whether a driver has given the queue a ring."""
        return self._layout.ring(queue) is not None

    def fault(self, queue: int) -> str | None:
        """What makes no sense about a queue; None for nothing."""
        size = self._layout.state.queues[queue].num
        if 0 < size <= vring.MAX_ENTRIES and (self._packed or not size & (size - 1)):
            return None
        return f"queue {queue}: expected a power of two up to {vring.MAX_ENTRIES} entries, found {size}"

    def want(self, queue: int) -> None:
        """Have the queue's ring read with the next walk over guest memory."""
        places = self._layout.ring(queue)
        if places is None or self.fault(queue):
            return
        self._memory.want(places.avail, sizeof(vring.AVAIL))
        if not self._packed:
            self._memory.want(places.used, sizeof(vring.USED))
            self._memory.want(self._event_address(queue, places), sizeof(vring.EVENT))

    def read(self, queue: int, *, readable: bool = True) -> Ring | None:
        """The state of a queue; None where it is not set up. Not `readable`: without guest memory."""
        places = self._layout.ring(queue)
        if places is None:
            return None
        readable = readable and not self.fault(queue)
        if self._packed:
            return self._read_packed(queue, places, readable)
        return self._read_split(queue, places, readable)

    def _event_address(self, queue: int, places: RingAddresses) -> int:
        return vring.event_address(places.avail, self._layout.state.queues[queue].num)

    def _read_split(self, queue: int, places: RingAddresses, readable: bool) -> Ring:
        raw = self._layout.state.queues[queue]
        read = self._memory.read
        head = read(places.avail, sizeof(vring.AVAIL)) if readable else None
        tail = read(places.used, sizeof(vring.USED)) if readable else None
        avail = None if head is None else parse(vring.AVAIL, head, what="available ring")
        used = None if tail is None else parse(vring.USED, tail, what="used ring").idx
        event = None
        if readable and self._event_idx:
            data = read(self._event_address(queue, places), sizeof(vring.EVENT))
            event = None if data is None else parse(vring.EVENT, data, what="used_event")
        suppressed = not self._event_idx and avail is not None and bool(avail.flags & vring.NO_INTERRUPT)
        available = None if avail is None else avail.idx
        owed = False if suppressed else _split_owed(raw.num, available, used, event)
        return Ring(False, raw.num, available, raw.last_avail_idx, used, event, suppressed, owed)

    def _read_packed(self, queue: int, places: RingAddresses, readable: bool) -> Ring:
        size = self._layout.state.queues[queue].num
        indices = self._layout.packed(queue)
        data = self._memory.read(places.avail, sizeof(vring.DRIVER_EVENT)) if readable else None
        event = suppressed = owed = None
        if data is not None:
            asked = parse(vring.DRIVER_EVENT, data, what="driver event suppression")
            suppressed = asked.flags == vring.DISABLE
            if asked.flags == vring.DESC and self._event_idx:
                event = asked.off_wrap & ~vring.WRAP
                owed = None if indices is None else _packed_owed(size, indices, asked.off_wrap)
            elif suppressed:
                owed = False
        taken = self._layout.state.queues[queue].last_avail_idx if indices is None else indices.last_avail_idx
        used = None if indices is None else indices.used_idx
        return Ring(True, size, None, taken, used, event, bool(suppressed), owed)


def _passed(used: int, event: int, size: int) -> bool:
    """Whether the used index has gone past `event`, at most a round of the ring ago."""
    return (used - event - 1) & _INDEX < size


def _split_owed(size: int, available: int | None, used: int | None, event: int | None) -> bool | None:
    if available is None or used is None or event is None:
        return None
    if event == 0 and 0 < used <= size:
        return None  # How a Linux driver switches interrupts off.
    if (available - event) & _INDEX > size:
        return None  # The driver has consumed past it: it polls, and left the event where it was.
    return _passed(used, event, size)


def _packed_owed(size: int, indices: PackedIndices, off_wrap: int) -> bool:
    event = off_wrap & ~vring.WRAP
    if bool(indices.used_wrap_counter) != bool(off_wrap & vring.WRAP):
        event -= size
    return _passed(indices.used_idx, event, size)
