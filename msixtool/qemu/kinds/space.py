"""A kind's configuration space, out of what was recorded of it: what is compared, and where things are.

Source: qemu/recorded; PCI Power Management Specification 1.2, section 3.2.4 (PMCSR); PCI Express Base
Specification 3.0, sections 7.8.4 and 7.8.7 (Device and Link Control).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msixtool.formats.pci import HEADER_SIZE, CapabilityId, Register
from msixtool.qemu.kinds.facts import (
    EXPRESS_ERRORS,
    EXPRESS_LINK,
    POWER_ALL,
    BarShape,
    Capabilities,
    PciFunction,
)
from msixtool.qemu.recorded import Record, functions_of


@lru_cache
def recorded_function(section: str, framebuffer: int | None, *, is_virtio: bool) -> PciFunction:
    """What QEMU compares of a kind, by the section under which it is recorded.

    A BAR whose size goes with the device's properties is as small as it was seen: what is below is compared
    of all. Those of virtio devices follow from their capabilities.
    """
    from msixtool.formats.capabilities import EXPRESS_1, POWER, capability_registers  # slow to make

    variants, express = functions_of(section), capability_registers(EXPRESS_1)
    errors = _free(variants, CapabilityId.EXPRESS, express["Device Control"])
    link = _free(variants, CapabilityId.EXPRESS, express["Link Control"])
    power = _free(variants, CapabilityId.PM, capability_registers(POWER)["Power Management Control/Status"])
    return PciFunction(
        {} if is_virtio else _bars(variants, framebuffer),
        error_reporting=errors & EXPRESS_ERRORS == EXPRESS_ERRORS,
        link_control=link & EXPRESS_LINK == EXPRESS_LINK,
        power_control=power & POWER_ALL,
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


def _free(variants: list[Record], capability: int, register: Register) -> int:
    """Bits of a register of a capability that are not compared, of all variants that have it."""
    found = 0
    for variant in variants:
        compared = unpacked(variant["compared"])
        for at in (
            at + register.offset for identifier, at in variant["capabilities"] if identifier == capability
        ):
            found |= ~(compared.get(at, 0) | compared.get(at + 1, 0) << 8)
    return found


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
