"""What all virtio devices on PCI have: MSI-X, registers, changes, advice, and the properties of virtio-pci.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_realize, virtio_pci_device_plugged) and virtio-pci.h; Virtual
I/O Device 1.2, section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msixtool.formats import parse, pci, sizeof, vring
from msixtool.qemu.kinds import DeviceKind, Options, no_options
from msixtool.qemu.kinds.facts import (
    BARS,
    CAPABILITY_LIST,
    MACHINE,
    MSIX_PLACEMENT,
    NOTHING,
    Advice,
    Compat,
    Msix,
    MsixPlace,
    Probe,
    UsedAtLoad,
    give_same,
)
from msixtool.qemu.recorded import default_of

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

_MODERN_IDS = 0x1040
_PAGE = 4096


def properties(seen: Seen, *, transitional: bool) -> Options:
    """The properties of virtio-pci."""
    assert seen.virtio is not None
    options: Options = {}
    multiplier = _multiplier(seen)
    if transitional:
        legacy = pci.DEVICE_ID.value(seen.config) < _MODERN_IDS
        # Machine types up to 2.4 write no virtio/extra_state.
        modern = multiplier is not None or not legacy
        old = default_of("disable-modern", seen.machine, "virtio-pci") == "on"
        if old or not modern or legacy == seen.behind_port:
            options |= {
                "disable-legacy": "off" if legacy else "on",
                "disable-modern": "off" if modern else "on",
            }
    default = _PAGE if default_of("page-per-vq", seen.machine, "virtio-pci") == "on" else 4
    if multiplier not in (None, default):
        options["page-per-vq"] = "on" if multiplier == _PAGE else "off"
    if seen.virtio.has("virtio/packed_virtqueues"):
        options["packed"] = "on"
    if seen.virtio.features >> vring.ACCESS_PLATFORM & 1:
        options["iommu_platform"] = "on"
    for name, number in (("aer", pci.ExtendedCapabilityId.AER), ("ats", pci.ExtendedCapabilityId.ATS)):
        if seen.extended(number) is not None:
            options[name] = "on"
    return options


def _multiplier(seen: Seen) -> int | None:
    """Bytes between two queues' notify registers, of the capability that tells."""
    from msixtool.formats import capabilities as fmt  # slow to make

    for at in seen.capabilities(pci.CapabilityId.VENDOR):
        if at + sizeof(fmt.VIRTIO_NOTIFY) <= pci.CONFIG_SIZE:
            raw = parse(fmt.VIRTIO_NOTIFY, seen.config[at:], what="virtio capability")
            if raw["virtio structure type"] == fmt.VirtioStructure.NOTIFY:
                return int(raw["virtio notify multiplier"])
    return None


def vectors(seen: Seen) -> Options:
    assert seen.virtio is not None
    return {"vectors": str(seen.virtio.vectors)}


def size(seen: Seen, queue: int, name: str, default: int) -> Options:
    """The size of a queue, where it is one that can be asked for and not the default."""
    assert seen.virtio is not None
    sizes = seen.virtio.sizes
    size = sizes[queue] if queue < len(sizes) else 0
    if size == default or size < 2 or size > 1024 or size & (size - 1):
        return {}
    return {name: str(size)}


def since(version: tuple[int, int]) -> Callable[[Seen], Options]:
    return lambda seen: vectors(seen) if seen.version >= version else {}


_MSIX = Msix(
    UsedAtLoad.NONE,
    MsixPlace.VIRTIO,
    None,
    recovery=(
        "virtio marks its vectors used only after msix_load. The guest hears of the work when the"
        " device next notifies the same queue, or when its driver looks at the ring (a kick, a timeout,"
        " a reset of the device); a queue that waits for nothing else may hang."
    ),
)

LAYOUTS = (Probe(), Probe(behind_port=True), Probe("disable-modern=on"))
"""Modern, modern behind a PCI Express port, and without what is modern."""

