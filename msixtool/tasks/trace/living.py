"""A running VM instead of a stream: its devices, and of its memory only the rings and remapping tables.

Which those are is seen in device state, so that the guest stands as long for a terabyte as for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from msixtool.devices.cpus import read_cpus
from msixtool.dump import OpenDump
from msixtool.ram.looked_at import LookedAt, Span
from msixtool.tasks.capture import Address, Captured, Moment, VmStream, moments
from msixtool.tasks.trace.follow import Follower
from msixtool.words import plural


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at a VM. `left_out` says what was not read of its memory, None for nothing."""

    dump: OpenDump
    captured: Captured
    left_out: str | None


@contextmanager
def looks(
    address: Address, pattern: str | None = None, *, waits: tuple[float, ...] = ()
) -> Iterator[list[Looked]]:
    """Look at a VM now, and again after each of `waits` seconds: dumps to be given to `trace`.

    Raises InputError where there is no VM, or its QEMU refuses; UsageError where no device matches.
    """

    def wanted(stream: VmStream) -> list[Span]:
        with OpenDump.open(stream) as dump:
            memory = dump.memory = LookedAt(dump.source, dump.index)
            Follower(dump, read_cpus(dump.source, dump.index)[0]).follow(dump.select(pattern))
            return list(memory.wanted)

    with ExitStack() as opened:
        found = moments(address, wanted, waits)
        for each in found:
            opened.enter_context(each.stream)
        yield [_looked(opened.enter_context(OpenDump.open(each.stream)), each) for each in found]


def _looked(dump: OpenDump, moment: Moment) -> Looked:
    dump.memory = LookedAt(dump.source, dump.index, moment.pieces)
    left_out = None
    if moment.left_out:
        left_out = (
            f"{plural(moment.left_out, 'piece')} of guest memory: moved while they were read, or cannot be "
            "read (--device chooses, --ram captures all)"
        )
    return Looked(dump, moment.captured, left_out)
