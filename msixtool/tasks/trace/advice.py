"""What a lost interrupt means for the guest, and what brings it back.

Source: Linux drivers/block/virtio_blk.c (no timeout looks again), drivers/nvme/host/pci.c
(nvme_timeout polls), drivers/net/virtio_net.c; QEMU hw/virtio/virtio-pci.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.devices.interrupt_route import Unreachable

if TYPE_CHECKING:
    from msixtool.devices.device import MsixDevice
    from msixtool.tasks.trace.interrupt import Interrupt

_NOTES = {
    Unreachable.NOT_AN_MSI: "The vector's address is no interrupt's.",
    Unreachable.IRTE_NOT_PRESENT: "The interrupt remapping entry is not present.",
    Unreachable.NO_SUCH_CPU: "No CPU has the destination that the message names.",
    Unreachable.APIC_DISABLED: "Every APIC that the message goes to is disabled.",
    Unreachable.ILLEGAL_VECTOR: "The message carries a CPU vector below 16, which no APIC takes.",
    Unreachable.NO_SUCH_VECTOR: "The queue names a vector that the device does not have.",
    Unreachable.BUS_MASTER_OFF: (
        "The device may not write to memory (bus master off), so it sends no message."
    ),
}


def meaning(row: Interrupt) -> str:
    """Why it is thought to be lost, in a sentence or two."""
    if row.route.note is not None:
        return f"The device owes an interrupt that can reach nobody. {_NOTES[row.route.note]}"
    if row.where is not None:
        return "The interrupt waits at its CPU, which has not taken it for a second or more."
    return (
        "The device has used buffers past the point at which the driver asked to be interrupted, and the "
        "interrupt is neither pending nor at a CPU."
    )


def recovery(device: MsixDevice, row: Interrupt) -> str:
    """What brings the interrupt back."""
    where = f"{device.name}:{row.vector}"
    steps = []
    if row.where is None and row.route.note is None and row.route.cpus and row.route.cpu_vector is not None:
        steps.append(
            f"Load a stream with the interrupt set again: msixtool forge FILE -o OUT --raise {where}."
        )
    if device.has_requests:
        steps.append("Linux's virtio_blk has no timeout that would look again: what waits, waits for ever;")
        steps.append("a reset of the guest starts anew.")
    else:
        steps.append(
            "In the guest, unbinding and binding the driver sets the device up anew; a reset does too."
        )
    return " ".join(steps)
