"""The CPUs of a PC and their local APICs, as far as interrupts are concerned.

Source: formats/interrupts.py. The n-th section `cpu_common`, `cpu` and `apic` in stream order are one CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msixtool.containers.base import Source
from msixtool.errors import FormatError
from msixtool.formats import interrupts, parse
from msixtool.stream.items import Damage, DamageRule, Item, StreamIndex

MAX_CPUS = 1 << 12
"""The most CPUs that are read."""

_HEAD = 512
"""Bytes from the start of a section that are read of it."""
_COMMON, _APIC, _CPU = "cpu_common", "apic", "cpu"


@dataclass(frozen=True, slots=True)
class Apic:
    """A local APIC. `id` is its section's instance_id, which 8 bits need not hold."""

    item: Item = field(repr=False)
    id: int
    enabled: bool
    x2apic: bool
    log_dest: int
    flat: bool
    tpr: int
    requested: tuple[int, ...]
    """The CPU vectors of its request register (IRR), ascending."""
    in_service: tuple[int, ...]
    """Those of its in-service register (ISR)."""

    @property
    def logical_id(self) -> int:
        """What logical destinations name it by; in x2APIC mode a cluster of 16 and a bit."""
        return (self.id >> 4) << 16 | 1 << (self.id & 15) if self.x2apic else self.log_dest


@dataclass(frozen=True, slots=True)
class Cpu:
    """One CPU; None for what the stream does not hold."""

    index: int
    common: Item | None = field(repr=False)
    halted: bool | None
    interrupts: bool | None
    """Whether it takes interrupts: IF of its flags."""
    apic: Apic | None


def read_cpus(source: Source, index: StreamIndex) -> tuple[list[Cpu], list[Damage]]:
    """The CPUs in stream order, and what of them could not be read."""
    sections: dict[str, list[Item]] = {_COMMON: [], _APIC: [], _CPU: []}
    for item in index.full_sections():
        if item.idstr in sections and len(sections[item.idstr]) < MAX_CPUS:
            sections[item.idstr].append(item)
    damage: list[Damage] = []
    cpus = []
    for number in range(max(map(len, sections.values()))):
        common, apic, cpu = (_nth(sections[name], number) for name in (_COMMON, _APIC, _CPU))
        state = _read(source, common, interrupts.CPU_COMMON, damage)
        cpus.append(
            Cpu(
                number,
                common,
                None if state is None else bool(state.halted),
                _interrupts(source, cpu),
                _apic(source, apic, damage),
            )
        )
    return cpus, damage


def guest_time(source: Source, index: StreamIndex) -> int | None:
    """Guest time at which the VM was stopped, in ns; None where the stream does not tell."""
    item = next((item for item in index.full_sections() if item.idstr == "timer"), None)
    state = _read(source, item, interrupts.TIMER, [])
    return None if state is None else int(state.cpu_clock_offset)


def _nth(items: Sequence[Item], number: int) -> Item | None:
    return items[number] if number < len(items) else None


def _read(source: Source, item: Item | None, schema: Any, damage: list[Damage]) -> Any:
    """The head of a section; None where it is not there, or too short."""
    if item is None:
        return None
    data = source.read(item.data_offset, min(item.data_length, _HEAD))
    try:
        return parse(schema, data, what=f"{item.idstr} state", offset=item.data_offset)
    except FormatError as error:
        rule = DamageRule.SECTION_RECORD
        damage.append(Damage.of(error, item.data_offset, rule, item.idstr, item.instance_id))
        return None


def _interrupts(source: Source, item: Item | None) -> bool | None:
    if item is None:
        return None
    fields = () if item.layout is None else item.layout.known_fields
    narrow = bool(fields) and fields[0].size == 4
    state = _read(source, item, interrupts.CPU32_HEAD if narrow else interrupts.CPU64_HEAD, [])
    return None if state is None else bool(state.eflags & interrupts.INTERRUPT_FLAG)


def _apic(source: Source, item: Item | None, damage: list[Damage]) -> Apic | None:
    state = _read(source, item, interrupts.APIC, damage)
    if item is None or state is None:
        return None
    return Apic(
        item,
        item.instance_id or 0,
        bool(state.apicbase & interrupts.APICBASE_ENABLE)
        and bool(state.spurious_vec & interrupts.SPURIOUS_ENABLE),
        bool(state.apicbase & interrupts.APICBASE_X2APIC),
        state.log_dest,
        state.dest_mode == interrupts.FLAT,
        state.tpr,
        _vectors(state.irr),
        _vectors(state.isr),
    )


def _vectors(words: Sequence[int]) -> tuple[int, ...]:
    return tuple(v for v in range(32 * len(words)) if words[v // 32] >> v % 32 & 1)
