"""What can be wrong with the vectors of a device: table entries and pending bits.

Sources: PCI Local Bus Specification 3.0, sections 6.8.2.7 to 6.8.2.10 and 6.8.3; Intel SDM
volume 3, section 11.11; QEMU hw/pci/msix.c (msix_load, msix_notify, msix_handle_mask_update).
"""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.devices.device import MsixDevice
from msixtool.formats import msix
from msixtool.formats.virtio import DRIVER
from msixtool.formats.x86 import is_x86_msi
from msixtool.msix.state import MsixEntry
from msixtool.tasks.finding import Severity
from msixtool.tasks.load import Message, load_device
from msixtool.tasks.rules.catalogue import RULES, RuleFinding
from msixtool.words import dropped_in_words, plural

_CONTROL = 12
"""Offset of Vector Control in a table entry, in bytes."""


def check_vectors(device: MsixDevice, *, x86: bool) -> Iterator[RuleFinding]:
    """Vector by vector what the table says, then the pending bits; `x86` for messages to an x86 APIC."""
    for vector, entry in enumerate(device.state.entries):
        yield from _entry(device, vector, entry, x86)
    yield from _pending(device)
    yield from _unused(device)


def _finding(
    device: MsixDevice, rule: str, message: str, vector: int, offset: int, severity: Severity | None = None
) -> RuleFinding:
    grave = severity or RULES[rule].severity
    return RuleFinding(rule, grave, message, device.name, device.instance, vector, device.offset + offset)


def _entry(device: MsixDevice, vector: int, entry: MsixEntry, x86: bool) -> Iterator[RuleFinding]:
    at = msix.ENTRY_SIZE * vector
    reserved = entry.control & ~msix.ENTRY_MASKED
    if reserved:
        text = f"Vector Control {entry.control:#010x}: bits 1 to 31 are reserved; QEMU keeps what is written"
        yield _finding(device, "vector-control-reserved", text, vector, at + _CONTROL)
    # What a masked vector holds does not matter until somebody unmasks it.
    severity = Severity.INFO if device.is_masked(vector) else Severity.WARNING
    if entry.address & 3:
        text = f"message address {entry.address:#x} is no multiple of 4"
        yield _finding(device, "address-unaligned", text, vector, at, severity)
    if entry.masked:
        return
    state = "unmasked (but the function is masked)" if device.function_masked else "unmasked"
    if not entry.address:
        text = f"{state} with message address 0: its messages go to memory at 0"
        yield _finding(device, "address-zero", text, vector, at, severity)
    elif x86 and not is_x86_msi(entry.address):
        text = f"{state} with message address {entry.address:#x}: no interrupt on x86"
        yield _finding(device, "address-not-msi", text, vector, at, severity)


def _unused(device: MsixDevice) -> Iterator[RuleFinding]:
    """A virtio device with a driver and live vectors, none of which anything uses: it will not interrupt."""
    state = device.virtio
    if state is None or device.function_masked is not False or not state.core.status & DRIVER:
        return
    live = sum(1 for entry in device.state.entries if entry.address and not entry.masked)
    used = any(vector is not None for vector in (device.config_vector, *device.queue_vectors))
    if live and not used:
        text = (
            f"{plural(live, 'vector')} live, and no queue has one: the device will not interrupt (QEMU gives"
            " none to a queue whose driver asked for a vector that there is not)"
        )
        rule = RULES["vectors-unused"]
        yield RuleFinding(rule.id, rule.severity, text, device.name, device.instance, None, device.offset)


def _pending(device: MsixDevice) -> Iterator[RuleFinding]:
    table = msix.ENTRY_SIZE * device.vectors
    why = _function_mask(device)
    fate = {message.vector: message for message in load_device(device).messages}
    for vector in device.state.pending:
        at = table + vector // 8
        if why is not None:
            text = f"pending, and {why}: the message waits"
            yield _finding(device, "pending-function-masked", text, vector, at)
        elif device.function_masked is False and not device.is_masked(vector):
            text = (
                "pending though enabled and unmasked: a running device would have sent the message; "
                + _fate(fate.get(vector))
            )
            yield _finding(device, "pending-unmasked", text, vector, at)
    for vector in device.state.stray_pending:
        text = f"pending bit of a vector that is not there: the device has {device.vectors}"
        yield _finding(device, "pending-beyond-table", text, vector, table + vector // 8)


def _fate(message: Message | None) -> str:
    """What a load does with a pending vector that is live, in words."""
    if message is None or message.delivered is None:
        return "a load clears the bit, and whether it sends the message is not known of this kind"
    if message.delivered:
        return "a load sends it"
    return f"a load loses it: {dropped_in_words(str(message.reason))}"


def _function_mask(device: MsixDevice) -> str | None:
    """Why every vector of the function is masked, or None."""
    if device.capability is None or not device.capability.function_masked:
        return None
    return "the function mask is set" if device.capability.enabled else "MSI-X is not enabled"
