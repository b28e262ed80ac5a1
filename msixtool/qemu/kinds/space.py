"""A kind's configuration space, out of what was recorded of it: what is compared, and where things are.

Source: qemu/recorded; PCI Power Management Specification 1.2, section 3.2.4 (PMCSR); PCI Express Base
Specification 3.0, sections 7.8.4 and 7.8.7 (Device and Link Control).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from msixtool.formats.pci import HEADER_SIZE, CapabilityId
from msixtool.qemu.kinds.facts import POWER_ALL, BarShape, Capabilities, PciFunction
from msixtool.qemu.recorded import Record, functions_of


class _CapabilityBits(NamedTuple):
    """A register of a capability, and bits of it."""

    capability: int
    offset: int
    bits: int


_POWER = _CapabilityBits(CapabilityId.PM, 4, POWER_ALL)
_ERRORS = _CapabilityBits(CapabilityId.EXPRESS, 8, 0xF)
_LINK = _CapabilityBits(CapabilityId.EXPRESS, 16, 0xC0)


@lru_cache
def recorded_function(section: str, framebuffer: int | None, *, is_virtio: bool) -> PciFunction:
    """What QEMU compares of a kind, by the section under which it is recorded.

    A BAR whose size goes with the device's properties is as small as it was seen: what is below is compared
    of all. Those of virtio devices follow from their capabilities.
    """
    variants = functions_of(section)
    return PciFunction(
        {} if is_virtio else _bars(variants, framebuffer),
        error_reporting=_free(variants, _ERRORS) == _ERRORS.bits,
        link_control=_free(variants, _LINK) == _LINK.bits,
        power_control=_free(variants, _POWER),
        framebuffer=framebuffer,
        is_virtio=is_virtio,
    )


def _bars(variants: list[Record], framebuffer: int | None) -> dict[int, BarShape]:
    """Those that all variants have."""
    found = [{int(number): BarShape(*bar) for number, bar in variant["bars"].items()} for variant in variants]
    return {
        number: bar._replace(size=min(each[number].size for each in found))
        for number, bar in found[0].items()
        if number != framebuffer and all(number in each for each in found)
    }


def _free(variants: list[Record], field: _CapabilityBits) -> int:
    """Bits of a register that are not compared, of all variants that have it."""
    found = 0
    for variant in variants:
        compared = unpacked(variant["compared"])
        for at in _places(variant, field.capability):
            found |= field.bits & ~_word(compared, at + field.offset)
    return found


def _places(variant: Record, capability: int) -> Iterator[int]:
    return (at for identifier, at in variant["capabilities"] if identifier == capability)


def _word(found: Mapping[int, int], at: int) -> int:
    return found.get(at, 0) | found.get(at + 1, 0) << 8


def fresh_config(variant: Record) -> bytes:
    """The first 64 bytes of a variant's fresh configuration space; zeros where it is not in a stream."""
    found = unpacked(variant["config"])
    return bytes(found.get(at, 0) for at in range(HEADER_SIZE))


def unpacked(runs: Mapping[str, str]) -> dict[int, int]:
    """The bytes of a configuration space that are not 0, out of runs of them as they are recorded."""
    return {
        int(start, 16) + index: byte
        for start, text in runs.items()
        for index, byte in enumerate(bytes.fromhex(text))
    }


@lru_cache
def recorded_layouts(section: str) -> tuple[Capabilities, ...]:
    """Where the capabilities of a kind are, the likeliest first."""
    return tuple(dict.fromkeys(map(_layout, functions_of(section))))


def _layout(variant: Record) -> Capabilities:
    listed, extended = (
        tuple((identifier, at) for identifier, at in variant[name]) for name in ("capabilities", "extended")
    )
    return Capabilities(listed, extended, variant["header"])