_CHANGES = (
    Compat("virtio-…-pci,any_layout=off", "offers ANY_LAYOUT later", (2, 3)),
    Compat("virtio-pci,x-disable-pcie", "no PCI Express capability behind a port"),
    Compat("virtio-pci,migrate-extra", "no virtio/extra_state in the stream"),
    Compat(
        "virtio-pci,disable-modern,disable-legacy",
        "MSI-X capability at 0x40 instead of 0x98, no virtio structures",
    ),
    Compat("virtio-pci,page-per-vq", "notifications spread over a larger BAR"),
    Compat("virtio-pci,x-pcie-deverr-init", "error reporting not writable"),
    Compat("virtio-device,use-started", "no virtio/started in the stream"),
    Compat("virtio-pci,x-pcie-flr-init", "function level reset in Device Capabilities"),
    Compat("virtio-pci,x-ats-page-aligned", "ATS capability"),
)
"""Of every virtio device."""

_NO_ADVICE = Advice()
_TRANSITIONAL = give_same("disable-legacy", "disable-modern")
_SUBSECTIONS = {
    "virtio/disabled": "is sent of a device whose bus mastering is off: use-disabled-flag=off on the source's"
    " device keeps it out, as machine types up to 4.2 do (up to 4.1 in 5.0 and 5.1).",
    "virtio/started": "is sent of a device that its driver has started: use-started=off keeps it out, as"
    " machine types up to 4.0 do.",
}


def legacy_bar(properties: str = "properties") -> str:
    """On BAR 0, which holds the device's own configuration where it has a legacy interface."""
    return (
        "BAR 0 is the legacy interface, whose size follows from the length of the device's own configuration:"
        f" give the target's device the source's {properties}, and use {MACHINE}. With disable-legacy=on"
        " on both sides the BAR is not there."
    )


def without_msix(machine: str) -> dict[str, str]:
    """On the capabilities of a device that got MSI-X after `machine`."""
    own = f"vectors=0 is what machine types up to {machine} have."
    return {CAPABILITY_LIST: f"{_REGISTERS[CAPABILITY_LIST]} {own}"}


_REGISTERS = {
    "MSI-X table size": give_same(
        "vectors", also=" and number of queues, from which the number follows without it"
    ),
    MSIX_PLACEMENT: give_same("vectors"),
    BARS: give_same("vectors", "page-per-vq", "modern-pio-notify", "disable-legacy"),
    "BAR 0": legacy_bar(),
    CAPABILITY_LIST: give_same("disable-modern", "disable-legacy", "vectors")
    + " Put it behind a PCI Express port on both sides or on neither; some virtio devices have"
    " MSI-X for newer machine types alone.",
    "device ID": _TRANSITIONAL
    + " Transitional devices have other ids than modern ones, and a device behind a PCI Express port is"
    " modern by default.",
    "revision ID": _TRANSITIONAL,
    "virtio structure type": give_same("disable-modern", "modern-pio-notify"),
    "virtio structure BAR": give_same("modern-pio-notify"),
    "virtio structure offset": give_same("page-per-vq", "modern-pio-notify"),
    "virtio structure length": give_same("page-per-vq", "modern-pio-notify"),
    "virtio notify multiplier": give_same("page-per-vq"),
    "class code": give_same("class"),
}


def virtio(
    section: str,
    *,
    changes: tuple[Compat, ...] = (),
    advice: Advice = _NO_ADVICE,
    registers: Mapping[str, str] = NOTHING,
    number: int | None = None,
    transitional_id: int | None = None,
    **facts: Any,
) -> DeviceKind:
    """A kind of virtio device: what all have, and what is its own. `number` is that of the device type
    (Virtual I/O Device 1.2, section 5)."""
    modern = () if number is None else (_MODERN_IDS + number,)
    return DeviceKind(
        section,
        is_virtio=True,
        virtio_ids=modern if transitional_id is None else (*modern, transitional_id),
        msix=_MSIX,
        changes=(*_CHANGES, *changes),
        advice=advice._replace(registers={**_REGISTERS, **registers}, subsections=_SUBSECTIONS),
        **{"host_features": section.startswith(_BESIDE_QEMU), **facts},
    )


_BESIDE_QEMU = ("vhost", "virtio-vhost")


def device(
    section: str,
    name: str,
    options: Callable[[Seen], Options] = no_options,
    *,
    transitional: bool = True,
    **facts: Any,
) -> DeviceKind:
    """One that a `-device` makes."""

    def made(seen: Seen) -> Options:
        if seen.virtio is None:
            return {}
        own = options(seen)
        if not seen.is_pci:
            return {name: value for name, value in own.items() if name != "vectors"}
        return own | properties(seen, transitional=transitional)

    return virtio(section, devices={"": name}, options=made, **facts)
