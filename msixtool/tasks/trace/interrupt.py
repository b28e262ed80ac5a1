"""The rows of a trace as values: what an interrupt serves, where it is, what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msixtool.devices.interrupt_route import Route
from msixtool.devices.rings import Ring
from msixtool.tasks.trace.causes import Cause


class Use(StrEnum):
    """What a vector serves."""

    CONFIG = "config"
    QUEUE = "queue"


class InterruptPlace(StrEnum):
    """Where an interrupt is that was sent, or held back."""

    PENDING = "pending"
    REQUESTED = "apic-irr"
    IN_SERVICE = "apic-isr"


class Verdict(StrEnum):
    """What became of an interrupt."""

    IDLE = "idle"
    PENDING = "pending"
    AT_CPU = "at-cpu"
    IN_SERVICE = "in-service"
    LOST = "lost"
    SUSPECT = "suspect"
    STUCK = "stuck"
    UNACCOUNTED = "unaccounted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Interrupt:
    """One row. `vector` is None where what it serves has none; `address` and `data` are None with it."""

    vector: int | None
    use: Use | None
    queue: int | None
    masked: bool
    pending: bool
    address: int | None
    data: int | None
    route: Route
    ring: Ring | None
    owed: bool | None
    where: InterruptPlace | None
    at: tuple[int, ...] = ()
    """The APIC ids where it is requested or in service."""
    verdict: Verdict = Verdict.UNDECIDED
    cause: Cause | None = None
    """What the device's own registers show, of a device that is no virtio."""
    still_waiting: bool | None = None
    """Whether what the driver made available is not taken in a later stream either; None without one."""

    def __repr__(self) -> str:
        return f"<Interrupt: vector {self.vector}, queue {self.queue}, owed {self.owed}: {self.verdict}>"

    @property
    def mark(self) -> int | None:
        """What the driver moves when it has handled one: where it stays, the driver has not moved."""
        if self.ring is not None:
            return self.ring.event
        return None if self.cause is None else self.cause.mark
