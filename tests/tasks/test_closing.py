"""The loop of `cmdline --check`: what no property mends costs a bounded number of QEMUs, and time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from msixtool import Dump
from msixtool.tasks.cmdline import command_line
from msixtool.tasks.compat import closing
from msixtool.tasks.compat.qemu_target import Trial
from tests.conftest import REPOSITORY

RECORDED = sorted((REPOSITORY / "tests" / "data" / "cmdline").glob("*/source.mig.xz"))
HELP = "".join(f"  prop{number}=<bool> - (default: true)\n" for number in range(1000))
ANOTHER, SOURCE = RECORDED[0], RECORDED[1]


class Qemu:
    """One whose fresh streams are of another machine, whatever it is given, with a thousand properties."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[tuple[str, ...]] = []
        monkeypatch.setattr(closing, "fresh_stream", self.fresh_stream)
        monkeypatch.setattr(closing, "try_load", lambda *_: Trial(False, "refused"))
        monkeypatch.setattr(closing, "ask_program", lambda *_: CompletedProcess([], 0, HELP, ""))

    @contextmanager
    def fresh_stream(self, command: Sequence[str]) -> Iterator[Path]:
        self.started.append(tuple(command))
        yield ANOTHER


def checked() -> list[str]:
    with Dump.open(SOURCE) as source:
        command, trial = closing.close([sys.executable], command_line(source), source)
    assert not trial.loaded
    return [note.message for note in command.notes]


def test_it_starts_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = Qemu(monkeypatch)
    notes = checked()
    assert len(qemu.started) == len(set(qemu.started)) == closing.MOST_STARTS, "each is tried once"
    assert any(note.startswith("nothing was found that mends it") for note in notes)


def test_it_takes_no_longer_than_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    qemu = Qemu(monkeypatch)
    notes = checked()
    assert len(qemu.started) <= closing.MOST_SECONDS / 10 + 1
    assert any(note.startswith("nothing was found that mends it") for note in notes)


def test_a_candidate_that_leaves_fewer_reasons_is_kept_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream of a command with the right property is that of the source."""
    qemu = Qemu(monkeypatch)

    @contextmanager
    def fresh_stream(command: Sequence[str]) -> Iterator[Path]:
        qemu.started.append(tuple(command))
        yield SOURCE if any("prop7=off" in word for word in command) else ANOTHER

    monkeypatch.setattr(closing, "fresh_stream", fresh_stream)
    monkeypatch.setattr(
        closing, "try_load", lambda command, _: Trial(any("prop7=off" in word for word in command), "")
    )
    with Dump.open(SOURCE) as source:
        command, trial = closing.close([sys.executable], command_line(source), source)
    assert trial.loaded
    assert any("prop7=off: found by trying" in note.message for note in command.notes)
    assert len(qemu.started) <= 20
