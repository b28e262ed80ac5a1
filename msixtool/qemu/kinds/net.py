"""Network cards but for virtio's.

Source: QEMU hw/net/ (e1000.c, eepro100.c, vmxnet3.c, …); the names of eepro100's sections are its models'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msixtool.formats import pci
from msixtool.qemu.kinds import ISA, Backend, DeviceKind, Options, register_kinds
from msixtool.qemu.kinds.facts import (
    CAPABILITY_LIST,
    MSIX_PLACEMENT,
    PLAIN,
    Advice,
    Compat,
    Msix,
    MsixPlace,
    UsedAtLoad,
    give_same,
)

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

_EEPRO100 = (
    "i82550 i82551 i82557a i82557b i82557c i82558a i82558b i82559a i82559b i82559c i82559er i82562 i82801"
)


def _mac(seen: Seen, *paths: str) -> Options:
    for path in paths:
        value = seen.value(path)
        if isinstance(value, str) and len(value) >= 12:
            octets = bytes.fromhex(value[:12])
        elif isinstance(value, list) and len(value) >= 6 and all(isinstance(each, int) for each in value[:6]):
            octets = bytes(each & 0xFF for each in value[:6])
        else:
            continue
        if any(octets) and not octets[0] & 1:
            return {"mac": octets.hex(":")}
    return {}


def _rtl8139(seen: Seen) -> Options:
    return _mac(seen, "phys")


def _serial(order: tuple[int, ...]) -> Callable[[Seen], Options]:
    """The MAC out of the serial number capability: `order` says which of its bytes are the MAC's."""

    def options(seen: Seen) -> Options:
        from msixtool.formats import capabilities  # slow to make

        at = seen.extended(pci.ExtendedCapabilityId.DEVICE_SERIAL_NUMBER)
        if at is None:
            return {}
        first, size = capabilities.capability_register(capabilities.SERIAL_NUMBER, "device serial number", at)
        serial = seen.config[first : first + size]
        octets = bytes(serial[index] for index in order) if len(serial) == 8 else b"\1"
        return {"mac": octets.hex(":")} if any(octets) and not octets[0] & 1 else {}

    return options


_VMXNET3 = (4, 5, 6, 1, 2, 3)
_E1000E = (7, 6, 5, 2, 1, 0)


def _net(section: str, devices: dict[str, str] | str, **facts: Any) -> DeviceKind:
    names = {"": devices} if isinstance(devices, str) else devices
    return DeviceKind(section, names, backend=Backend.NETDEV, rom=True, **facts)


_SUBSYSTEM = {
    "": give_same("subsys", "subsys_ven"),
    "subsys": give_same("subsys"),
    "subsys_ven": give_same("subsys_ven"),
}
register_kinds(
    _net(
        "e1000",
        {"": "e1000", "8086:100c": "e1000-82544gc", "8086:100f": "e1000-82545em"},
        advice=Advice(
            subsections={
                "e1000/tx_tso_state": "is kept out by migrate_tso_props=off on the source, as in machine"
                " types up to 2.11."
            }
        ),
        probes=PLAIN,
    ),
    DeviceKind(
        "slirp",
        integrated=True,
        advice=Advice(
            "Use the same libslirp on both sides, or no user networking: its version says what it saves."
        ),
    ),
    _net(
        "e1000e",
        "e1000e",
        options=_serial(_E1000E),
        msix=Msix(UsedAtLoad.ALL, vectors=5),
        changes=(Compat("e1000e,migrate-timadj", "8 bytes less in its section"),),
        equal_after_load={"subsys": "subsystem ID", "subsys_ven": "subsystem vendor ID"},
        by_property=frozenset({"core.timadj"}),
        advice=Advice(
            give_same("migrate-timadj") + " It is off for machine types up to 7.2.",
            fields=_SUBSYSTEM,
        ),
        probes=PLAIN,
    ),
    _net(
        "igb",
        "igb",
        options=_serial(_E1000E),
        msix=Msix(UsedAtLoad.ALL, vectors=10),
        since=(8, 0),
        changes=(
            Compat("pci-device,x-pcie-ari-nextfn-1", "next function in the ARI capability"),
            Compat("igb,x-pcie-flr-init", "function level reset in Device Capabilities"),
        ),
        probes=PLAIN,
    ),
    _net("ne2000", {"": "ne2k_pci", ISA: "ne2k_isa"}, probes=PLAIN, alone=True),
    _net("pcnet", "pcnet", probes=PLAIN),
    _net("rtl8139", "rtl8139", options=_rtl8139, probes=PLAIN),
    DeviceKind("tulip", {"": "tulip"}, backend=Backend.NETDEV, probes=PLAIN),
    _net(
        "vmxnet3",
        "vmxnet3",
        options=_serial(_VMXNET3),
        # On PCI Express 2.6 to 4.1 saved its PCIDevice in a subsection.
        msix=Msix(UsedAtLoad.ALL, config_size=None, vectors=25, config_subsection="vmxnet3/pcie"),
        changes=(
            Compat("vmxnet3,x-old-msi-offsets", "MSI-X capability and PBA placed otherwise"),
            Compat("vmxnet3,x-disable-pcie", "256 bytes of configuration space"),
        ),
        advice=Advice(
            give_same("x-disable-pcie"),
            registers={
                MSIX_PLACEMENT: give_same("x-old-msi-offsets") + " It is on for machine types up to 2.5.",
                CAPABILITY_LIST: give_same("x-disable-pcie", "x-old-msi-offsets"),
            },
        ),
        probes=PLAIN,
    ),
    # QEMU 1.5 to 4.1 saved it apart from the rest of the device.
    DeviceKind(
        "vmxnet3-msix",
        msix=Msix(UsedAtLoad.ALL, MsixPlace.ALONE, None, vectors=25, config_in="vmxnet3"),
    ),
    *(_net(model, model, probes=PLAIN) for model in _EEPRO100.split()),
)
