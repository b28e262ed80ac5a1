"""`Bad config data`: which register the byte is in, and what its two values mean.

Source: QEMU hw/pci/pci.c, get_pci_config_device. With the stream at hand the device's own
capability lists say it; without it, the kind of the device and where such devices have their capabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msixtool.formats import pci
from msixtool.formats.idstr import Idstr
from msixtool.qemu import advice
from msixtool.qemu.config_masks import CAPABILITIES_POINTER, CAPABILITY_ID, NEXT_POINTER
from msixtool.qemu.config_names import capability_name
from msixtool.qemu.config_places import PlacedRegister, place_at
from msixtool.qemu.config_words import (
    DEVICE_ID_NAME,
    RegisterDifference,
    capability_at,
    device_name,
    differences,
)
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Capabilities
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.evidence import NOBODY, Holders, StreamAtHand, layout_of
from msixtool.tasks.finding import Code, Finding

_VIRTIO = "virtio-"
"""What a device is taken for where no message names it: most of those with MSI-X are virtio."""


@dataclass(frozen=True, slots=True)
class _Byte:
    """A byte that differs; `config` is the whole configuration space in the stream, where it is at hand."""

    offset: int
    source: int
    target: int
    compared: int
    config: bytes | None

    def register(self, place: PlacedRegister) -> tuple[int, int, int]:
        """The register's value in the stream and in the target, and the bits of both that are known."""
        shift = 8 * (self.offset - place.register.offset)
        if self.config is None:
            return self.source << shift, self.target << shift, 0xFF << shift
        own = place.register.value(self.config)
        every = (1 << 8 * place.register.size) - 1
        return own, own & ~(0xFF << shift) | self.target << shift, every


def bad_config_data(case: Case) -> Finding:
    """What one `Bad config data` message means."""
    offset = int(case.value("offset"), 16)
    section = case.section
    candidates = NOBODY
    if section is None and case.evidence is not None:
        candidates = case.evidence.with_byte(offset, case.source)
        section = candidates.names[0] if candidates.number == 1 else None
    config, mismatch = _config(case.evidence, section, offset, case.source)
    byte = _Byte(offset, case.source, case.target, _compared(case), config)
    place, doubt = _place(section, byte)
    message = _message(byte, place, section, doubt)
    return Finding(
        Code.CONFIG_MISMATCH,
        message + mismatch + _by_byte(candidates),
        section,
        case.instance,
        _field(byte, place),
        offset,
        case.source,
        case.target,
        _advice(byte, place, section),
    )


def _by_byte(candidates: Holders) -> str:
    """Whose byte it may be by the stream, where no message names the device."""
    if not candidates.number:
        return ""
    if candidates.number == 1:
        return (
            f" No message names the device; of the stream's only {candidates.names[0]} has this byte there."
        )
    left = candidates.number - len(candidates.names)
    more = f" and {left} more" if left else ""
    return f" In the stream these have this byte there: {', '.join(candidates.names)}{more}."


def _compared(case: Case) -> int:
    """The bits of the byte that QEMU compared, by the masks in the message; all where it is cut off."""
    masks = [int(case.value(name) or default, 16) for name, default in _MASKS]
    return masks[0] & ~masks[1] & ~masks[2] or 0xFF


_MASKS = (("cmask", "ff"), ("wmask", "0"), ("w1cmask", "0"))


def _config(
    evidence: StreamAtHand | None, section: str | None, offset: int, source: int
) -> tuple[bytes | None, str]:
    """The configuration space that the stream has of the section, and what is odd about it."""
    config = evidence.config(section) if evidence and section else None
    if config is None or offset >= len(config):
        why = f" The stream given has no {section} with such a byte." if evidence and section else ""
        return None, why
    if config[offset] != source:
        return None, (f" The stream given is not the one that failed: it has {config[offset]:#04x} there.")
    return config, ""


def _place(section: str | None, byte: _Byte) -> tuple[PlacedRegister | None, str]:
    """The register, and in words why it might be another."""
    kind = None if section is None else Idstr(section).kind
    if byte.config is not None:
        return place_at(byte.offset, layout_of(byte.config), kind, byte.config), ""
    for layout in _likely(section):
        place = place_at(byte.offset, layout, kind or _VIRTIO)
        if place is not None:
            return place, _doubt(byte, layout, kind)
    return None, ""


def _likely(section: str | None) -> tuple[Capabilities, ...]:
    """The layouts that a device may have, the likeliest first: one behind a port has PCI Express."""
    if section is None:
        return kind_of(_VIRTIO).capabilities
    found = kind_of(section).capabilities
    if Idstr(section).is_behind_port and len(found) > 1:
        return tuple(sorted(found, key=lambda layout: not _is_express(layout)))
    return found


def _is_express(layout: Capabilities) -> bool:
    return any(identifier == pci.CapabilityId.EXPRESS for identifier, _ in layout.listed)


def _doubt(byte: _Byte, layout: Capabilities, kind: str | None) -> str:
    if kind is None:
        return (
            " No message names the device: it is taken for a virtio device; --stream tells for sure."
            if byte.offset >= pci.HEADER_SIZE
            else ""
        )
    if byte.offset < pci.HEADER_SIZE:
        return ""
    return f" That goes by where devices of the kind {kind} have it as a rule; --stream tells for sure."


def _message(byte: _Byte, place: PlacedRegister | None, section: str | None, doubt: str) -> str:
    whose = section or "a device"
    where = f"Byte {byte.offset:#x} of the configuration space of {whose}"
    if place is None:
        return f"{where} is {byte.source:#04x} in the stream and {byte.target:#04x} in the target."
    found = _differences(byte, place) or [RegisterDifference(place.name, hex(byte.source), hex(byte.target))]
    told = "; ".join(f"{d.field}{d.part}: {d.source} in the stream, {d.target} in the target" for d in found)
    if place.base is None:
        part = "is in the header"
    else:
        part = f"is in the {place.capability} capability at {place.base:#x}"
    return f"{told}. {where} {part}.{doubt}"


def _field(byte: _Byte, place: PlacedRegister | None) -> str | None:
    found = _differences(byte, place) if place else []
    return found[0].field if found else None


def _differences(byte: _Byte, place: PlacedRegister) -> list[RegisterDifference]:
    source, target, known = byte.register(place)
    if place.register.name == CAPABILITY_ID.name:
        return [RegisterDifference(place.name, capability_name(source), capability_name(target))]
    if place.register.name in (NEXT_POINTER.name, CAPABILITIES_POINTER.name):
        return [RegisterDifference(place.name, _pointer(source, byte.config), _pointer(target, None))]
    if place.register.name == DEVICE_ID_NAME and byte.config is not None:
        names = (device_name(byte.config, value) for value in (source, target))
        return [RegisterDifference(place.name, *names)]
    compared = byte.compared << 8 * (byte.offset - place.register.offset)
    own = place.register.name
    found = differences(own, source, target, compared, known)
    return [replace(d, field=place.name + d.field.removeprefix(own)) for d in found]


def _pointer(offset: int, config: bytes | None) -> str:
    return capability_at(offset, config) if offset else "0 (the end of the list)"


def _advice(byte: _Byte, place: PlacedRegister | None, section: str | None) -> str | None:
    if place is None or section is None:
        return None
    source, target, _ = byte.register(place)
    return advice.on_register(place.register.name, Idstr(section).kind, source, target)
