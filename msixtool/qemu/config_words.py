"""Registers of PCI configuration space in words: what differs in one, and the names of capabilities.

The registers are those of qemu/config_masks.py, their bit fields those of qemu/config_fields.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.formats import pci
from msixtool.qemu.config_fields import FIELDS, RegisterField
from msixtool.qemu.config_names import capability_name, class_name
from msixtool.qemu.kinds import names_by_ids

_ALIGNED = 0xFC
"""The bits of a pointer of the capability list that count: the others are reserved."""


@dataclass(frozen=True, slots=True)
class RegisterDifference:
    """One field that differs: its name and both values in words.

    `part` says which byte of the register the values are, where no more of it is known.
    """

    field: str
    source: str
    target: str
    part: str = ""


def differences(
    register: str, source: int, target: int, compared: int, known: int
) -> list[RegisterDifference]:
    """What differs in a register, field by field, lowest bits first.

    `compared` has the bits that count; `known` those of which both values are known: of a field that
    reaches beyond them only the known part is shown, unless it says enough.
    """
    rest = (source ^ target) & compared
    every = (1 << 8 * pci.CLASS_CODE.size) - 1
    if register == "class code" and rest and not every & ~known:
        return [RegisterDifference(register, class_name(source), class_name(target))]
    found = []
    for field in FIELDS.get(register, ()):
        if rest & field.mask:
            found.append(_difference(register, field, source, target, known))
            rest &= ~field.mask
    if rest:
        found.append(_partial(register, source, target, known))
    return found


DEVICE_ID_NAME = "device ID"
"""The register whose words take the vendor beside it."""


def device_name(config: bytes, device: int | None = None) -> str:
    """The device ID of a configuration space in words, or another one of the same vendor."""
    number = pci.DEVICE_ID.value(config) if device is None else device
    name = names_by_ids().get(f"{pci.VENDOR_ID.value(config):04x}:{number:04x}")
    return f"{number:#06x} ({name})" if name else f"{number:#06x}"


def _difference(
    register: str, field: RegisterField, source: int, target: int, known: int
) -> RegisterDifference:
    name = f"{register}: {field.name}" if field.name else register
    lowest = field.mask & -field.mask
    if not field.mask & ~known or (field.low_part_tells and known & lowest):
        return RegisterDifference(name, field.words(field.value(source)), field.words(field.value(target)))
    return _partial(name, source & field.mask, target & field.mask, known)


def _partial(name: str, source: int, target: int, known: int) -> RegisterDifference:
    """As far as both values are known: the whole register, or a byte of it."""
    low = (known & -known).bit_length() - 1 >> 3 if known else 0
    digits = max(2, (known >> 8 * low).bit_length() + 7 >> 3 << 1)
    theirs, ours = (f"{(value & known) >> 8 * low:#0{digits + 2}x}" for value in (source, target))
    return RegisterDifference(name, theirs, ours, f", byte {low}" if low else "")


def capability_at(offset: int, config: bytes | None) -> str:
    """Where a pointer of the capability list leads, and to what, where `config` is at hand to say it."""
    name = "" if config is None else f" ({capability_name(config[offset & _ALIGNED])})"
    return f"{offset:#x}{name}"
