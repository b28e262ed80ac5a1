"""Bridges, switches and PCI Express ports.

Source: QEMU hw/pci-bridge/, hw/pci/pcie.c (pcie_cap_slot_init), hw/pci/pci_bridge.c
(pci_bridge_qemu_reserve_cap_init).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msixtool.formats import pci
from msixtool.qemu.kinds import DeviceKind, Options, register_kinds, without_msi
from msixtool.qemu.kinds.facts import (
    CAPABILITY_LIST,
    MACHINE,
    PLAIN,
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

_HOTPLUG = 1 << 5
"""Hot-Plug Surprise: it goes with the property, where Hot-Plug Capable is hidden by ACPI's hot-plug too."""
_SPEEDS = {1: "2_5", 2: "5", 3: "8", 4: "16", 5: "32", 6: "64"}


def _port(seen: Seen) -> Options:
    """Port and slot number, hot-plug, and what is reserved behind it; `chassis` is the caller's."""
    link = seen.register(pci.CapabilityId.EXPRESS, "Link Capabilities")
    slot = seen.register(pci.CapabilityId.EXPRESS, "Slot Capabilities")
    if link is None or slot is None:
        return {}
    options = {"port": hex(link >> 24)}
    if slot >> 19:
        options["slot"] = str(slot >> 19)
    if not slot & _HOTPLUG:
        options["hotplug"] = "off"
    return options


def _root_port(seen: Seen) -> Options:
    return _port(seen) | _link(seen) | _reserved(seen)


def _link(seen: Seen) -> Options:
    """Speed and width where they are not what the machine type gives."""
    link = seen.register(pci.CapabilityId.EXPRESS, "Link Capabilities") or 0
    speed, width = link & 15, link >> 4 & 63
    if speed not in _SPEEDS or seen.version < (4, 0):
        return {}
    options = {"x-speed": _SPEEDS[speed], "x-width": str(width)}
    given = {name: default_of(name, seen.machine, "pcie-root-port") for name in options}
    return {} if options == given else options


def _reserved(seen: Seen) -> Options:
    from msixtool.formats.capabilities import RESERVE, capability_registers, capability_value  # slow to make

    at = seen.capability(pci.CapabilityId.VENDOR)
    if at is None or capability_value(RESERVE, "type", seen.config, at) != 1:
        return {}
    held = {
        name: (capability_value(RESERVE, name, seen.config, at), (1 << 8 * place.size) - 1)
        for name, place in capability_registers(RESERVE).items()
        if name.endswith("-reserve")
    }
    return {name: str(reserved) for name, (reserved, unset) in held.items() if reserved != unset}


def _bridge(seen: Seen) -> Options:
    options = {}
    chassis = seen.register(pci.CapabilityId.SLOTID, "chassis number")
    if chassis is not None:
        options["chassis_nr"] = str(chassis or 1)
    options["shpc"] = "off" if seen.capability(pci.CapabilityId.SHPC) is None else "on"
    return options | without_msi(seen)


def _express(section: str, device: str, **facts: Any) -> DeviceKind:
    return DeviceKind(section, {"": device}, port=True, **{"probes": PLAIN, **facts})


register_kinds(
    _express(
        "pcie-root-port",
        "pcie-root-port",
        options=_root_port,
        numbered=True,
        msix=Msix(UsedAtLoad.ALL, MsixPlace.AFTER_AER, vectors=1),
        changes=(
            Compat("pcie-root-port,x-migrate-msix", "17 bytes less in its section"),
            Compat("pcie-root-port,x-speed,x-width", "Link Capabilities"),
            Compat("pcie-root-port-base,disable-acs", "no ACS capability"),
            Compat(
                "ICH9-LPC,acpi-pci-hotplug-with-bridge-support",
                "hot-plug bits in the Slot Capabilities of q35's ports",
            ),
        ),
        by_property=frozenset({"parent_obj.parent_obj.parent_obj.parent_obj"}),
        advice=Advice(
            give_same("x-migrate-msix") + " It is off for machine types up to 2.9.",
            registers={"capability ID": f"Use {MACHINE}."},
        ),
    ),
    _express("ioh-3240-express-root-port", "ioh3420", options=_port, numbered=True),
    _express("xio3130-express-upstream-port", "x3130-upstream"),
    _express(
        "xio3130-express-downstream-port",
        "xio3130-downstream",
        options=_port,
        numbered=True,
    ),
    DeviceKind(
        "pci_bridge",
        {"1b36:000a": "pci-bridge-seat", "": "pci-bridge"},
        _bridge,
        port=True,
        changes=(
            Compat("pci-bridge,shpc", "hot-plug capability of bridges"),
            Compat("base-pci-bridge,x-pci-express-writeable-slt-bug", "secondary latency timer"),
        ),
        advice=Advice(registers={CAPABILITY_LIST: give_same("msi", "shpc")}),
        probes=(Probe("chassis_nr=1"),),
    ),
    _express(
        "pcie-pci-bridge",
        "pcie-pci-bridge",
        options=without_msi,
        advice=Advice(registers={CAPABILITY_LIST: give_same("msi")}),
    ),
    DeviceKind("i82801b11_bridge", {"": "i82801b11-bridge"}, port=True, probes=PLAIN),
)
