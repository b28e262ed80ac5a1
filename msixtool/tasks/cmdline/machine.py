"""Machine, memory, processors and firmware of a command line.

Source: QEMU hw/i386/pc.c, pc_piix.c, pc_q35.c, microvm.c, x86.c (x86_cpu_apic_id_from_index), hw/core/numa.c,
hw/acpi/cpu.c and memory_hotplug.c (an element of the state for each possible CPU and slot).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from msixtool.dump import OpenDump
from msixtool.formats.idstr import Idstr
from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Version
from msixtool.ram.memory_map import CMOS_SIZE, GIB, MAIN_MEMORY, MIB, backends, told_by_cmos
from msixtool.stream.items import Item, RamBlock
from msixtool.tasks.cmdline.words import Words, is_id, joined, size_text

SEABIOS = 256 << 10
"""Bytes of the firmware that QEMU brings along for a PC."""
_MOST_SIDES = 16
"""The most blocks whose sums are tried for main memory."""
_MOST_SLOTS = 256
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")


class FullSections(NamedTuple):
    """What of a stream is asked for here: sections by idstr, and the names of kinds."""

    dump: OpenDump
    by_name: dict[str, list[Item]]
    kinds: frozenset[str]

    @classmethod
    def of(cls, dump: OpenDump) -> FullSections:
        """Those of a stream."""
        by_name: dict[str, list[Item]] = {}
        for item in dump.index.full_sections():
            by_name.setdefault(str(item.idstr), []).append(item)
        return cls(dump, by_name, frozenset(Idstr(name).kind for name in by_name))

    def instances(self, name: str) -> list[int]:
        """The instance ids of the sections of this name, ascending."""
        return sorted(item.instance_id or 0 for item in self.by_name.get(name, ()))


class Power(NamedTuple):
    """What the state of ACPI tells: rows for possible CPUs, for memory slots; None where it has none."""

    cpus: int | None
    slots: int | None


def machine_options(sections: FullSections, version: Version, q35: bool) -> dict[str, str]:
    """The properties of the machine that the stream shows, by what it has not."""
    options: dict[str, str] = {}
    kinds = sections.kinds
    if "hpet" not in kinds and version >= (5, 2):
        options["hpet"] = "off"
    if "pckbd" not in kinds and "apic" in kinds:
        options["i8042"] = "off"
    elif "vmmouse" not in kinds:
        options["vmport"] = "off"
    if "i8254" not in kinds:
        options["pit"] = "off"
    if q35 and "ich9_ahci" not in kinds:
        options["sata"] = "off"
    if q35 and "ich9_smb" not in kinds:
        options["smbus"] = "off"
    if not q35 and "piix4_pm" not in kinds:
        options["acpi"] = "off"
    return options


def microvm_options(sections: FullSections, version: Version) -> dict[str, str]:
    """The same for microvm, which has little unless it is asked for."""
    kinds = sections.kinds
    options = {
        name: "off"
        for name, section in (
            ("acpi", "acpi-ged"),
            ("rtc", "mc146818rtc"),
            ("pit", "i8254"),
            ("pic", "i8259"),
        )
        if section not in kinds
    }
    options |= {name: "on" for name, kind in (("pcie", "PCIHost"), ("usb", "xhci-sysbus")) if kind in kinds}
    if version >= (6, 0) and "acpi-ged" in kinds and len(sections.by_name.get("ioapic", ())) == 1:
        options["ioapic2"] = "off"
    return options


def add_memory(
    words: Words, machine: dict[str, str], sections: FullSections, power: Power, taken: set[str]
) -> list[RamBlock]:
    """-m, backends and NUMA nodes: the blocks that are left. `taken` are the backends of other devices."""
    blocks = [block for block in backends(sections.dump.index.blocks) if block.idstr not in taken]
    default = [b for b in sections.dump.index.blocks if b.idstr in MAIN_MEMORY]
    total = _total(sections)
    main = default or _numbered(_adding_up(blocks, total))
    size = sum(block.used_length for block in main) or total or 128 * MIB
    used = {block.idstr for block in main}
    dimms = _numbered([block for block in blocks if block.idstr not in used])
    memory = {"size": size_text(size)}
    slots = max(len(dimms), power.slots or 0)
    if slots:
        more = sum(-(-block.used_length // GIB) + 1 for block in dimms) or slots
        memory |= {"slots": str(min(slots, _MOST_SLOTS)), "maxmem": size_text((-(-size // GIB) + more) * GIB)}
        words.note("-m", "maxmem is a guess: it is not in the stream")
    words.add("-m", joined("", memory))
    if not default:
        _add_main(words, machine, main, sections)
    if not main:
        words.note("-m", "which RAM is main memory is not known")
    return dimms


def add_dimms(words: Words, dimms: Sequence[RamBlock]) -> None:
    """Memory that is plugged. Devices with an address of their own in that memory come before it."""
    for block in dimms:
        name = _backend(words, block)
        words.add("-device", joined("pc-dimm", {"id": words.id("dimm"), "memdev": name}))
        words.note(
            "-device", f"memory {name}: a DIMM or an NVDIMM, at which address; the stream does not tell"
        )


def _add_main(
    words: Words, machine: dict[str, str], main: Sequence[RamBlock], sections: FullSections
) -> None:
    if len(main) == 1:
        machine["memory-backend"] = _backend(words, main[0])
        return
    cpus = len(sections.by_name.get("cpu_common", ())) or 1
    for node, block in enumerate(main):
        first, last = node * cpus // len(main), (node + 1) * cpus // len(main) - 1
        where = {"nodeid": str(node)} | ({"cpus": f"{first}-{last}"} if last >= first else {})
        words.add("-numa", joined("node", where | {"memdev": _backend(words, block)}))
    if main:
        words.note("-numa", "which CPU is in which node, and the nodes' order, are not in the stream")


def _numbered(blocks: list[RamBlock]) -> list[RamBlock]:
    """Ordered by the numbers at the end of their names, where those differ in nothing else, as libvirt's do:
    a stream has them by size."""
    found = [_NUMBERED.fullmatch(block.idstr) for block in blocks]
    if None in found or len({each[1] for each in found if each}) > 1:
        return blocks
    numbers = {block.idstr: int(each[2]) for block, each in zip(blocks, found, strict=True) if each}
    return sorted(blocks, key=lambda block: numbers[block.idstr])


def _backend(words: Words, block: RamBlock) -> str:
    name = block.named.kind
    if not is_id(name) or name in words.ids:
        words.note("-object", f"a RAM block {name!r} cannot be the id of a backend")
        name = words.id("ram")
    words.ids.add(name)
    words.add("-object", joined("memory-backend-ram", {"id": name, "size": size_text(block.used_length)}))
    return name


def _total(sections: FullSections) -> int | None:
    """Bytes of main memory, as the firmware is told in CMOS."""
    for item in sections.by_name.get("mc146818rtc", ()):
        if item.data_length >= CMOS_SIZE:
            return sum(told_by_cmos(sections.dump.source.read(item.data_offset, CMOS_SIZE)))
    return None


def _adding_up(blocks: Sequence[RamBlock], total: int | None) -> list[RamBlock]:
    """The blocks whose sizes add up to main memory: one if one does, else the first ones that do."""
    for block in blocks:
        if block.used_length == total:
            return [block]
    if total is None or len(blocks) > _MOST_SIDES:
        return list(blocks)
    for chosen in sorted(range(1 << len(blocks)), key=int.bit_count):
        some = [block for index, block in enumerate(blocks) if chosen >> index & 1]
        if some and sum(block.used_length for block in some) == total:
            return some
    return list(blocks)


class Topology(NamedTuple):
    """`smp` and the CPUs plugged beside the first ones, as (socket, core, thread)."""

    smp: dict[str, str]
    plugged: list[tuple[int, int, int]]
    fits: bool


def topology(present: Sequence[int], possible: int | None) -> Topology:
    """The plainest topology whose APIC ids include those of the CPUs that are there, ascending."""
    ids = list(present) or [0]
    most = max(possible or 0, len(ids))
    for sockets, cores, threads in _topologies(ids, most, exact=possible is not None):
        places = list(product(range(sockets), range(cores), range(threads)))
        numbers = [_apic_id(place, cores, threads) for place in places]
        if set(ids) <= set(numbers):
            first = next((n for n, number in enumerate(numbers) if number not in ids), len(numbers))
            plugged = [places[numbers.index(number)] for number in ids if numbers.index(number) >= first]
            shape = {"sockets": sockets, "cores": cores, "threads": threads, "maxcpus": len(numbers)}
            return Topology({"": str(first)} | {name: str(n) for name, n in shape.items()}, plugged, True)
    return Topology({"": str(len(ids)), "maxcpus": str(most)}, [], False)


def _topologies(ids: Sequence[int], most: int, *, exact: bool) -> Iterator[tuple[int, int, int]]:
    """(sockets, cores, threads), of `most` CPUs first, all in sockets of their own first."""
    plain = ids == list(range(len(ids)))
    for total in range(most, most + 1 if exact or plain else max(ids) + 2):
        for threads in range(1, min(total, 8) + 1):
            for cores in range(1, total // threads + 1):
                if total % (threads * cores) == 0:
                    yield total // (threads * cores), cores, threads


def _apic_id(place: tuple[int, int, int], cores: int, threads: int) -> int:
    low = (threads - 1).bit_length()
    return (place[0] << (cores - 1).bit_length() + low) | place[1] << low | place[2]


def power_of(value: Any) -> Power:
    """Rows of ACPI's hot-plug state; `value` looks a field up in its section."""
    cpus, memory = value("cpuhp_state/devs"), value("acpi_memory_hotplug/devs")
    return Power(
        len(cpus) if isinstance(cpus, list) else None, len(memory) if isinstance(memory, list) else None
    )
