"""CPU models by what their registers say, for machines whose streams hold those registers.

Source: QEMU target/arm/tcg/cpu64.c and target/arm/helper.c (el3_no_el2_cp_reginfo), target/arm/kvm-consts.h
(numbers of registers), target/ppc/cpu-models.h (processor versions); streams of 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_MEMORY_MODEL, _INSTRUCTIONS, _MEMORY_MODEL_32 = 0x603000000013C038, 0x603000000013C030, 0x603000000013C00C
"""ID_AA64MMFR0_EL1, ID_AA64ISAR0_EL1, ID_MMFR0_EL1 among the coprocessor registers of a stream."""
_HYPERVISOR, _MONITOR = 0x603000000013E088, 0x603000000013F088
"""HCR_EL2 and SCR_EL3: CPUs that have those exception levels have them."""
_NO_HYPERVISOR = 0x40200000000F08A1
"""HCR among the secure registers: it is there where level 3 is, and level 2 is not."""
_VERSION_32 = 0x40200000200F0000
"""MIDR of a CPU without a 64-bit state."""

_ARM = {
    (0x101122, 0x11120, 0x10201105): "cortex-a35",
    (0x1122, 0x11120, 0x10101105): "cortex-a53",
    (0x1124, 0x11120, 0x10101105): "cortex-a57",
    (0x1124, 0x11120, 0x10201105): "cortex-a72",
    (0x101122, 0x100010211120, 0x10201105): "cortex-a76",
    (0x101125, 0x10100010211120, 0x10201105): "cortex-a78ae",
    (0x22200101122, 0x0221111110212120, 0x10201105): "cortex-a710",
    (0x1122, 0x10211120, 0x0): "a64fx",
    (0x101125, 0x100010211120, 0x10201105): "neoverse-n1",
    (0x101125, 0x1011111110212120, 0x10201105): "neoverse-v1",
    (0x22200101125, 0x1221111110212120, 0x10201105): "neoverse-n2",
}
_ARM_32 = {0xC07: "cortex-a7", 0xC0F: "cortex-a15"}
"""By the part number of MIDR, bits 15 to 4."""

_POWER = {
    0x004B0201: "power8e_v2.1",
    0x004D0200: "power8_v2.0",
    0x004C0100: "power8nvl_v1.0",
    0x004E1200: "power9_v2.0",
    0x004E1202: "power9_v2.2",
    0x00801200: "power10_v2.0",
    0x003F0203: "power7_v2.3",
    0x004A0201: "power7+_v2.1",
    0x00821200: "power11_v2.0",
}
"""By the processor version register."""

_SWITCHED_ON: Mapping[str, Mapping[int, str]] = {
    "env.efer": {10: "lm", 11: "nx", 12: "svm"},
    "env.cr[4]": {
        5: "pae",
        12: "la57",
        13: "vmx",
        14: "smx",
        16: "fsgsbase",
        17: "pcid",
        18: "xsave",
        20: "smep",
        21: "smap",
        22: "pku",
    },
    "env.xcr0": {2: "avx", 5: "avx512f", 9: "pku", 18: "amx-tile"},
}
"""Features of x86 a guest has to switch on, by the field that has the bit [SDM, 2.2.1, 2.5, 2.6]."""


def switched_on(value: Callable[[str], object]) -> list[str]:
    """The features that a guest has switched on, as -cpu calls them; `value` gives a field of `cpu`."""
    found: dict[str, None] = {}
    for name, bits in _SWITCHED_ON.items():
        number = value(name)
        if isinstance(number, int):
            found |= {feature: None for bit, feature in bits.items() if number >> bit & 1}
    return list(found)


def arm_model(registers: Mapping[int, int]) -> str:
    """The model with these coprocessor registers; `max` for one that is not known."""
    if _VERSION_32 in registers:
        return _ARM_32.get(registers[_VERSION_32] >> 4 & 0xFFF, "max")
    seen = tuple(registers.get(number, 0) for number in (_MEMORY_MODEL, _INSTRUCTIONS, _MEMORY_MODEL_32))
    return _ARM.get(seen, "max")  # type: ignore[arg-type]


def arm_levels(registers: Mapping[int, int]) -> tuple[bool, bool]:
    """Whether an Arm CPU has exception levels 2 and 3."""
    return _HYPERVISOR in registers and _NO_HYPERVISOR not in registers, _MONITOR in registers


def power_model(version: int) -> str | None:
    """The model with this processor version; None for one that is not known."""
    return _POWER.get(version)
