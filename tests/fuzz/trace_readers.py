"""Rings, APICs and remapping tables by chance: streams of guests, changed where trace looks."""

from __future__ import annotations

import io
import lzma
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from msixtool import Dump
from msixtool.formats.qevm import CONTINUING
from tests.fuzz import octets
from tests.fuzz.outcome import Input, MisreadError, Outcome
from tests.fuzz.stream_readers import as_json, one_line

_DATA = Path(__file__).parents[1] / "data" / "trace"
_STATES = ("apic", "cpu_common", "iommu-intel", "timer", "mc146818rtc")


class _Guest(NamedTuple):
    name: str
    data: bytes
    later: bytes
    spans: tuple[tuple[int, int], ...]
    """What trace looks at: CPUs, APICs, IOMMU, clock, CMOS, the devices, pages of RAM."""


@cache
def _guests() -> list[_Guest]:
    found = []
    for path in sorted(_DATA.glob("*/source.mig.xz")):
        data = lzma.decompress(path.read_bytes())
        later = path.with_name("later.mig.xz")
        with Dump.open(io.BytesIO(data)) as dump:
            devices = {device.item.offset for device in dump.devices if device.virtio}
            spans = [
                (item.data_offset, item.data_offset + item.data_length)
                for item in dump.index.items
                if item.idstr in _STATES
                or item.offset in devices
                or (item.idstr == "ram" and item.type in CONTINUING and item.data_length > 4096)
            ]
        second = lzma.decompress(later.read_bytes()) if later.exists() else data
        found.append(_Guest(path.parent.name, data, second, tuple(spans)))
    return found


def names() -> list[str]:
    return [guest.name for guest in _guests()]


def guest(rng: Random) -> Input:
    """A stream of a guest with something of its rings or routes changed, and a later one."""
    chosen = rng.choice(_guests())
    data = chosen.data
    for _ in range(rng.choice((1, 1, 2, 4))):
        low, high = rng.choice(chosen.spans)
        places = tuple((rng.randrange(low, max(low + 1, high - 8)), width) for width in (1, 2, 4, 8))
        data = octets.mutate(rng, data, places, low=low, high=high, resize=False)
    return Input(chosen.name, data, chosen.later)


def read(made: Input) -> Outcome:
    """What trace says of it, alone and with the later stream: each vector on CPUs that there are."""
    with Dump.open(io.BytesIO(made.data)) as dump, Dump.open(io.BytesIO(made.other)) as later:
        for second in (None, later):
            answer = dump.trace(later=second)
            found = answer.trace
            as_json(answer.document())
            for line in (*found.damage, *found.missing):
                one_line(line)
            known = {cpu.apic.id for cpu in found.cpus if cpu.apic is not None}
            for each in found.devices:
                for row in each.interrupts:
                    if not set(row.route.cpus) <= known:
                        raise MisreadError(f"{each.device.name}: a route to CPUs that are not there")
        return Outcome.PARTLY if found.damage else Outcome.WHOLE
