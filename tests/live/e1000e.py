"""The registers of an e1000e (Intel 82574L) that make it notify MSI-X vectors.

Source: Intel 82574 GbE Controller Family Datasheet, sections 7.1.2.2 (IVAR) and 10.2.4 (interrupt registers).
"""

from __future__ import annotations

from .guest import Guest
from .pci import Function

CTRL, CTRL_RST = 0x0000, 1 << 26
ICS, IMS, IMC, IVAR = 0x00C8, 0x00D0, 0x00D8, 0x00E4
ALL = 0xFFFFFFFF

IDS = (0x8086, 0x10D3)
CAUSES = tuple(1 << bit for bit in range(20, 25))
"""Interrupt causes that IVAR gives a vector each: receive queues 0 and 1, transmit queues 0 and 1, other."""


class E1000e:
    """Makes the device notify any of its five vectors, without a packet."""

    def __init__(self, guest: Guest, function: Function) -> None:
        self._guest = guest
        self._base = function.bar_address(0)

    @classmethod
    def find(cls, guest: Guest) -> E1000e:
        """The guest's first e1000e, whose BARs must be placed."""
        return cls(guest, next(function for function in guest.functions() if function.ids == IDS))

    def notify(self, *vectors: int, settle: bool = True) -> None:
        """Raise a cause of its own for each of these vectors: the device calls msix_notify once for each.

        `settle` makes the device ready to do so again at once.
        """
        self._write(IVAR, sum((8 | vector) << 4 * place for place, vector in enumerate(vectors)))
        causes = sum(CAUSES[: len(vectors)])
        self._write(IMS, causes)
        self._write(ICS, causes)
        if settle:
            self._settle()

    def _settle(self) -> None:
        """End the causes and the interrupt moderation, which holds back a vector notified just before.

        Up to QEMU 7.2 the timers of moderation outlive a software reset and must expire; from 8.0 on
        one that expires notifies again, and the reset ends it. None of this touches MSI-X.
        """
        self._write(IMC, ALL)
        self._write(CTRL, CTRL_RST)
        self._guest.tick()

    def _write(self, register: int, value: int) -> None:
        self._guest.qtest.store(self._base + register, value, 4)
