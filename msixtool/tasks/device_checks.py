"""What QEMU checks of one device's saved state by itself, whatever the target has.

Source: QEMU hw/pci/pci.c (vmstate_pci_device, get_pci_irq_state), hw/virtio/virtio.c (virtio_load),
hw/virtio/virtio-pci.c (virtio_pci_load_config, virtio_pci_load_queue).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from msixtool.devices.device import MsixDevice
from msixtool.devices.virtio import VirtioState
from msixtool.formats import pci, virtio as fmt
from msixtool.qemu import refusals
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.finding import Refused, finding_of


def refused(device: MsixDevice) -> Iterator[Refused]:
    """All of one device, in QEMU's order."""
    yield from _pci(device)
    if device.virtio is not None:
        yield from _virtio(device, device.virtio)


def _pci(device: MsixDevice) -> Iterator[Refused]:
    """Of the vmstate around configuration space."""
    start, version = device.config_offset, device.version_id
    if version is not None and not 0 <= version <= pci.DEVICE_VERSION:
        at = None if start is None else start - pci.CONFIG_OFFSET
        yield _refused(device, refusals.PCI_VERSION, at, version, target=pci.DEVICE_VERSION)
    levels = None if start is None or device.config is None else start + len(device.config.data)
    for pin, level in enumerate(device.irq_state):
        if level not in (0, 1):
            at = None if levels is None else levels + pci.IRQ_LEVEL_SIZE * pin
            signed = level - (1 << 32) if level >> 31 else level
            yield _refused(device, refusals.IRQ_STATE, at, signed, pin=f" of pin {pin}")


def _virtio(device: MsixDevice, state: VirtioState) -> Iterator[Refused]:
    """Of a virtio device's own state, in the order in which virtio_load meets it."""
    start = device.offset - state.msix_offset
    vector = state.config_vector
    if vector is not None and beyond(vector, state.vectors):
        yield _vector(device, refusals.CONFIG_VECTOR, start + state.config_vector_offset, vector)
    if state.core.queue_sel >= fmt.MAX_QUEUES:
        at = start + state.queue_sel_offset
        yield _refused(device, refusals.QUEUE_SELECT, at, state.core.queue_sel)
    for number, queue in enumerate(state.queues):
        if queue.desc == 0 and queue.last_avail_idx:
            at = start + state.queue_offset(number, "last_avail_idx")
            yield _refused(device, refusals.QUEUE_INDEX, at, queue.last_avail_idx, queue=number)
        if queue.vector is not None and beyond(queue.vector, state.vectors):
            at = start + state.queue_offset(number, "vector")
            yield _vector(device, refusals.QUEUE_VECTOR, at, queue.vector, queue=number)


def beyond(vector: int, vectors: int) -> bool:
    """Whether a virtio device with so many vectors has no such one."""
    return vector != fmt.NO_VECTOR and vector >= vectors


def _vector(device: MsixDevice, refusal: Refusal, at: int, vector: int, **values: Any) -> Refused:
    known = {"target": device.vectors, "below": device.vectors, "property": device.vectors_property}
    return replace(_refused(device, refusal, at, vector, **known, **values), vector=vector)


def _refused(device: MsixDevice, refusal: Refusal, at: int | None, value: int, **values: Any) -> Refused:
    made = finding_of(refusal, device.name, device.instance, source=value, **values)
    return Refused(refusal, made, device.item.offset, at, refusal.loads)
