"""The comparison of a configuration space, byte by byte as QEMU does it, register by register in words.

Source: QEMU hw/pci/pci.c, get_pci_config_device: the first byte in which (stream ^ local) & cmask & ~wmask &
~w1cmask is not zero ends the load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import pci
from msixtool.qemu import advice
from msixtool.qemu.config_masks import CAPABILITIES_POINTER, CAPABILITY_ID, NEXT_POINTER, ComparedRegister
from msixtool.qemu.config_names import capability_name
from msixtool.qemu.config_words import DEVICE_ID_NAME, capability_at, device_name, differences
from msixtool.tasks.compat import registers
from msixtool.tasks.compat.load_base import LoadBase, LoadStoppedError
from msixtool.tasks.finding import Code, Finding, Severity


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A register that differs: `offset` is that of its first byte that does, `source` and `target` are the
    register's values. `sure` is false where it cannot be told whether QEMU compares it; `evident` too where a
    guest that runs is enough to make it differ."""

    register: ComparedRegister
    offset: int
    source: int
    target: int
    sure: bool
    evident: bool = True


def compare_spaces(load: LoadBase, stream: bytes, own: bytes, *, legacy_bar: int | None = None) -> None:
    """Note every register of the source's configuration space `stream` that the target, whose own is `own`,
    would refuse. Raises LoadStoppedError where there is one."""
    device = registers.TargetDevice(
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


def mismatches(device: registers.TargetDevice, stream: bytes) -> Iterator[Mismatch]:
    """The registers that differ, by offset."""
    skipped: range = range(0)
    for register in registers.compared_registers(device):
        if register.offset in skipped:
            continue
        source, target = register.value(stream), register.value(device.config)
        differs = (source ^ target) & ~register.free
        sure = differs & ~register.unsure
        if not differs:
            continue
        first = ((sure or differs) & -(sure or differs)).bit_length() - 1 >> 3
        evident = bool(differs & ~register.placed)
        yield Mismatch(register, register.offset + first, source, target, bool(sure), evident)
        if register.name == CAPABILITY_ID.name:
            # Another capability stands there: its registers mean nothing in this one's place.
            skipped = range(register.offset, _end_of_capability(device.config, register.offset))


def _end_of_capability(config: bytes, offset: int) -> int:
    """Where the next capability in configuration space begins."""
    offsets = [c.offset for c in ConfigSpace(config).capabilities if c.offset > offset]
    return min(offsets, default=pci.CONFIG_SIZE)


def _finding(load: LoadBase, mismatch: Mismatch, stream: bytes, own: bytes) -> Finding:
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
    return replace(
        made,
        severity=Severity.WARNING,
        code=Code.UNDECIDED,
        message=f"{made.message}; {why}",
        evident=mismatch.evident,
    )


def _in_words(mismatch: Mismatch, stream: bytes, own: bytes) -> str:
    register, source, target = mismatch.register, mismatch.source, mismatch.target
    if register.name == CAPABILITY_ID.name:
        names = capability_name(source), capability_name(target)
        return f"capability at {register.offset:#x}: {names[0]}, the target has {names[1]}"
    if register.name in (NEXT_POINTER.name, CAPABILITIES_POINTER.name):
        after = "the capability list begins"
        if register.name == NEXT_POINTER.name:
            after = f"after {capability_name(own[register.offset - 1])} the capability list goes on"
        return f"{after} {_pointed(source, stream)}, in the target {_pointed(target, own)}"
    if register.name == DEVICE_ID_NAME:
        return f"{DEVICE_ID_NAME}: {device_name(stream)}, the target has {device_name(own)}"
    every = (1 << 8 * register.size) - 1
    found = differences(register.name, source, target, every & ~register.free, every)
    return "; ".join(
        f"{each.field}: {each.source}, the target has {_without_unit(each.target, each.source)}"
        for each in found
    )


def _without_unit(words: str, before: str) -> str:
    """`9` for `9 vectors`, where the same unit was just said."""
    number, space, unit = words.partition(" ")
    said = before.partition(" ")[2]
    return number if space and number.isdigit() and unit.rstrip("s") == said.rstrip("s") else words


def _pointed(offset: int, config: bytes) -> str:
    return f"at {capability_at(offset, config)}" if offset else "nowhere"
