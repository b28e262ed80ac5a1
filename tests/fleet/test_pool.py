"""Work that is spread over processes: its order, its bounds, and what becomes of what is killed."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import pytest

from msixtool.fleet import pool
from msixtool.fleet.pool import Killed, Work, results_in_order


def results(count: int, work: Work, jobs: int) -> list[Any]:
    return list(results_in_order(count, work, jobs=jobs))


def closed(generator: Iterator[Any]) -> closing[Any]:
    return closing(cast(Any, generator))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def numbers(descriptor: int) -> list[int]:
    """The bytes that stand in a pipe."""
    os.set_blocking(descriptor, False)
    try:
        return list(os.read(descriptor, 1 << 16))
    except BlockingIOError:
        return []


@pytest.mark.parametrize("jobs", [1, 2, 5, 40])
def test_results_come_in_order_whatever_the_number_of_processes(jobs: int) -> None:
    assert results(30, lambda index: index * index, jobs) == [index * index for index in range(30)]


def test_no_work_needs_no_process() -> None:
    assert results(0, lambda index: index, 4) == []


def test_results_that_are_ready_first_wait_for_their_turn() -> None:
    """The first thing is not done before the second is: two processes are at work at a time."""
    receiver, sender = os.pipe()

    def work(index: int) -> str:
        if index == 0:
            ready, _, _ = select.select([receiver], [], [], 20)
            return f"0 after {os.read(receiver, 1).decode()}" if ready else "0 alone"
        if index == 1:
            os.write(sender, b"1")
        return str(index)

    assert results(3, work, 2) == ["0 after 1", "1", "2"]


def test_the_work_is_done_by_as_many_processes_as_were_asked_for_and_never_here() -> None:
    def work(_: int) -> int:
        return os.getpid()

    assert len(set(results(20, work, 1))) == 1
    assert len(set(results(20, work, 3))) <= 3
    assert os.getpid() not in results(20, work, 3)


def test_results_larger_than_a_pipe_arrive_whole() -> None:
    assert results(4, lambda index: bytes([index]) * (1 << 21), 2) == [
        bytes([index]) * (1 << 21) for index in range(4)
    ]


def test_a_process_that_is_killed_costs_the_one_thing_that_it_worked_on() -> None:
    def work(index: int) -> int:
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 5:
            os._exit(7)
        return index

    for jobs in (1, 2):
        assert results(8, work, jobs) == [
            0,
            1,
            2,
            Killed("killed by SIGKILL"),
            4,
            Killed("ended with status 7"),
            6,
            7,
        ]


def test_every_process_may_be_killed() -> None:
    def work(_: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert results(5, work, 2) == [Killed("killed by SIGTERM")] * 5


def test_a_process_that_is_killed_while_it_waits_costs_nothing() -> None:
    with closed(results_in_order(3, lambda index: (index, os.getpid()), jobs=1)) as answers:
        index, pid = next(answers)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        rest = list(answers)
    assert [index, *(number for number, _ in rest)] == [0, 1, 2]
    assert pid not in {other for _, other in rest}


def test_no_process_is_left_when_the_results_are_no_longer_wanted() -> None:
    receiver, sender = os.pipe()

    def work(index: int) -> int:
        if index:
            os.write(sender, os.getpid().to_bytes(4, "big"))
            signal.pause()
        return os.getpid()

    with closed(results_in_order(3, work, jobs=2)) as answers:
        first = next(answers)
        others = [int.from_bytes(os.read(receiver, 4), "big")]
    assert [pid for pid in (first, *others) if is_running(pid)] == []


@pytest.mark.parametrize(("ahead", "held"), [(4, 1 << 20), (1 << 20, 1)], ids=["count", "bytes"])
def test_no_more_is_begun_than_may_wait(ahead: int, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "AHEAD", ahead)
    monkeypatch.setattr(pool, "_HELD", held)
    receiver, sender = os.pipe()

    def work(index: int) -> int:
        os.write(sender, bytes([index]))
        return index

    begun = -1
    with closed(results_in_order(60, work, jobs=2)) as answers:
        for turn, answer in enumerate(answers):
            assert answer == turn
            begun = max([begun, *numbers(receiver)])
            assert begun < turn + 4
    assert begun == 59


def test_an_interrupt_is_the_parents_affair() -> None:
    def work(index: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return index

    assert results(2, work, 1) == [0, 1]


def test_a_process_has_none_of_the_handlers_of_the_program() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert results(2, lambda _: signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, 1) == [True, True]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_where_the_system_gives_no_more_processes_those_there_are_go_on(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, allowed = getattr(os, call), {"fork": 2, "pipe": 5}[call]
    calls = iter(range(1000))

    def refuse() -> Any:
        if next(calls) >= allowed:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, call, refuse)
    assert len(set(results(20, lambda _: os.getpid(), 8))) == 2
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(BlockingIOError):
        results(20, lambda index: index, 8)
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    results(10, lambda index: index, 3)
    assert len(os.listdir("/proc/self/fd")) == len(before)
