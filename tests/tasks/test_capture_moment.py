"""A VM at one moment: what it is asked for in which order, and that it runs on whatever fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from msixtool.errors import InputError
from msixtool.ram.looked_at import MemoryPiece, Span
from msixtool.tasks.capture import guest_memory, moment, moments, monitor
from msixtool.tasks.capture.moment import VmStream
from tests.tasks.capture_monitor import STREAM, PlayedVm

pytest.importorskip("qemu.qmp")

NEAR, FAR = Span(0x1000, 2), Span(0x9000, 2)


class Looked(PlayedVm):
    """A VM whose memory holds the low byte of each address, plus `moved`, and which saves its devices."""

    def __init__(self, **answers: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(**answers)
        self.moved = 0
        self.stood: list[bool] = []
        """Whether it stood, at each reading of memory."""

    def _add_fd(self, _: dict[str, Any]) -> Any:
        return {"fdset-id": 1, "fd": 9}

    def _xen_save_devices_state(self, _: dict[str, Any]) -> Any:
        os.write(self._pipe, STREAM + b"\0")
        os.close(self._pipe)
        return {}

    def _human_monitor_command(self, arguments: dict[str, Any]) -> Any:
        self.stood.append(not self.running)
        _, count, start = arguments["command-line"].split()
        first, size = int(start, 16), int(count.strip("/xb"))
        data = " ".join(f"{at + self.moved & 0xFF:#04x}" for at in range(first, first + size))
        return f"{first:016x}: {data}\r\n"


def wants(*spans: Sequence[Span]) -> Callable[[VmStream], Sequence[Span]]:
    """What is wanted by the first stream, by the second, and so on; the last is what stays."""
    rest = list(spans)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def seen(vm: PlayedVm, wanted: Callable[[VmStream], Sequence[Span]]) -> moment.Moment:
    (found,) = moments(vm.socket, wanted)
    with found.stream as stream:
        assert os.pread(stream.fileno(), 8, 0) == STREAM[:8]
    return found


def since(vm: PlayedVm, command: str) -> list[str]:
    return vm.asked[vm.asked.index(command) :]


def test_devices_and_memory_are_of_one_moment_and_no_longer() -> None:
    vm = Looked()
    found = seen(vm, wants([FAR, NEAR]))
    assert found.pieces == (MemoryPiece(0x1000, b"\0\1"), MemoryPiece(0x9000, b"\0\1"))
    assert (found.left_out, found.captured.paused_ms) == (0, 2.5)
    order = [each for each in since(vm, "stop") if each not in ("remove-fd", "query-status")]
    assert order[:5] == ["stop", "xen-save-devices-state", *["human-monitor-command"] * 2, "cont"]
    assert vm.running


def test_a_vm_that_stands_is_neither_stopped_nor_let_run() -> None:
    vm = Looked()
    vm.running = False
    assert seen(vm, wants([NEAR])).captured.paused_ms == 0
    assert not {"stop", "cont"} & set(vm.asked)


def test_nothing_but_devices_needs_no_stop() -> None:
    vm = Looked()
    assert seen(vm, wants([])).pieces == ()
    assert not {"stop", "human-monitor-command"} & set(vm.asked)


def test_what_the_guest_has_set_up_elsewhere_meanwhile_is_looked_at_again() -> None:
    vm = Looked()
    found = seen(vm, wants([NEAR], [FAR]))
    assert found.pieces == (MemoryPiece(0x9000, b"\0\1"),)
    assert vm.asked.count("stop") == 2


def test_one_that_moves_for_ever_is_left_at_last() -> None:
    vm = Looked()
    number = iter(range(1000))
    seen(vm, lambda _: [Span(0x1000 * next(number), 2)])
    assert vm.asked.count("stop") == moment.ATTEMPTS
    assert vm.running


def test_what_is_too_much_for_a_pause_is_read_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_memory, "AT_ONCE", 1)
    vm = Looked()
    found = seen(vm, wants([NEAR, FAR]))
    assert found.pieces == (MemoryPiece(0x1000, b"\0\1"), MemoryPiece(0x9000, b"\0\1"))
    assert vm.stood == [False, False, True, False]
    assert found.left_out == 0


def test_what_moves_around_the_pause_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_memory, "AT_ONCE", 1)
    vm = Looked()

    def go_on(arguments: dict[str, Any]) -> Any:
        vm.moved += 1
        return vm._cont(arguments)

    vm.answers["cont"] = go_on
    found = seen(vm, wants([NEAR, FAR]))
    assert found.pieces == (MemoryPiece(0x1000, b"\0\1"),)
    assert found.left_out == 1


@pytest.mark.parametrize("command", ["stop", "xen-save-devices-state", "human-monitor-command", "cont"])
@pytest.mark.parametrize("how", ["refused", "silent"])
def test_whatever_fails_the_vm_runs_on(monkeypatch: pytest.MonkeyPatch, command: str, how: str) -> None:
    monkeypatch.setattr(monitor, "TIMEOUT", 1.0)
    vm = Looked()
    once: list[bool] = []

    def fail(arguments: dict[str, Any]) -> Any:
        if vm.running and command != "stop":
            return getattr(vm, "_" + command.replace("-", "_"))(arguments)
        if once and command == "cont":  # It is let run on a second time, by what puts all back.
            return vm._cont(arguments)
        once.append(True)
        return vm.refuse("no") if how == "refused" else None

    vm.answers[command] = fail
    if (command, how) == ("human-monitor-command", "refused"):
        assert seen(vm, wants([NEAR])).left_out == 1
    else:
        with pytest.raises(InputError, match=command):
            seen(vm, wants([NEAR]))
    assert vm.running
