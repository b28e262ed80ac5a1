"""The harness itself: every reader bears some inputs, the same number makes the same input, and what a
reader must not do is found."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path

import pytest

from msixtool.errors import FormatError
from tests.fuzz import __main__ as command, commands, whole, worker
from tests.fuzz.outcome import Input, MisreadError, Outcome, Reader
from tests.fuzz.readers import READERS

COUNT = 12
"""Inputs of each reader in every run of the tests; the long runs are in docs/fuzzing.md."""

needs_packages = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("qemu", "lz4", "lzallright")),
    reason="the packages of msixtool[all] are not installed",
)


@needs_packages
@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_or_refuses_mutated_inputs(name: str) -> None:
    reader = READERS[name]
    for index in range(COUNT):
        ran = worker.run_input(reader, reader.make(worker.random_of(name, 1, index)), watched=False)
        assert not ran.kind, f"{name} --seed 1 --only {index}: {ran.text}"


@needs_packages
@pytest.mark.parametrize("name", READERS)
def test_a_number_makes_the_same_input_again(name: str) -> None:
    reader = READERS[name]
    first, again = (reader.make(worker.random_of(name, 5, 7)) for _ in range(2))
    assert first == again
    assert any(reader.make(worker.random_of(name, 5, index)) != first for index in range(8, 12))


def _reader(read: object) -> Reader:
    return dataclasses.replace(READERS["pci"], read=read)  # type: ignore[arg-type]


def _raise(error: BaseException) -> object:
    def read(made: Input) -> Outcome:
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("x"), "KeyError"),
        (MemoryError(), "MemoryError"),
        (RecursionError("deep"), "RecursionError"),
        (MisreadError("two\nlines"), "failure"),
        (FormatError(""), "error line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_reader_must_not_do_is_a_finding(error: BaseException, kind: str) -> None:
    ran = worker.run_input(_reader(_raise(error)), Input("x", b""), watched=False)
    assert (ran.kind, ran.outcome) == (kind, None)


def test_a_refusal_is_none() -> None:
    ran = worker.run_input(_reader(_raise(FormatError("no", found=1))), Input("x", b""), watched=False)
    assert (ran.kind, ran.outcome) == ("", Outcome.REFUSED)


@pytest.fixture
def any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of a run of many tests begins with all that they have left in memory."""
    monkeypatch.setattr(worker, "MEMORY_LIMIT", 1 << 40)


@pytest.mark.usefixtures("any_memory")
def test_a_process_that_dies_is_a_finding_and_the_others_run_on(tmp_path: Path) -> None:
    def read(made: Input) -> Outcome:
        if made == READERS["pci"].make(worker.random_of("pci", 1, 3)):
            os._exit(9)
        return Outcome.WHOLE

    tally = worker.work(_reader(read), 1, range(6), str(tmp_path), None)
    assert [(finding.kind, finding.index) for finding in tally.findings] == [("crash", 3)]
    assert tally.count == 6
    assert (tmp_path / "pci-1-3").exists()


@pytest.mark.usefixtures("any_memory")
def test_a_defect_in_a_reader_shows_in_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(READERS, "pci", _reader(_raise(KeyError("a defect"))))
    assert command.main(["--reader", "pci", "--count", "3"]) == 1
    assert "pci --seed 1 --only 0" in capsys.readouterr().out


@needs_packages
def test_whole_runs_do_nothing_that_none_may_do() -> None:
    for index in range(30):
        asked = commands.make(worker.random_of(whole.NAME, 1, index))
        ran = whole.execute(asked, by_exec=False)
        assert commands.faults(asked, ran.status, ran.out, ran.err, ran.left) == [], (
            index,
            asked.words,
            ran.err,
        )


@pytest.mark.parametrize(
    ("status", "out", "err", "left", "fault"),
    [
        (3, b"{}", b"msixtool: x\n", {}, "status 3"),
        (-9, b"{}", b"", {}, "status -9"),
        (0, b"{}", b"Traceback (most recent call last):\n", {}, "a traceback"),
        (2, b"", b"msixtool: a\nand more\n", {}, "a line of its own kind on standard error: 'and more'"),
        (2, b"", b"", {}, "status 2 without a word"),
        (0, b'{"schema": "msixtool.load/1"}', b"", {}, "a document without ['schema', 'source']"),
        (0, b'{"schema": NaN, "source": 1}', b"", {}, "JSON that is none: NaN is no JSON"),
        (0, b"", b"", {}, "no JSON"),
        (2, b"", b"msixtool: a\n", {"out": b"x"}, "an output in spite of status 2"),
        (0, b"", b"", {}, "no output"),
        (1, b"", b"", {".out.tmp": b""}, "left behind: ['.out.tmp']"),
        (1, b"", b"", {"a": b"another"}, "a was changed"),
    ],
)
def test_what_a_whole_run_must_not_do_is_found(
    status: int, out: bytes, err: bytes, left: dict[str, bytes], fault: str
) -> None:
    asked = commands.Asked("load", "", ["load", "a"], {"a": b"input"}, as_json=True, output="out")
    assert fault in commands.faults(asked, status, out, err, {"a": b"input"} | left)


@pytest.mark.usefixtures("any_memory")
def test_the_watch_ends_what_does_not_end() -> None:
    """In a child, as the alarms are the process's: a reader that loops is told of, not waited for."""

    def read(made: Input) -> Outcome:
        while True:
            made = Input(made.base, made.data)

    before = worker.CPU_LIMIT
    worker.CPU_LIMIT = 0.05
    try:
        tally = worker.work(_reader(read), 1, range(1), None, None)
    finally:
        worker.CPU_LIMIT = before
    assert [finding.kind for finding in tally.findings] == ["hang"]
