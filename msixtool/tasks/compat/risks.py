"""Without a target at hand: what is known to be in the way between a stream and a QEMU release.

What the release refuses whatever its command line are errors: damage, a machine type that it does not have.
The rest are warnings: whether it happens depends on the target's command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.formats import pci
from msixtool.msix.versions import QemuVersion
from msixtool.qemu import advice, history, kinds, vendors, vmstates
from msixtool.qemu.refusals import CHECKS_QUEUE_SIZE, SUBSECTION_UNKNOWN
from msixtool.qemu.versions import Version, format_version, machine_version
from msixtool.stream.items import Item
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.tasks.refusals import refusals, warnings

UNSIZED_QUEUE = 1024
"""What QEMU 10.0.13 writes as the size of each queue that the guest has not set up."""


def risks(source: OpenDump, to: Version, vendor: str | None = None) -> list[Finding]:
    """What goes wrong, or may, when `source` moves to a QEMU of release `to`, in the build of `vendor`."""
    release: QemuVersion = (*to, 0)
    found = [*refusals(source, release), *warnings(source, release), *_machine(source, to, vendor)]
    machine = machine_version(source.index.machine)
    for item in source.index.full_sections():
        found += _section(item, to)
    if machine is not None:
        found += _changes(source, machine, to)
    for device in source.devices:
        found += _device(device, to)
    return found


def _warning(code: Code, message: str, item: Item | None = None, **details: Any) -> Finding:
    section, instance = (None, None) if item is None else item.key
    return Finding(code, message, section, instance, severity=Severity.WARNING, **details)


def _machine(source: OpenDump, to: Version, vendor: str | None) -> Iterator[Finding]:
    name, version = source.index.machine, machine_version(source.index.machine)
    if name is None:
        return
    owner = vendors.vendor_of(name)
    if owner is not None and owner != vendor:
        yield _refused_machine(
            name,
            f"machine type {name}: only {owner}'s own QEMU has it",
            f"Load it in {owner}'s QEMU; or start the VM there anew with an upstream machine type"
            " (-machine q35 or pc with its version), and move it then.",
        )
        return
    if version is None:
        return
    if version > to:
        yield _refused_machine(
            name,
            f"machine type {name}: QEMU {format_version(to)} is older and does not have it",
            f"Start VMs that are to move there with -machine …-{format_version(to)} or older.",
        )
    gone = history.newest_removed(to)
    if gone is not None and version < gone:
        yield _warning(
            Code.MACHINE_TYPE,
            f"machine type {name}: QEMU {format_version(to)} no longer has any before {format_version(gone)}",
            field="machine",
            source=name,
            advice="Restart the VM with a newer machine type before it moves.",
        )


def _refused_machine(name: str, message: str, advice: str) -> Finding:
    return Finding(Code.MACHINE_TYPE, message, "configuration", 0, "machine", source=name, advice=advice)


def _section(item: Item, to: Version) -> Iterator[Finding]:
    kind = item.named.kind
    since = kinds.kind_of(kind).since
    if since is not None and to < since:
        yield _warning(
            Code.SECTION_UNKNOWN,
            f"QEMU before {format_version(since)} does not load a device of this kind",
            item,
            advice="Unplug it before the VM moves (device_del).",
        )
    minimum = vmstates.minimum_version(kind, to)
    if minimum is not None and (item.version_id or 0) < minimum:
        yield _warning(
            Code.SECTION_VERSION,
            f"version {item.version_id}, QEMU {format_version(to)} reads none below {minimum}",
            item,
            field="version_id",
            source=item.version_id,
            target=minimum,
        )
    for name in () if item.layout is None else item.layout.subsection_names():
        lifetime = vmstates.SUBSECTION_LIFETIMES.get(name)
        if lifetime is not None and lifetime.covers(to) is False:
            yield _warning(
                Code.SUBSECTION_UNKNOWN,
                f"subsection {name}, which QEMU {format_version(to)} does not know",
                item,
                field=name,
                source=name,
                advice=SUBSECTION_UNKNOWN.advice,
            )


def _changes(source: OpenDump, machine: Version, to: Version) -> Iterator[Finding]:
    """What a target with a newer machine type would have otherwise."""
    express = {device.name for device in source.devices if _is_express(device)}
    found = [
        (change, item)
        for item in source.index.full_sections()
        for change in history.changes(str(item.idstr), machine, to, express=str(item.idstr) in express)
    ]
    for change, item in sorted(found, key=lambda pair: pair[0].until):
        yield _warning(
            Code.MACHINE_TYPE,
            f"{change.effect}: machine types up to {format_version(change.until)} have {change.setting}",
            item,
            field=change.setting,
            source=source.index.machine,
            advice=f"Start the target with -machine {source.index.machine}, not with a newer one.",
        )


def _is_express(device: MsixDevice) -> bool:
    return device.config is not None and device.config.find(pci.CapabilityId.EXPRESS) is not None


def _device(device: MsixDevice, to: Version) -> Iterator[Finding]:
    if device.virtio is None:
        return
    queues = [number for number, queue in enumerate(device.virtio.queues) if queue.num == UNSIZED_QUEUE]
    if queues and to >= CHECKS_QUEUE_SIZE:
        yield _warning(
            Code.QUEUE_SIZE,
            f"queue {queues[0]} has {UNSIZED_QUEUE} entries: QEMU {format_version(to)} refuses"
            " it where the target's queue is shorter",
            device.item,
            field=f"queue {queues[0]} size",
            source=UNSIZED_QUEUE,
            advice=advice.on_queue(device.kind, UNSIZED_QUEUE, 1),
        )
