"""Why QEMU would refuse a stream, as far as the stream alone shows it.

Source: QEMU migration/savevm.c, hw/pci/pci.c (get_pci_irq_state, vmstate_pci_device),
hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c (virtio_pci_load_config, _queue). What
depends on the target (its devices, machine type, configuration space) is the business of compat.
"""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.devices.device import MsixDevice
from msixtool.devices.virtio import VirtioState
from msixtool.dump import Dump
from msixtool.formats import virtio as virtio_format
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.stream.items import Damage, DamageRule
from msixtool.tasks.finding import Code, Finding, Severity

PCI_VERSION = 2
"""version_id of PCIDevice: what QEMU writes, and the most that it reads."""
CHECKS_QUEUE_VECTORS: QemuVersion = (7, 2)
"""Since when QEMU checks a queue's vector before it uses it."""
QUEUE_SEL_LIMIT = 1024

_HARMLESS = frozenset({DamageRule.VMDESC, DamageRule.VMDESC_MISMATCH, DamageRule.VECTOR_COUNT})
"""Damage that QEMU does not see: it reads no vmdesc, and knows its number of vectors itself."""


def refusals(dump: Dump, qemu_version: QemuVersion = NEWEST) -> list[Finding]:
    """The findings in stream order; empty where nothing in the stream stops a load."""
    found = [
        (damage.offset or 0, _of_damage(damage)) for damage in dump.damage if damage.rule not in _HARMLESS
    ]
    for device in dump.devices:
        found += [(device.item.offset, finding) for finding in _of_device(device, qemu_version)]
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def _of_damage(damage: Damage) -> Finding:
    section, _, message = damage.message.removeprefix("section ").partition(": ")
    named = damage.message.startswith("section ") and bool(message)
    return Finding(
        Severity.ERROR,
        Code.STREAM,
        str(damage),
        section if named else None,
        advice="Take the stream again, or a copy of it that is whole.",
    )


def _of_device(device: MsixDevice, version: QemuVersion) -> Iterator[Finding]:
    if device.version_id is not None and not 0 <= device.version_id <= PCI_VERSION:
        yield _finding(
            device,
            Code.SECTION_VERSION,
            f"PCIDevice version_id {device.version_id}: QEMU takes 0 to {PCI_VERSION}",
            "version_id",
            device.version_id,
        )
    for pin, level in enumerate(device.irq_state):
        if level not in (0, 1):
            signed = level - (1 << 32) if level >> 31 else level
            yield _finding(
                device, Code.OTHER, f"irq state {signed} of pin {pin}: must be 0 or 1", "irq_state", signed
            )
    if device.virtio is not None:
        yield from _of_virtio(device, device.virtio, version)


def _of_virtio(device: MsixDevice, state: VirtioState, version: QemuVersion) -> Iterator[Finding]:
    """In the order in which virtio_load meets them."""
    if _out_of_range(state.config_vector, state.vectors):
        yield _vector_finding(device, "config_vector", state.config_vector, "QEMU refuses it without a word")
    if state.core.queue_sel >= QUEUE_SEL_LIMIT:
        yield _finding(
            device,
            Code.OTHER,
            f"queue_sel {state.core.queue_sel}: QEMU takes less than {QUEUE_SEL_LIMIT}",
            "queue_sel",
            state.core.queue_sel,
        )
    for number, queue in enumerate(state.queues):
        if queue.desc == 0 and queue.last_avail_idx:
            yield _finding(
                device,
                Code.OTHER,
                f"VQ {number} address 0x0 inconsistent with Host index {queue.last_avail_idx:#x}",
                f"queue {number} last_avail_idx",
                queue.last_avail_idx,
            )
        if _out_of_range(queue.vector, state.vectors):
            checked = version >= CHECKS_QUEUE_VECTORS
            outcome = "QEMU refuses it" if checked else "QEMU before 7.2 does not check it, and crashes"
            yield _vector_finding(device, f"queue {number} vector", queue.vector, outcome)


def _out_of_range(vector: int | None, vectors: int) -> bool:
    return vector is not None and vector != virtio_format.NO_VECTOR and vector >= vectors


def _vector_finding(device: MsixDevice, field: str, vector: int | None, outcome: str) -> Finding:
    return _finding(
        device,
        Code.VECTOR_RANGE,
        f"{field} is {vector}, the device has {device.vectors} vectors: {outcome}",
        field,
        vector,
        advice=f"Give it a vector below {device.vectors}, or {virtio_format.NO_VECTOR} for none.",
    )


def _finding(
    device: MsixDevice, code: Code, message: str, field: str, source: int | None, advice: str | None = None
) -> Finding:
    return Finding(
        Severity.ERROR,
        code,
        message,
        device.name,
        device.instance,
        field,
        source=source,
        advice=advice,
    )
