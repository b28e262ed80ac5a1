"""What is to be thought of an interrupt: the rules that tell a lost one from one that is on its way.

A handler that has taken an interrupt leaves no trace of it, so that one which is owed and nowhere is
lost only where no CPU runs, or where the driver has not moved a second later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msixtool.kept import NamedTuple
from msixtool.qemu.kinds import kind_of
from msixtool.tasks.trace.interrupt import Interrupt, InterruptPlace, Verdict

if TYPE_CHECKING:
    from msixtool.devices.cpus import Cpu
    from msixtool.devices.device import MsixDevice

SECOND = 1_000_000_000
"""Guest time in ns that lies between two streams before the second one decides."""


LOSING = (Verdict.LOST, Verdict.STUCK)
"""What brings the exit status 1."""

_PLACES = {
    InterruptPlace.PENDING: Verdict.PENDING,
    InterruptPlace.REQUESTED: Verdict.AT_CPU,
    InterruptPlace.IN_SERVICE: Verdict.IN_SERVICE,
}


class _Key(NamedTuple):
    name: str
    instance: int
    queue: int | None


@dataclass(frozen=True, slots=True)
class Later:
    """The queues of a stream that was taken at least a second later."""

    rows: dict[_Key, Interrupt]

    @classmethod
    def of(cls, devices: Sequence[MsixDevice], rows: Sequence[Sequence[Interrupt]]) -> Later:
        """The rows of each of `devices`."""
        return cls(
            {
                _Key(device.name, device.instance, row.queue): row
                for device, each in zip(devices, rows, strict=True)
                for row in each
                if row.queue is not None
            }
        )

    def still_waiting(self, device: MsixDevice, row: Interrupt) -> bool | None:
        """Whether requests wait for the device in both, and it has taken none; None where nothing tells."""
        then = self.rows.get(_Key(device.name, device.instance, row.queue))
        if not device.has_requests or row.ring is None or then is None or then.ring is None:
            return None
        if row.ring.waiting is None or then.ring.waiting is None:
            return None
        return bool(row.ring.waiting and then.ring.waiting and row.ring.taken == then.ring.taken)

    def unmoved(self, device: MsixDevice, row: Interrupt) -> Interrupt | None:
        """The same queue later, where it is owed its interrupt at the same event still."""
        then = self.rows.get(_Key(device.name, device.instance, row.queue))
        if then is None or not (row.owed and then.owed) or row.mark is None:
            return None
        return then if row.mark == then.mark else None


def judge(
    device: MsixDevice, rows: Sequence[Interrupt], cpus: Sequence[Cpu], later: Later | None
) -> list[Interrupt]:
    """The rows of a device with their verdicts."""
    return [
        replace(
            row,
            verdict=_verdict(device, row, cpus, later),
            still_waiting=None if later is None else later.still_waiting(device, row),
        )
        for row in rows
    ]


def _verdict(device: MsixDevice, row: Interrupt, cpus: Sequence[Cpu], later: Later | None) -> Verdict:
    then = None if later is None else later.unmoved(device, row)
    if row.where is not None:
        stuck = then is not None and row.at and then.where == row.where and set(then.at) & set(row.at)
        return Verdict.STUCK if stuck else _PLACES[row.where]
    if row.owed is None:
        return Verdict.UNDECIDED
    if not row.owed:
        return Verdict.IDLE
    if row.route.note is not None:
        return Verdict.LOST
    if _is_transmit(device, row):
        return Verdict.UNACCOUNTED
    if then is not None and then.where is None:
        return Verdict.LOST
    return _by_cpus(row, cpus)


def _by_cpus(row: Interrupt, cpus: Sequence[Cpu]) -> Verdict:
    """Of an interrupt that is owed and nowhere, by which CPUs could be at work on it."""
    halted = {cpu.apic.id: cpu.halted for cpu in cpus if cpu.apic is not None}
    if not row.route.cpus or not all(halted.get(each) for each in row.route.cpus):
        return Verdict.UNACCOUNTED
    return Verdict.LOST if all(cpu.halted for cpu in cpus) else Verdict.SUSPECT


def _is_transmit(device: MsixDevice, row: Interrupt) -> bool:
    """Whether it is a queue that Linux may stop listening to without saying so."""
    return kind_of(device.kind).paired and row.queue is not None and row.queue % 2 == 1
