"""Kinds of PCI devices: their BARs, and what of their capabilities is live.

Source: the realize functions of the devices in QEMU's hw/, and what QEMU 5.2, 10.0 and 11.1 said of
bits of their configuration spaces that were flipped. The key is the part of the section's idstr
after the last slash.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A BAR: its size in bytes, and the type in its lowest bits once it is registered."""

    size: int
    type: int


def _memory(size: int) -> Bar:
    return Bar(size, 0x0)


def _prefetch(size: int) -> Bar:
    return Bar(size, 0x8)


def _wide(size: int) -> Bar:
    return Bar(size, 0x4)


def _io(size: int) -> Bar:
    return Bar(size, 0x1)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of device adds to what its capabilities say.

    `bars` has its BARs by number: those that it can have registered, and no others.
    """

    bars: dict[int, Bar]
    error_reporting: bool = False
    """Device Control and Device Status are live (pcie_cap_deverr_init)."""
    link_control: bool = False
    """Link Control is live (pcie_cap_lnkctl_init)."""
    power_control: int = 0
    """The bits of the power management's Control and Status that are writable or write-1-to-clear."""
    own_capabilities: bool = False
    """The device filled in its capabilities as plain bytes: none is compared."""


POWER_STATE = 0x0003
"""Power management's Control and Status: the power state."""
POWER_ALL = 0x9F03
"""The same, with PME and data select: all that a device can make live."""
_PORT = Kind({}, error_reporting=True)

VIRTIO = Kind({}, error_reporting=True, link_control=True, power_control=POWER_STATE)
"""Every virtio device; its BARs follow from its capabilities."""

KINDS: dict[str, Kind] = {
    "I440FX": Kind({}),
    "ICH9LPC": Kind({}),
    "PIIX3": Kind({}),
    "mch": Kind({}),
    "piix4_pm": Kind({}),
    "bochs-display": Kind({2: _memory(0x1000)}),
    "cirrus_vga": Kind({0: _prefetch(0x2000000), 1: _memory(0x1000)}),
    "e1000": Kind({0: _memory(0x20000), 1: _io(0x40)}),
    "e1000e": Kind(
        {0: _memory(0x20000), 1: _memory(0x20000), 2: _io(0x20), 3: _memory(0x4000)}, power_control=POWER_ALL
    ),
    "ehci": Kind({0: _memory(0x1000)}),
    "i6300esb_wdt": Kind({0: _memory(0x10)}),
    "i82559er": Kind({0: _prefetch(0x1000), 1: _io(0x40), 2: _memory(0x20000)}),
    "i82801b11_bridge": Kind({}),
    "ich9_ahci": Kind({4: _io(0x20), 5: _memory(0x1000)}),
    "ich9_smb": Kind({4: _io(0x40)}),
    "ide": Kind({4: _io(0x10)}),
    "igb": Kind(
        {0: _memory(0x20000), 1: _memory(0x20000), 2: _io(0x20), 3: _wide(0x4000)}, power_control=POWER_ALL
    ),
    "intel-hda": Kind({0: _memory(0x4000)}),
    "ioh-3240-express-root-port": _PORT,
    "lsiscsi": Kind({0: _io(0x100), 1: _memory(0x400), 2: _memory(0x2000)}),
    "megasas": Kind({0: _wide(0x4000), 2: _io(0x100), 3: _wide(0x40000)}),
    "megasas-gen2": Kind({0: _io(0x100), 1: _wide(0x4000), 3: _wide(0x40000)}),
    "mptsas": Kind({0: _io(0x100), 1: _memory(0x4000), 2: _memory(0x10000)}),
    "ne2000": Kind({0: _io(0x100)}),
    "nvme": Kind({0: _wide(0x2000)}, error_reporting=True, power_control=POWER_STATE),
    "pci-serial": Kind({0: _io(0x8)}),
    "pci_bridge": Kind({0: _wide(0x100)}),
    "pcie-pci-bridge": Kind({0: _wide(0x100)}, error_reporting=True),
    "pcie-root-port": Kind({0: _memory(0x1000)}, error_reporting=True),
    "pciespscsi": Kind({0: _io(0x80)}),
    "pcnet": Kind({0: _io(0x20), 1: _memory(0x20)}),
    "pvscsi": Kind({0: _memory(0x8000)}),
    "rtl8139": Kind({0: _io(0x100), 1: _memory(0x100)}),
    "sdhci": Kind({0: _memory(0x100)}),
    "tpci200": Kind(
        {
            0: _memory(0x80),
            1: _io(0x80),
            2: _memory(0x100),
            3: _memory(0x400),
            4: _memory(0x2000000),
            5: _memory(0x1000000),
        },
        own_capabilities=True,
    ),
    "uhci": Kind({4: _io(0x20)}),
    "vga": Kind({2: _memory(0x1000)}),
    "vmxnet3": Kind({0: _memory(0x1000), 1: _memory(0x1000), 2: _memory(0x2000)}),
    "xhci": Kind({0: _wide(0x4000)}),
    "xio3130-express-downstream-port": _PORT,
    "xio3130-express-upstream-port": _PORT,
}
"""By the part of the section's idstr after the last slash. A stranger's BARs are not known."""

FRAMEBUFFER_BAR = {"bochs-display": 0, "vga": 0, "virtio-gpu": 0}
"""Kinds whose display has its memory in this BAR, as a RAM block of its own with `vram` in its name."""


def kind_of(name: str) -> Kind | None:
    """The kind of a section by the last part of its idstr; None for a stranger."""
    found = KINDS.get(name)
    return VIRTIO if found is None and name.startswith(("virtio-", "vhost-")) else found
