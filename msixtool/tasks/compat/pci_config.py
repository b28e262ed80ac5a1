"""The comparison of a configuration space, byte by byte as QEMU does it, register by register in words.

Source: QEMU hw/pci/pci.c, get_pci_config_device: the first byte in which (stream ^ local) & cmask & ~wmask &
~w1cmask is not zero ends the load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import msix, pci
from msixtool.qemu import advice
from msixtool.qemu.config_masks import POINTER, Register
from msixtool.tasks.compat import registers
from msixtool.tasks.compat.load_base import Load, LoadStoppedError
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.words import plural

_NEXT = "next pointer"
_ID = "capability ID"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A register that differs: `offset` is that of its first byte that does, `source` and `target` are the
    register's values. `sure` is false where it cannot be told whether QEMU compares it."""

    register: Register
    offset: int
    source: int
    target: int
    sure: bool


def compare(load: Load, stream: bytes, own: bytes, *, legacy_bar: int | None = None) -> None:
    """Note every register of the source's configuration space `stream` that the target, whose own is `own`,
    would refuse. Raises LoadStoppedError where there is one."""
    device = registers.Device(
        load.kind,
        own,
        load.target.rom_of(load.path),
        load.target.framebuffer_of(load.path),
        legacy_bar,
        load.target.version,
    )
    for mismatch in mismatches(device, stream):
        load.findings.append(_finding(load, mismatch, stream, own))
    if load.refused:
        raise LoadStoppedError


def mismatches(device: registers.Device, stream: bytes) -> Iterator[Mismatch]:
    """The registers that differ, by offset."""
    skipped: range = range(0)
    for register in registers.registers(device):
        if register.offset in skipped:
            continue
        source, target = register.value(stream), register.value(device.config)
        differs = (source ^ target) & ~register.free
        sure = differs & ~register.unsure
        if not differs:
            continue
        first = ((sure or differs) & -(sure or differs)).bit_length() - 1 >> 3
        yield Mismatch(register, register.offset + first, source, target, bool(sure))
        if register.name == _ID:
            # Another capability stands there: its registers mean nothing in this one's place.
            skipped = range(register.offset, _end_of_capability(device.config, register.offset))


def _end_of_capability(config: bytes, offset: int) -> int:
    """Where the next capability in configuration space begins."""
    offsets = [c.offset for c in ConfigSpace(config).capabilities if c.offset > offset]
    return min(offsets, default=pci.CONFIG_SIZE)


def _finding(load: Load, mismatch: Mismatch, stream: bytes, own: bytes) -> Finding:
    register, at = mismatch.register, mismatch.offset
    made = load.finding(
        Code.CONFIG_MISMATCH,
        _in_words(mismatch, stream, own),
        field=register.name,
        config_offset=at,
        source=stream[at],
        target=own[at],
        advice=advice.on_register(register.name, load.kind, mismatch.source, mismatch.target),
    )
    if mismatch.sure:
        return made
    why = "whether QEMU compares this cannot be told from a fresh stream"
    return replace(made, severity=Severity.WARNING, code=Code.UNDECIDED, message=f"{made.message}; {why}")


def _in_words(mismatch: Mismatch, stream: bytes, own: bytes) -> str:
    register, source, target = mismatch.register, mismatch.source, mismatch.target
    if register.name == "MSI-X table size":
        ours = (target & msix.CONTROL_QSIZE) + 1
        if source & ~msix.CONTROL_QSIZE & 0x3800 == 0:
            theirs = (source & msix.CONTROL_QSIZE) + 1
            return f"MSI-X table size: {plural(theirs, 'vector')}, the target has {ours}"
    if register.name in ("MSI-X table", "MSI-X PBA"):
        return f"{register.name}: {_place(source)}, the target has it in {_place(target)}"
    if register.name in (_ID, _NEXT, POINTER.name):
        return _list_in_words(mismatch, stream, own)
    if register.name == "device serial number" and register.size == 8:
        return f"device serial number: {_serial(source)}, the target has {_serial(target)}"
    width = 2 * register.size
    return f"{register.name}: {source:#0{width + 2}x}, the target has {target:#0{width + 2}x}"


def _list_in_words(mismatch: Mismatch, stream: bytes, own: bytes) -> str:
    register, source, target = mismatch.register, mismatch.source, mismatch.target
    if register.name == _ID:
        names = capability_name(source), capability_name(target)
        return f"capability at {register.offset:#x}: {names[0]}, the target has {names[1]}"
    after = (
        "capability list begins"
        if register.name == POINTER.name
        else (f"the capability after {capability_name(own[register.offset - 1])} stands")
    )
    return f"{after} {_pointed(source, stream)}, in the target {_pointed(target, own)}"


def _pointed(offset: int, config: bytes) -> str:
    if not offset:
        return "nowhere"
    return f"at {offset:#x} ({capability_name(config[offset])})"


def _place(register: int) -> str:
    return f"BAR {register & msix.BIR_MASK} at {register & ~msix.BIR_MASK:#x}"


def _serial(value: int) -> str:
    return "-".join(f"{byte:02x}" for byte in value.to_bytes(8, "big"))


_NAMES = {
    pci.CapabilityId.PM: "power management",
    pci.CapabilityId.MSI: "MSI",
    pci.CapabilityId.VENDOR: "a vendor-specific one",
    pci.CapabilityId.SHPC: "SHPC",
    pci.CapabilityId.SLOTID: "slot ID",
    pci.CapabilityId.SSVID: "bridge subsystem IDs",
    pci.CapabilityId.EXPRESS: "PCI Express",
    pci.CapabilityId.MSIX: "MSI-X",
    pci.CapabilityId.SATA: "SATA",
    pci.CapabilityId.AF: "advanced features",
}


def capability_name(identifier: int) -> str:
    """A capability id in words."""
    if not identifier:
        return "nothing"
    return _NAMES.get(identifier, f"capability {identifier:#04x}")  # type: ignore[call-overload,no-any-return]
