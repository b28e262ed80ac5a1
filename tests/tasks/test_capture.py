"""A capture against a monitor that is slow, odd or endless, or that a killed capture has left behind."""

from __future__ import annotations

import asyncio
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from msixtool.errors import InputError
from msixtool.output.files import create
from msixtool.tasks.capture import Captured, capture, monitor, state, whole
from msixtool.tasks.capture.monitor import SocketMonitor
from tests.tasks.capture_monitor import STREAM, PlayedVm

pytest.importorskip("qemu.qmp")

Take = Callable[[PlayedVm], Captured]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other as quickly as a played VM answers."""
    monkeypatch.setattr(state, "POLL", 0.001)
    monkeypatch.setattr(state, "AT_WORK", 0.3)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not waited for as long as with a real VM; what comes has time on a busy machine."""
    monkeypatch.setattr(monitor, "TIMEOUT", 1.0)
    monkeypatch.setattr(whole, "STALL", 0.05)


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def run(vm: PlayedVm) -> Captured:
        with create(str(tmp_path / "out"), private=True) as out:
            return capture(vm.socket, out)

    return run


def test_a_capture_leaves_all_as_it_was_and_says_how_long_the_guest_stood(take: Take, tmp_path: Path) -> None:
    vm = PlayedVm()
    captured = take(vm)
    assert (captured.machine, captured.qemu) == ("pc-q35-7.2", "7.2.22")
    assert (captured.was_running, captured.paused_ms, captured.notes) == (True, 2.5, ())
    assert (vm.running, vm.bandwidth) == (True, 1 << 27)
    assert vm.capabilities == {"multifd": False, "return-path": True, "mapped-ram": False}
    assert (tmp_path / "out").read_bytes() == STREAM
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", ["active", "dreaming", None])
def test_a_migration_in_which_nothing_moves_ends_and_is_cancelled(take: Take, status: str | None) -> None:
    started: list[bool] = []
    vm = PlayedVm(
        query_migrate=lambda _: {"status": status} if started and status else {},
        migrate=lambda _: started.append(True) or {},  # type: ignore[func-returns-value]
        migrate_cancel=lambda _: started.clear() or {},  # type: ignore[func-returns-value]
    )
    with pytest.raises(InputError) as raised:
        take(vm)
    assert "stands still" in str(raised.value)
    assert f"status {status or 'none'}" in str(raised.value)
    assert "within 0.05 seconds" in str(raised.value)
    assert ("migrate_cancel" in vm.asked) == (status is not None)
    assert (vm.running, vm.bandwidth) == (True, 1 << 27)


def test_a_state_that_nobody_knows_is_a_migration_under_way(take: Take) -> None:
    vm = PlayedVm(query_migrate=lambda _: {"status": "dreaming"})
    with pytest.raises(InputError, match="under way already: found dreaming"):
        take(vm)
    assert "stop" not in vm.asked
    assert "migrate_cancel" not in vm.asked


def test_the_migration_of_another_is_not_cancelled_when_qemu_refuses_a_second(take: Take) -> None:
    vm = PlayedVm()
    others: list[bool] = []
    real = vm._channel.sendall

    def refuse(_: dict[str, Any]) -> None:
        others.append(True)
        real(
            b'{"error": {"class": "GenericError", "desc": "There\'s a migration process in progress"}, "id": '
        )
        real(f'"{vm.last_id}"}}\r\n'.encode())

    vm.answers["migrate"] = refuse
    vm.answers["query-migrate"] = lambda _: {"status": "active"} if others else {}
    with pytest.raises(InputError, match="There's a migration process in progress"):
        take(vm)
    assert "migrate_cancel" not in vm.asked
    assert vm.running


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ["query-version", "query-status", "migrate", "stop"])
def test_a_command_without_an_answer_is_named_with_the_seconds(take: Take, command: str) -> None:
    vm = PlayedVm(**{command.replace("-", "_"): lambda _: None})
    with pytest.raises(InputError, match=f"QEMU does not answer {command} within 1 seconds$"):
        take(vm)


