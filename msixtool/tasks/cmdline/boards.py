"""Machines that are no PC: the program, the properties and the CPU model that their streams show.

Source: QEMU hw/arm/virt.c, hw/riscv/virt.c, hw/ppc/spapr.c, spapr_irq.c and spapr_caps.c (each capability
that was asked for has a subsection, and the target's must be as high), target/arm/machine.c and
target/ppc/machine.c (cpu_post_load: which CPUs are refused).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msixtool.errors import MsixtoolError
from msixtool.kept import NamedTuple
from msixtool.qemu.processors import arm_levels, arm_model, power_model
from msixtool.qemu.versions import machine_version
from msixtool.tasks.cmdline.machine import FullSections
from msixtool.tasks.fields import read_section

_PVR = 287
"""The special purpose register that holds a POWER processor's version."""
_EVENT_QUEUES = 8
"""Event queues that XIVE has for each CPU that there may be: one a priority."""
_COUNTED_BY_THREADS, _OLD_THREADS = (4, 1), 8
"""Up to this machine type the numbers of CPUs are as far apart as if each had so many threads."""
_CAPABILITY = "spapr/cap/"
_CAPABILITIES = {"hpt_maxpagesize": "hpt-max-page-size", "nested_kvm_hv": "nested-hv"}
_LEVELS = ("broken", "workaround", "fixed")
_GRADED: Mapping[str, tuple[str, ...]] = {
    "cfpc": _LEVELS,
    "sbbc": _LEVELS,
    "ibs": ("broken", "workaround", "fixed-ibs", "fixed-ccd"),
}
"""Capabilities that are not on or off."""


class _Shown(NamedTuple):
    """What a stream shows of a board."""

    options: dict[str, str]
    """Properties of the machine."""
    cpu: str | None = None
    """The CPU, as -cpu has it."""
    cpus: int | None = None
    """How many CPUs there may be."""


class Board(NamedTuple):
    """A machine by the name of its main memory."""

    program: str
    shown: Callable[[FullSections], _Shown] = lambda _: _Shown({})


def _arm(sections: FullSections) -> _Shown:
    options = {}
    kinds, blocks = sections.kinds, {block.idstr for block in sections.dump.index.blocks}
    if "arm_gicv3" in kinds:
        options["gic-version"] = "3"
        if "arm_gicv3_its" not in kinds:
            options["its"] = "off"
    elif "arm_gic" in kinds:
        options["gic-version"] = "2"
    if "smmuv3" in kinds:
        options["iommu"] = "smmuv3"
    if "mach-virt.tag" in blocks:
        options["mte"] = "on"
    if "virt_acpi_build" not in kinds:
        options["acpi"] = "off"
    cpu = _values(sections, "cpu")
    numbers, values = cpu.get("cpreg_vmstate_indexes"), cpu.get("cpreg_vmstate_values")
    if not isinstance(numbers, list) or not isinstance(values, list):
        return _Shown(options)
    registers = dict(zip(numbers, values, strict=False))
    for name, has in zip(("virtualization", "secure"), arm_levels(registers), strict=True):
        if has:
            options[name] = "on"
    if "virt.secure-ram" in blocks:
        options["secure"] = "on"
    return _Shown(options, arm_model(registers))


def _riscv(sections: FullSections) -> _Shown:
    if "riscv_aplic" not in sections.kinds:
        return _Shown({})
    return _Shown({"aia": "aplic-imsic" if "riscv_imsic" in sections.kinds else "aplic"})


def _power(sections: FullSections) -> _Shown:
    options = {}
    old, new = "icp/server" in sections.by_name, "spapr-xive" in sections.kinds
    if new:
        options["ic-mode"] = "dual" if old else "xive"
    else:
        options["ic-mode"] = "xics"
    for name, value in _values(sections, "spapr").items():
        if name.startswith(_CAPABILITY) and isinstance(value, dict) and value:
            options |= _capability(name.removeprefix(_CAPABILITY), next(iter(value.values())))
    registers = _values(sections, "cpu").get("env.spr")
    version = registers[_PVR] if isinstance(registers, list) and len(registers) > _PVR else None
    queues = _values(sections, "spapr-xive").get("endt")
    machine = machine_version(sections.dump.index.machine)
    apart = _OLD_THREADS if machine is not None and machine <= _COUNTED_BY_THREADS else 1
    return _Shown(
        options,
        power_model(version) if isinstance(version, int) else None,
        len(queues) // (_EVENT_QUEUES * apart) if isinstance(queues, list) else None,
    )


def _capability(name: str, value: Any) -> dict[str, str]:
    option = f"cap-{_CAPABILITIES.get(name, name.replace('_', '-'))}"
    if not isinstance(value, int):
        return {}
    if name == "hpt_maxpagesize":
        return {option: str(1 << value)} if value < 64 else {}
    words = _GRADED.get(name, ("off", "on"))
    return {option: words[value]} if value < len(words) else {}


def _values(sections: FullSections, name: str) -> dict[str, Any]:
    """The fields of the first section of this name; none where it cannot be read."""
    items = sections.by_name.get(name)
    try:
        found = read_section(sections.dump, items[0]).values() if items else {}
    except MsixtoolError:
        found = {}
    return found if isinstance(found, dict) else {}


PC = Board("qemu-system-x86_64")

BOARDS: Mapping[str, Board] = {
    "mach-virt.ram": Board("qemu-system-aarch64", _arm),
    "riscv_virt_board.ram": Board("qemu-system-riscv64", _riscv),
    "ppc_spapr.ram": Board("qemu-system-ppc64", _power),
    "s390.ram": Board("qemu-system-s390x"),
    "loongarch.ram": Board("qemu-system-loongarch64"),
}
"""By the name that the machine gives its main memory."""


def board_of(sections: FullSections) -> Board:
    """The board of a stream; a PC where its main memory has none of their names, as a backend's may."""
    machine = str(sections.dump.index.machine)
    found = (BOARDS[block.idstr] for block in sections.dump.index.blocks if block.idstr in BOARDS)
    if (board := next(found, None)) is not None:
        return board
    return BOARDS["ppc_spapr.ram"] if machine.startswith("pseries") else PC
