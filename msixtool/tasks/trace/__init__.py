"""Where is the interrupt: each one from its cause to its CPU, at the moment of a stream.

`trace` reads the rings in guest memory, the devices' indices, the MSI-X tables, the interrupt remapping
table and each CPU's APIC; `judge` gives the verdicts, with a later stream of the same VM where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msixtool.devices.cpus import Cpu, guest_time, read_cpus
from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.tasks.trace.follow import Follower
from msixtool.tasks.trace.interrupt import Interrupt, Verdict
from msixtool.tasks.trace.verdict import LOSING, SECOND, Later, judge

__all__ = ["Interrupt", "Trace", "Traced", "Verdict", "trace"]


@dataclass(frozen=True, slots=True)
class Traced:
    """One device and its interrupts."""

    device: MsixDevice
    interrupts: tuple[Interrupt, ...]

    def __repr__(self) -> str:
        return f"<Traced {self.device.name[:60]!r}: {len(self.interrupts)} interrupts>"


@dataclass(frozen=True, slots=True)
class Trace:
    """All that was followed. `missing` says what of guest memory the stream does not hold, `damage` what
    contradicts the formats; `later_note` why a later stream did not decide, `later_damage` is that one's."""

    cpus: tuple[Cpu, ...]
    devices: tuple[Traced, ...]
    missing: tuple[str, ...]
    damage: tuple[str, ...]
    later_note: str | None = None
    later_damage: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Trace: {len(self.devices)} devices, {len(self.lost)} lost>"

    @property
    def lost(self) -> list[tuple[MsixDevice, Interrupt]]:
        """The interrupts that will not come, or do not get through."""
        return self._with(*LOSING)

    @property
    def suspects(self) -> list[tuple[MsixDevice, Interrupt]]:
        """Those of which a second stream decides."""
        return self._with(Verdict.SUSPECT)

    def _with(self, *verdicts: Verdict) -> list[tuple[MsixDevice, Interrupt]]:
        return [(t.device, row) for t in self.devices for row in t.interrupts if row.verdict in verdicts]


def trace(
    dump: OpenDump, pattern: str | None = None, *, vector: int | None = None, later: OpenDump | None = None
) -> Trace:
    """Follow every interrupt of the devices that `pattern` names, of `vector` alone where it is given.

    `later` is a stream of the same VM some time on. Raises UsageError where nothing matches.
    """
    chosen = dump.select(pattern)
    cpus, damage = read_cpus(dump.source, dump.index)
    follower = Follower(dump, cpus)
    found = follower.follow(chosen)
    if vector is not None:
        _check_vector(dump, vector, chosen, found)
    second, note, broken = (None, None, ()) if later is None else _later(dump, later)
    devices = []
    for device, rows in zip(chosen, found, strict=True):
        judged = judge(device, rows, cpus, second)
        kept = tuple(row for row in judged if vector is None or row.vector == vector)
        devices.append(Traced(device, kept))
    missing = [*dump.memory.missing, *follower.missing]
    told = _damage(dump, damage, follower)
    return Trace(tuple(cpus), tuple(devices), tuple(missing), told, note, broken)


def _check_vector(
    dump: OpenDump, vector: int, chosen: Sequence[MsixDevice], found: Sequence[Sequence[Interrupt]]
) -> None:
    """Raises UsageError where no device has the vector, and no queue asks for it."""
    most = max((device.vectors for device in chosen), default=0)
    if vector >= most and not any(row.vector == vector for rows in found for row in rows):
        raise dump.lacks(f"no vector {vector}", expected=f"0 to {most - 1}" if most else None)


def _damage(dump: OpenDump, of_cpus: Sequence[object], follower: Follower | None = None) -> tuple[str, ...]:
    """What contradicts the formats in what was read of a stream, each thing once."""
    of_rings = () if follower is None else follower.damage
    told = (*map(str, (*dump.damage, *of_cpus, *dump.memory.damage)), *of_rings)
    return tuple(dict.fromkeys(told))


def _later(dump: OpenDump, later: OpenDump) -> tuple[Later | None, str | None, tuple[str, ...]]:
    """The rows of the second stream by device and queue, or why they decide nothing; and its damage."""
    before, after = (guest_time(each.source, each.index) for each in (dump, later))
    if before is None or after is None:
        note = "the later stream decides nothing: guest time is not in both streams"
        return None, note, _damage(later, ())
    if after - before < SECOND:
        gap = (after - before) / SECOND
        note = f"the later stream decides nothing: expected 1 s of guest time between them, found {gap:.3f} s"
        return None, note, _damage(later, ())
    cpus, damage = read_cpus(later.source, later.index)
    follower = Follower(later, cpus)
    rows = follower.follow(later.devices)
    return Later.of(later.devices, rows), None, _damage(later, damage, follower)
