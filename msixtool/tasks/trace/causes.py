"""What devices that are no virtio owe, as far as their own registers and queues show it.

Source: QEMU hw/nvme/ctrl.c (nvme_post_cqes, nvme_update_cq_head, nvme_dbbuf_config): an interrupt is due
while a completion queue's tail is ahead of its head, which the driver moves by its doorbell, or by the shadow
of it in guest memory. hw/net/e1000e_core.c (e1000e_msix_notify): a queue's cause is due that is set in ICR
and enabled in IMS; IVAR maps causes to vectors. Causes in EIAC clear as they are sent: then nothing tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.formats import parse, sizeof, vring
from msixtool.ram.memory import GuestMemory
from msixtool.tasks.fields import read_section

_DOORBELL = sizeof(vring.SHADOW_DOORBELL)
"""Bytes of a doorbell; a queue has two, the submission queue's first."""
_MAX_ENTRIES = 1 << 16
_QUEUE_FIELDS = ("cqid", "head", "tail", "size", "vector", "irq_enabled")


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that a vector serves. `queue` is a completion queue's number, None for another cause.

    `mark` is what the driver moves when it has seen to it: where it stays, the driver has not moved.
    """

    vector: int | None
    queue: int | None
    owed: bool | None
    mark: int | None = None
    shown: tuple[tuple[str, int], ...] = ()
    """Names and values that say where it stands, for people and programs."""


_Places = Callable[[dict[str, Any]], Iterator[int]]
_Read = Callable[[dict[str, Any], GuestMemory], Iterator[Cause]]


class Causes:
    """The causes of one device; `want` first, so that guest memory is walked once."""

    def __init__(self, dump: OpenDump, device: MsixDevice) -> None:
        kind = _KINDS.get(device.kind)
        values = {} if kind is None else read_section(dump, device.item).values()
        self._places: _Places
        self._read: _Read
        self._places, self._read = kind or (_nothing, _nothing)
        self._values = values

    def want(self, memory: GuestMemory) -> None:
        """Have what they depend on read with the next walk over guest memory."""
        for address in self._places(self._values):
            memory.want(address, _DOORBELL)

    def read(self, memory: GuestMemory) -> list[Cause]:
        """The causes; none for a device whose registers are not known, or not in the stream."""
        try:
            return list(self._read(self._values, memory))
        except (KeyError, IndexError, TypeError):
            return []  # Fields that a QEMU of another release does not have, or has as something else.


def _nothing(*_: object) -> Iterator[Any]:
    yield from ()


def _completion_queues(values: dict[str, Any]) -> list[dict[str, Any]]:
    queues = values.get("cq")
    if not isinstance(queues, list):
        return []
    return [each for each in queues if _is_queue(each) and 0 < each["size"] <= _MAX_ENTRIES]


def _is_queue(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), int) for name in _QUEUE_FIELDS)


def _shadow(values: dict[str, Any], cqid: int) -> int | None:
    """Where the shadow of a completion queue's doorbell is; None where the doorbell itself counts."""
    if values.get("dbbuf_enabled") is not True or not values.get("dbbuf_dbs"):
        return None
    return int(values["dbbuf_dbs"]) + 2 * _DOORBELL * cqid + _DOORBELL


def _is_between(queue: dict[str, Any], head: int) -> bool:
    """Whether a shadow doorbell can be right: behind the device's own head, not behind its tail."""
    size = int(queue["size"])
    return head < size and (head - int(queue["head"])) % size <= int(queue["tail"] - queue["head"]) % size


def _nvme_places(values: dict[str, Any]) -> Iterator[int]:
    for each in _completion_queues(values):
        if (place := _shadow(values, each["cqid"])) is not None:
            yield place


def _nvme(values: dict[str, Any], memory: GuestMemory) -> Iterator[Cause]:
    for each in _completion_queues(values):
        head: int | None = each["head"]
        place = _shadow(values, each["cqid"])
        if place is not None:
            data = memory.read(place, _DOORBELL)
            head = None if data is None else parse(vring.SHADOW_DOORBELL, data, what="shadow doorbell")
            if head is not None and not _is_between(each, head):
                head = None
        asks = bool(each["irq_enabled"])
        owed = False if not asks else None if head is None else head != each["tail"]
        shown = (("tail", each["tail"]), *((("head", head),) if head is not None else ()))
        yield Cause(
            each["vector"] if asks else None, each["cqid"], owed, head, (*shown, ("size", each["size"]))
        )


_MAC = "core.mac"
_ICR, _IMS, _IVAR = 0xC0 // 4, 0xD0 // 4, 0xE4 // 4
_E1000E_CAUSES = {0: 20, 4: 21, 8: 22, 12: 23}
"""The bit in ICR and IMS of the queue whose four bits in IVAR begin at that bit. Other causes tell nothing:
Linux leaves them set."""
_VALID, _VECTOR = 8, 7


def _e1000e(values: dict[str, Any], memory: GuestMemory) -> Iterator[Cause]:
    registers = values[_MAC]
    due, mapped = registers[_ICR] & registers[_IMS], registers[_IVAR]
    throttled = values["core.eitr_intr_pending"]
    owed: dict[int, bool] = {}
    for at, bit in _E1000E_CAUSES.items():
        entry = mapped >> at & 0xF
        if entry & _VALID and due >> bit & 1 and not throttled[entry & _VECTOR]:
            owed[entry & _VECTOR] = True
    for vector in sorted(owed):
        yield Cause(vector, None, True, registers[_ICR], (("ICR", registers[_ICR]), ("IMS", registers[_IMS])))


_KINDS: dict[str, tuple[_Places, _Read]] = {"nvme": (_nvme_places, _nvme), "e1000e": (_nothing, _e1000e)}
"""By the kind of device: what of guest memory its causes depend on, and how they are read."""
