"""What QEMU checks of one device's saved state by itself, whatever the target has.

Source: QEMU hw/pci/pci.c (vmstate_pci_device, get_pci_irq_state), hw/virtio/virtio.c (virtio_load),
hw/virtio/virtio-pci.c (virtio_pci_load_config, virtio_pci_load_queue). `validate` makes rules of
them, `load` and `explain` refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from msixtool.devices.device import MsixDevice
from msixtool.formats import virtio as virtio_format

PCI_VERSION = 2
"""version_id of PCIDevice: what QEMU writes, and the most that it reads."""


class Check(Enum):
    """What does not stand the check."""

    PCI_VERSION = auto()
    IRQ_STATE = auto()
    CONFIG_VECTOR = auto()
    QUEUE_SELECT = auto()
    QUEUE_INDEX = auto()
    """A queue without an address that has been used."""
    QUEUE_VECTOR = auto()


@dataclass(frozen=True, slots=True)
class Failed:
    """A value that QEMU refuses. `number` is that of the INTx pin or of the queue; `offset` that of the
    value in the stream, in bytes, None where the stream does not hold the configuration space."""

    check: Check
    value: int
    offset: int | None
    number: int = 0


def pci_failures(device: MsixDevice) -> Iterator[Failed]:
    """Of the vmstate around configuration space, in QEMU's order."""
    start = device.config_offset
    if device.version_id is not None and not 0 <= device.version_id <= PCI_VERSION:
        yield Failed(Check.PCI_VERSION, device.version_id, None if start is None else start - 4)
    levels = None if start is None or device.config is None else start + len(device.config.data)
    for pin, level in enumerate(device.irq_state):
        if level not in (0, 1):
            yield Failed(Check.IRQ_STATE, level, None if levels is None else levels + 4 * pin, pin)


def virtio_failures(device: MsixDevice) -> Iterator[Failed]:
    """Of a virtio device's own state, in the order in which virtio_load meets it; none of any other."""
    state = device.virtio
    if state is None:
        return
    start = device.offset - state.msix_offset
    if _beyond(state.config_vector, state.vectors):
        yield Failed(Check.CONFIG_VECTOR, state.config_vector or 0, start + state.core_offset - 2)
    if state.core.queue_sel >= virtio_format.MAX_QUEUES:
        yield Failed(Check.QUEUE_SELECT, state.core.queue_sel, start + state.core_offset + 2)
    size = virtio_format.QUEUE_WITH_VECTOR.sizeof()
    for number, queue in enumerate(state.queues):
        at = start + state.queues_offset + number * size
        if queue.desc == 0 and queue.last_avail_idx:
            yield Failed(Check.QUEUE_INDEX, queue.last_avail_idx, at + 12, number)
        if _beyond(queue.vector, state.vectors):
            yield Failed(Check.QUEUE_VECTOR, queue.vector or 0, at + 14, number)


def _beyond(vector: int | None, vectors: int) -> bool:
    return vector is not None and vector != virtio_format.NO_VECTOR and vector >= vectors
