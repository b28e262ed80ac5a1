"""Why QEMU would refuse a stream, as far as the stream alone shows it.

Source: QEMU migration/savevm.c, and what device_checks.py names. What depends on the target (its
devices, machine type, configuration space) is the business of compat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from msixtool.devices.device import MsixDevice
from msixtool.dump import Dump
from msixtool.formats import virtio as virtio_format
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.qemu.versions import Version
from msixtool.stream.items import Damage, DamageRule
from msixtool.tasks.device_checks import PCI_VERSION, Check, Failed, pci_failures, virtio_failures
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.tasks.rules.catalogue import RuleFinding
from msixtool.tasks.rules.function import check_capability
from msixtool.tasks.section_checks import Trouble, troubles

CHECKS_QUEUE_VECTORS: QemuVersion = (7, 2)
"""Since when QEMU checks a queue's vector before it uses it."""

HARMLESS = frozenset({DamageRule.VMDESC, DamageRule.VMDESC_MISMATCH})
"""Damage that QEMU does not see: it reads no vmdesc."""
_WHOLE = "Take the stream again, or a copy of it that is whole."
_SETTINGS = "Give the capability the values that the device has: no QEMU takes others (msixtool validate)."


def refusals(dump: Dump, qemu_version: QemuVersion = NEWEST) -> list[Finding]:
    """The findings in stream order; empty where nothing in the stream stops a load."""
    found = [(damage.offset or 0, of_damage(damage)) for damage in dump.damage if damage.rule not in HARMLESS]
    if dump.is_incomplete:
        found.append((-1, _incomplete()))
    for trouble in troubles(dump):
        refused = trouble.loads is None or trouble.loads.covers(_release(qemu_version)) is False
        if trouble.severity is Severity.ERROR and refused:
            found.append((trouble.item.offset, of_trouble(trouble)))
    for device in dump.devices:
        found += [(device.item.offset, finding) for finding in _of_device(device, qemu_version)]
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def warnings(dump: Dump, qemu_version: QemuVersion = NEWEST) -> list[Finding]:
    """What QEMU may refuse, or minds and loads, in stream order: of severity warning, of code undecided where
    nothing tells."""
    found = []
    for trouble in troubles(dump):
        loaded = trouble.loads.covers(_release(qemu_version)) if trouble.loads else False
        if trouble.severity is not Severity.ERROR:
            found.append(replace(of_trouble(trouble), severity=Severity.WARNING))
        elif loaded is None:
            found.append(replace(of_trouble(trouble), severity=Severity.WARNING, code=Code.UNDECIDED))
    return found


def _release(version: QemuVersion) -> Version:
    return version[0], version[1] if len(version) > 1 else 0


def of_trouble(trouble: Trouble) -> Finding:
    """A finding about what QEMU refuses of a section by itself."""
    return Finding(
        trouble.severity,
        trouble.code,
        trouble.message,
        str(trouble.item.idstr),
        trouble.item.instance_id or 0,
        trouble.field,
        source=trouble.value,
        advice=trouble.advice,
    )


def of_damage(damage: Damage) -> Finding:
    """A finding about damage, which no QEMU reads past."""
    if damage.rule is DamageRule.VECTOR_COUNT:
        return Finding(
            Severity.ERROR,
            Code.CONFIG_MISMATCH,
            str(damage),
            damage.section,
            damage.instance,
            "MSI-X table size",
            advice=_SETTINGS,
        )
    return Finding(Severity.ERROR, Code.STREAM, str(damage), damage.section, damage.instance, advice=_WHOLE)


def _incomplete() -> Finding:
    return Finding(
        Severity.ERROR,
        Code.STREAM,
        "libvirt marked the image as incomplete, and refuses to restore it",
        advice="Take it again; where the stream in it is whole, QEMU itself loads it.",
    )


def _of_device(device: MsixDevice, version: QemuVersion) -> Iterator[Finding]:
    for broken in check_capability(device):
        if broken.severity is Severity.ERROR:
            yield _of_rule(device, broken)
    for failed in (*pci_failures(device), *virtio_failures(device)):
        yield _refused(device, failed, version)


def _of_rule(device: MsixDevice, broken: RuleFinding) -> Finding:
    """What get_pci_config_device refuses, whatever the target's device is like."""
    at = None if broken.offset is None else broken.offset - (device.config_offset or 0)
    return Finding(
        Severity.ERROR,
        Code.CONFIG_MISMATCH,
        broken.message,
        device.name,
        device.instance,
        broken.rule,
        at,
        advice=_SETTINGS,
    )


def _refused(device: MsixDevice, failed: Failed, version: QemuVersion) -> Finding:
    value, number = failed.value, failed.number
    match failed.check:
        case Check.PCI_VERSION:
            text = f"PCIDevice version_id {value}: QEMU takes 0 to {PCI_VERSION}"
            return _finding(device, Code.SECTION_VERSION, text, "version_id", value)
        case Check.IRQ_STATE:
            signed = value - (1 << 32) if value >> 31 else value
            text = f"irq state {signed} of pin {number}: must be 0 or 1"
            return _finding(device, Code.OTHER, text, "irq_state", signed)
        case Check.QUEUE_SELECT:
            text = f"queue_sel {value}: QEMU takes less than {virtio_format.MAX_QUEUES}"
            return _finding(device, Code.OTHER, text, "queue_sel", value)
        case Check.QUEUE_INDEX:
            text = f"VQ {number} address 0x0 inconsistent with Host index {value:#x}"
            return _finding(device, Code.OTHER, text, f"queue {number} last_avail_idx", value)
        case Check.CONFIG_VECTOR:
            return _vector_finding(device, "config_vector", value, "QEMU refuses it without a word")
        case Check.QUEUE_VECTOR:
            checked = version >= CHECKS_QUEUE_VECTORS
            outcome = "QEMU refuses it" if checked else "QEMU before 7.2 does not check it, and crashes"
            return _vector_finding(device, f"queue {number} vector", value, outcome)


def _vector_finding(device: MsixDevice, field: str, vector: int, outcome: str) -> Finding:
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
