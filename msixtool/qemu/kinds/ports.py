"""Bridges, switches and PCI Express ports.

Source: QEMU hw/pci-bridge/, hw/pci/pcie.c (pcie_cap_slot_init), hw/pci/pci_bridge.c
(pci_bridge_qemu_reserve_cap_init).
"""

from __future__ import annotations

from msixtool.formats import pci
from msixtool.qemu.kinds import DeviceKind, Options, Seen, register

_LINK_CAPABILITIES, _SLOT_CAPABILITIES = 0x0C, 0x14
_HOTPLUG = 1 << 5
"""Hot-Plug Surprise: it goes with the property, where Hot-Plug Capable is hidden by ACPI's hot-plug too."""
_SPEEDS = {1: "2_5", 2: "5", 3: "8", 4: "16", 5: "32", 6: "64"}
_SLOT_ID, _SHPC, _VENDOR = 0x04, 0x0C, 0x09
_RESERVE = (("bus-reserve", 4, 4), ("io-reserve", 8, 8), ("mem-reserve", 16, 4), ("pref32-reserve", 20, 4))
_PREF64 = ("pref64-reserve", 24, 8)


def _port(seen: Seen) -> Options:
    """Port and slot number, hot-plug, and what is reserved behind it; `chassis` is the caller's."""
    at = seen.capability(pci.CapabilityId.EXPRESS)
    if at is None:
        return {}
    link = int.from_bytes(seen.config[at + _LINK_CAPABILITIES : at + _LINK_CAPABILITIES + 4], "little")
    slot = int.from_bytes(seen.config[at + _SLOT_CAPABILITIES : at + _SLOT_CAPABILITIES + 4], "little")
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
    at = seen.capability(pci.CapabilityId.EXPRESS)
    if at is None:
        return {}
    link = int.from_bytes(seen.config[at + _LINK_CAPABILITIES : at + _LINK_CAPABILITIES + 4], "little")
    speed, width = link & 15, link >> 4 & 63
    old = seen.machine is not None and seen.machine <= (3, 1)
    if (speed, width) == ((1, 1) if old else (4, 32)) or speed not in _SPEEDS or seen.version < (4, 0):
        return {}
    return {"x-speed": _SPEEDS[speed], "x-width": str(width)}


def _reserved(seen: Seen) -> Options:
    at = seen.capability(_VENDOR)
    if at is None or seen.config[at + 3] != 1:
        return {}
    options = {}
    for name, offset, size in (*_RESERVE, _PREF64):
        value = int.from_bytes(seen.config[at + offset : at + offset + size], "little")
        if value != (1 << 8 * size) - 1:
            options[name] = str(value)
    return options


def _bridge(seen: Seen) -> Options:
    options = {}
    slot_id = seen.capability(_SLOT_ID)
    if slot_id is not None:
        options["chassis_nr"] = str(seen.config[slot_id + 3] or 1)
    options["shpc"] = "off" if seen.capability(_SHPC) is None else "on"
    if seen.capability(pci.CapabilityId.MSI) is None:
        options["msi"] = "off"
    return options


def _pcie_bridge(seen: Seen) -> Options:
    return {"msi": "off"} if seen.capability(pci.CapabilityId.MSI) is None else {}


register(
    DeviceKind("pcie-root-port", {"": "pcie-root-port"}, _root_port, port=True),
    DeviceKind("ioh-3240-express-root-port", {"": "ioh3420"}, _port, port=True),
    DeviceKind("xio3130-express-upstream-port", {"": "x3130-upstream"}, port=True),
    DeviceKind("xio3130-express-downstream-port", {"": "xio3130-downstream"}, _port, port=True),
    DeviceKind("pci_bridge", {"": "pci-bridge"}, _bridge, port=True),
    DeviceKind("pcie-pci-bridge", {"": "pcie-pci-bridge"}, _pcie_bridge, port=True),
    DeviceKind("i82801b11_bridge", {"": "i82801b11-bridge"}, port=True),
)
NUMBERED = frozenset({"pcie-root-port", "ioh-3240-express-root-port", "xio3130-express-downstream-port"})
"""Kinds with a slot: the pair of chassis and slot is theirs alone."""
