"""What became of the interrupts of living and of hung guests, as an independent reader found it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.tasks.trace import Interrupt, Trace, trace
from msixtool.tasks.trace.interrupt import Use
from tests.conftest import CORPUS, REPOSITORY

RECORDED = sorted((REPOSITORY / "tests" / "data" / "trace").glob("*/truth.json"))
OF_CORPUS = sorted((CORPUS / "trace").glob("*/truth.json"))


def traced(folder: Path, *, later: bool = False) -> Trace:
    with Dump.open(folder / "source.mig.xz") as dump:
        if not later:
            return trace(dump)
        with Dump.open(folder / "later.mig.xz") as second:
            return trace(dump, later=second)


def queues(found: Trace) -> dict[tuple[str, int | None], Interrupt]:
    return {
        (each.device.name, row.queue): row
        for each in found.devices
        for row in each.interrupts
        if row.use is Use.QUEUE
    }


def check(folder: Path, truth: dict[str, Any]) -> None:
    found = traced(folder)
    assert (found.damage, found.missing) == ((), ())
    halted = {str(cpu.apic.id): cpu.halted for cpu in found.cpus if cpu.apic}
    assert halted == {number: bool(value) for number, value in truth["halted"].items()}
    rows = queues(found)
    assert len(rows) == len(truth["queues"])
    for want in truth["queues"]:
        row = rows[want["device"], want["queue"]]
        ring = row.ring
        assert ring is not None
        shown = (ring.layout, ring.size, ring.available, ring.taken, ring.used)
        assert shown == (want["ring"], want["size"], want.get("avail"), want["last_avail"], want["used"])
        assert (row.vector, row.owed, row.where) == (want["vector"], want["owed"], want["where"])
        if want["vector"] is not None:
            assert (list(row.route.cpus), row.route.cpu_vector) == (want["cpus"], want["cpu_vector"])


def check_later(folder: Path, truth: dict[str, Any]) -> None:
    lost = {(device.name, row.queue) for device, row in traced(folder, later=True).lost}
    assert lost == {(each["device"], each["queue"]) for each in truth["lost_later"]}


@pytest.mark.parametrize("path", RECORDED + OF_CORPUS, ids=lambda path: path.parent.name)
def test_every_queue_is_found_where_it_was(path: Path) -> None:
    check(path.parent, json.loads(path.read_text()))


@pytest.mark.parametrize(
    "path",
    [path for path in RECORDED + OF_CORPUS if (path.parent / "later.mig.xz").exists()],
    ids=lambda path: path.parent.name,
)
def test_a_later_stream_tells_the_hung_from_the_living(path: Path) -> None:
    check_later(path.parent, json.loads(path.read_text()))


def test_the_bit_that_was_cleared_is_what_is_missed() -> None:
    folder = next(path.parent for path in RECORDED if path.parent.name == "split-7.2-pair-lost")
    found = traced(folder)
    assert [(device.name, row.queue, row.verdict) for device, row in found.lost] == [
        ("0000:00:03.0/virtio-blk", 1, "lost")
    ]
