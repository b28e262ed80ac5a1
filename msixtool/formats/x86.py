"""What the address and data of an interrupt message are on x86.

Sources: Intel SDM volume 3, section 11.11 (message address and data registers); Intel VT-d
specification, section 5.1.5 (remappable format).
"""

from __future__ import annotations

from msixtool.formats.pci import Register

CMOS_BELOW, CMOS_EXTENDED, CMOS_ABOVE = Register(0x34, 2), Register(0x17, 2), Register(0x5B, 3)
"""A PC's memory in CMOS: between 16 MiB and 4 GiB in 64 KiB; between 1 and 64 MiB in KiB, for guests of less
than 16 MiB; above 4 GiB in 64 KiB (QEMU hw/i386/pc.c, pc_cmos_init)."""

MSI_BASE = 0xFEE00000
MSI_END = 0xFEF00000
"""A write into this megabyte of the physical address space is an interrupt on x86."""

LOGICAL, SUBHANDLE, REMAPPABLE = 1 << 2, 1 << 3, 1 << 4
"""Bits of the address: the destination is a logical one; in remappable format (the third bit), where the
second bit of them is set, the data's low half is added to the handle."""

_DELIVERY_MODES = ("fixed", "lowest", "SMI", "reserved 3", "NMI", "INIT", "reserved 6", "ExtINT")


def is_x86_msi(address: int) -> bool:
    """Whether a write to `address` is an interrupt message on x86."""
    return MSI_BASE <= address < MSI_END


def handle(address: int) -> int:
    """The handle of a message in remappable format: 15 bits, and a sixteenth where others have LOGICAL."""
    return address >> 5 & 0x7FFF | (address >> 2 & 1) << 15


def x86_message(address: int, data: int) -> str:
    """What a message with this address and data is on x86, in a few words."""
    if not is_x86_msi(address):
        return "no interrupt address"
    if address & REMAPPABLE:
        return f"remapped, handle {handle(address):#x}" + ("+data" if address & SUBHANDLE else "")
    mode = _DELIVERY_MODES[data >> 8 & 7]
    vector = "" if mode in ("SMI", "NMI", "INIT", "ExtINT") else f" vector {data & 0xFF:#04x}"
    # Fixed delivery on an edge is what nearly all messages are: only the others are worth a word.
    return (
        f"{_destination(address)}{vector}"
        + (f" {mode}" if mode != "fixed" else "")
        + (" level" if data & 0x8000 else "")
    )


def _destination(address: int) -> str:
    destination = address >> 12 & 0xFF
    if destination == 0xFF:
        return "all CPUs"
    # QEMU's APIC goes by the destination mode alone, whatever the redirection hint says.
    return f"CPUs {destination:#04x}" if address & LOGICAL else f"CPU {destination}"
