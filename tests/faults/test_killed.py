"""Killed, or refused by the system, at every call that writes: the output is whole or not there at all.

Each case is a real process, which strace strikes at the n-th time that it makes a system call.
"""

from __future__ import annotations

import gzip
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.tracing import Run, Traced, strace  # noqa: F401

OLD = b"what stood there before"
FORGE = ("forge", "base", "-d", "e1000e", "--pending", "3", "-o", "out")
OVER = (*FORGE, "--force")
SAVE = ("save", "base", "-d", "e1000e", "-o", "out")


@dataclass
class Case:
    """A command that writes `out`, run once to see what it calls and what it makes."""

    tool: Traced
    arguments: tuple[str, ...]
    base: bytes
    old: bytes | None
    calls: list[str]
    made: bytes

    @property
    def folder(self) -> Path:
        return self.tool.folder

    def prepare(self) -> None:
        """The folder as it is before a run."""
        for path in self.folder.iterdir():
            if path.name != "base":
                path.unlink()
        if self.old is not None:
            (self.folder / "out").write_bytes(self.old)

    def struck(self, fault: str) -> Iterator[tuple[str, Run]]:
        """A run for each call that the command makes, in which `fault` happens at it; each is checked."""
        for call, run in self.tool.struck(fault, *self.arguments, at=self.calls):
            self.check(f"{fault} at {call}", may_leave="KILL" in fault)
            yield call, run
            self.prepare()

    def check(self, what: str, *, may_leave: bool) -> None:
        """The base is as it was, and `out` is what it was or whole; only SIGKILL may leave a temporary."""
        assert (self.folder / "base").read_bytes() == self.base, what
        out = self.folder / "out"
        assert (out.read_bytes() if out.exists() else None) in (self.old, self.made), what
        left = [path.name for path in self.folder.iterdir() if path.name not in ("base", "out")]
        assert all(name.startswith(".out.msixtool-") for name in left), left
        assert len(left) <= may_leave, (what, left)


Start = Callable[..., Case]


@pytest.fixture
def start(strace: None, tmp_path: Path, raw_sample: Path) -> Start:  # noqa: F811
    """A case: the command, whether temporary files have names, what stands at `out`, how BASE is packed."""

    def call(
        *arguments: str, named: bool = False, old: bytes | None = None, pack: Callable[[bytes], bytes] = bytes
    ) -> Case:
        folder = tmp_path / "folder"
        folder.mkdir()
        base = pack(raw_sample.read_bytes())
        (folder / "base").write_bytes(base)
        case = Case(Traced(folder, named=named), arguments, base, old, [], b"")
        case.prepare()
        run = case.tool.run(*arguments)
        assert (run.status, run.err) == (0, "")
        case.calls, case.made = run.calls, (folder / "out").read_bytes()
        assert len(case.calls) >= 3
        case.prepare()
        return case

    return call


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (FORGE, {}),
        (OVER, {"old": OLD, "named": True}),
        ((*FORGE, "--like-base"), {"pack": lambda data: gzip.compress(data, 1), "named": True}),
    ],
    ids=["new", "over", "packed"],
)
def test_a_kill_at_any_moment_leaves_the_output_whole_or_absent(
    start: Start, arguments: tuple[str, ...], more: dict[str, Any]
) -> None:
    case = start(*arguments, **more)
    assert {run.status for _, run in case.struck("signal=KILL")} == {-signal.SIGKILL}


@pytest.mark.parametrize(
    "arguments",
    [
        ("save", "base", "-d", "e1000e", "--text", "-o", "out"),
        ("load", "base", "--json", "-o", "out"),
        ("forge", "--new", "--kind", "e1000e", "-o", "out"),
    ],
    ids=["save", "load", "new"],
)
def test_a_kill_before_the_name_is_given_leaves_nothing(start: Start, arguments: tuple[str, ...]) -> None:
    case = start(*arguments)
    assert case.tool.run(*arguments, faults=("linkat:signal=KILL",)).status == -signal.SIGKILL
    assert [path.name for path in case.folder.iterdir()] == ["base"]


def test_a_signal_that_can_be_caught_leaves_nothing_but_the_output(start: Start) -> None:
    case = start(*SAVE, "--force", old=OLD, named=True)
    for call, run in case.struck("signal=TERM"):
        assert (call, run.status, run.err) == (call, -signal.SIGTERM, "msixtool: ended by SIGTERM\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_of_two_signals_the_first_counts_and_its_cleaning_up_is_not_cut_short(
    start: Start, number: signal.Signals
) -> None:
    case = start(*SAVE, named=True)
    name = number.name.removeprefix("SIG")
    run = case.tool.run(*SAVE, faults=(f"ftruncate:signal={name}", "unlink:signal=TERM"))
    assert (run.status, run.err) == (-number, f"msixtool: ended by SIG{name}\n")
    assert [path.name for path in case.folder.iterdir()] == ["base"]


@pytest.mark.parametrize(
    ("name", "words", "arguments"),
    [("ENOSPC", "No space left on device", OVER), ("EIO", "Input/output error", (*SAVE, "--force"))],
)
def test_a_call_that_fails_is_one_line_and_no_output_or_is_got_over(
    start: Start, name: str, words: str, arguments: tuple[str, ...]
) -> None:
    case = start(*arguments, old=OLD, named=name == "EIO")
    refused = set()
    for call, run in case.struck(f"error={name}"):
        if run.status == 0:
            assert run.err == ""
            continue
        refused.add(call)
        where = "standard output" if call == "write" and arguments == OVER else "out"
        assert (run.status, run.err) == (2, f"msixtool: {where}: cannot be written: found {words}\n")
    # What the kernel would not copy was copied by hand, and an owner that cannot be given is left.
    assert refused == {*case.calls} - {"copy_file_range", "fchown"}


def test_calls_that_are_interrupted_are_made_again_or_named(start: Start) -> None:
    case = start(*SAVE)
    for call, run in case.struck("error=EINTR"):
        assert run.status == (2 if call == "linkat" else 0)
        assert run.err == "" if run.status == 0 else "out: cannot be written: found Interrupted" in run.err


def test_where_no_second_link_can_be_made_a_rename_takes_the_name(start: Start) -> None:
    case = start(*SAVE, named=True)
    run = case.tool.run(*SAVE, faults=("link,linkat:error=EPERM",))
    assert (run.status, run.err) == (0, "")
    assert "renameat2" in run.calls
    assert "rename" not in run.calls
    assert (case.folder / "out").read_bytes() == case.made
    case.prepare()
    run = case.tool.run(*SAVE, faults=("link,linkat:error=EPERM", "renameat2:error=ENOSYS"))
    assert (run.status, run.err) == (0, "")
    assert run.calls[run.calls.index("renameat2") + 1] == "rename"
    case.check("by rename", may_leave=False)
