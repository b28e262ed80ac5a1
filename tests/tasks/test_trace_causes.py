"""What nvme and e1000e owe by their own queues and registers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from msixtool.tasks.trace import causes
from msixtool.tasks.trace.causes import Cause, Causes

SHADOW = 0x1000


class Memory:
    """Doorbells by address."""

    def __init__(self, doorbells: dict[int, int] | None = None) -> None:
        self.doorbells = doorbells or {}
        self.wanted: list[int] = []

    def want(self, address: int, length: int) -> None:
        self.wanted.append(address)

    def read(self, address: int, length: int) -> bytes | None:
        value = self.doorbells.get(address)
        return None if value is None else value.to_bytes(length, "little")


def found(
    monkeypatch: pytest.MonkeyPatch, kind: str, values: dict[str, Any], memory: Memory | None = None
) -> list[Cause]:
    section = SimpleNamespace(values=lambda: values)
    monkeypatch.setattr(causes, "read_section", lambda dump, item: section)
    made = Causes(None, SimpleNamespace(kind=kind, item=None))  # type: ignore[arg-type]
    memory = memory or Memory()
    made.want(memory)  # type: ignore[arg-type]
    return made.read(memory)  # type: ignore[arg-type]


def queue(cqid: int, head: int, tail: int, *, asks: int = 1) -> dict[str, Any]:
    return {"cqid": cqid, "head": head, "tail": tail, "size": 32, "vector": cqid, "irq_enabled": asks}


def test_a_completion_queue_owes_while_its_head_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"cq": [None, queue(0, 3, 3), queue(1, 3, 5), queue(2, 3, 5, asks=0)]}
    made = found(monkeypatch, "nvme", values)
    assert [(each.vector, each.queue, each.owed, each.mark) for each in made] == [
        (0, 0, False, 3),
        (1, 1, True, 3),
        (None, 2, False, 3),
    ]


def test_the_shadow_of_a_doorbell_counts_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"cq": [queue(0, 3, 5), queue(1, 3, 5)], "dbbuf_enabled": True, "dbbuf_dbs": SHADOW}
    memory = Memory({SHADOW + 4: 5})
    made = found(monkeypatch, "nvme", values, memory)
    assert memory.wanted == [SHADOW + 4, SHADOW + 12]
    assert [(each.queue, each.owed) for each in made] == [(0, False), (1, None)]


@pytest.mark.parametrize(
    ("shadow", "owed"), [(2, None), (3, True), (4, True), (5, False), (6, None), (40, None)]
)
def test_a_shadow_that_is_not_between_head_and_tail_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, shadow: int, owed: bool | None
) -> None:
    values = {"cq": [queue(1, 3, 5)], "dbbuf_enabled": True, "dbbuf_dbs": SHADOW}
    assert [each.owed for each in found(monkeypatch, "nvme", values, Memory({SHADOW + 12: shadow}))] == [owed]


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_a_queue_of_a_size_that_makes_no_sense_is_left_out(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    assert found(monkeypatch, "nvme", {"cq": [queue(0, 0, 1) | {"size": size}]}) == []


def registers(icr: int, ims: int, ivar: int) -> list[int]:
    made = [0] * 1024
    made[0xC0 // 4], made[0xD0 // 4], made[0xE4 // 4] = icr, ims, ivar
    return made


def test_an_e1000e_owes_what_is_set_and_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    rx, tx, other = 1 << 20, 1 << 22, 1 << 24
    mac = registers(rx | tx | other, rx | other, 0x000A0908)
    values = {"core.mac": mac, "core.eitr_intr_pending": [False] * 5}
    assert [(each.vector, each.owed) for each in found(monkeypatch, "e1000e", values)] == [(0, True)]
    throttled = values | {"core.eitr_intr_pending": [True] * 5}
    assert found(monkeypatch, "e1000e", throttled) == []


def test_fields_that_are_not_there_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, "e1000e", {"data": "00"}) == []
    assert found(monkeypatch, "nvme", {"cq": [{"size": 4}]}) == []
    assert found(monkeypatch, "igb", {}) == []