def test_a_flood_of_events_costs_no_memory(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "TIMEOUT", 120.0)
    vm = PlayedVm()

    def flood(_: dict[str, Any]) -> Any:
        for _ in range(10_000):
            vm.event("RTC_CHANGE")
        return {"status": "running", "running": vm.running}

    vm.answers["query-status"] = flood
    tracemalloc.start()
    try:
        take(vm)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


class TestAfterACaptureThatWasKilled:
    def test_what_it_changed_is_set_back_and_told(self, take: Take) -> None:
        vm = PlayedVm()
        vm.bandwidth = state.marked(1 << 25, True, {"return-path": False, "mapped-ram": True})
        vm.running = False
        vm.capabilities = {"multifd": False, "return-path": False, "mapped-ram": True}
        captured = take(vm)
        assert vm.bandwidth == 1 << 25
        assert vm.capabilities == {"multifd": False, "return-path": True, "mapped-ram": False}
        assert captured.notes == (
            "a capture of this VM was killed; set back: max-bandwidth 33554432, return-path on, "
            "mapped-ram off; the VM ran before it and is stopped since: cont lets it run on",
        )
        assert not vm.running

    def test_a_bandwidth_without_a_memory_is_left_and_told(self, take: Take) -> None:
        vm = PlayedVm()
        vm.bandwidth = state.BANDWIDTH
        captured = take(vm)
        assert vm.bandwidth == state.BANDWIDTH
        assert "cannot be known" in captured.notes[0]
        assert vm.running

    def test_one_that_is_at_work_is_not_disturbed(self, take: Take) -> None:
        vm = PlayedVm()
        vm.bandwidth = state.marked(1 << 25, True, {})
        looks = iter(["none"])
        vm.answers["query-migrate"] = lambda _: {"status": next(looks, "active")}
        with pytest.raises(InputError, match="another capture of this VM is at work: found migration active"):
            take(vm)
        assert vm.bandwidth == state.marked(1 << 25, True, {})
        assert not {"stop", "cont", "migrate", "migrate_cancel"} & set(vm.asked)

    @given(
        st.integers(1, state.BANDWIDTH - 1),
        st.booleans(),
        st.dictionaries(st.sampled_from(state.IN_THE_WAY[:-1]), st.just(False)),
        st.sampled_from([{}, {"mapped-ram": True}, {"mapped-ram": False}]),
    )
    def test_the_bandwidth_of_a_capture_says_what_was(
        self, bandwidth: int, ran: bool, changes: dict[str, bool], mapped: dict[str, bool]
    ) -> None:
        changes |= mapped
        value = state.marked(bandwidth, ran, changes)
        assert value >= state.BANDWIDTH
        was = {name: not changed for name, changed in changes.items()}
        assert state.unmarked(value) == (bandwidth, ran, was)

    def test_a_bandwidth_that_is_no_limit_is_left_alone(self, take: Take) -> None:
        vm = PlayedVm()
        vm.bandwidth = (1 << 63) - 1
        assert take(vm).notes == ()
        assert "migrate-set-parameters" not in vm.asked


@pytest.mark.parametrize("turns", range(8))
def test_a_signal_that_comes_with_an_answer_is_not_lost(turns: int) -> None:
    """Whatever the loop has done with the answer by then: the capture ends now or at its next step."""

    async def asked_twice() -> bool:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        class Client:
            async def execute(self, *_: object) -> dict[str, Any]:
                return await answer

        async def capture_on() -> None:
            await SocketMonitor(Client(), "vm").ask("query-migrate")  # type: ignore[arg-type]
            await asyncio.Event().wait()

        task = asyncio.create_task(capture_on())
        for _ in range(5):
            await asyncio.sleep(0)
        answer.set_result({})
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=120)
        return task.cancelled()

    assert asyncio.run(asked_twice())
