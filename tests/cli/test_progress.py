"""The bar that counts files: on a terminal only, above nothing that is printed, without a thread."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool.cli import progress, run
from msixtool.cli.progress import count_bar
from tests.conftest import REPOSITORY

OTHER = REPOSITORY / "samples" / "q35-net-4-vectors-7.2.mig.xz"
ERASED = "\x1b[2K"


class Screen(io.StringIO):
    """Standard error that is, or is not, a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def new(self) -> str:
        """What was written since this was last asked."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Screen]:
    """Make standard error a screen; bars are drawn at once and each time."""
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")

    def make(*, terminal: bool = True) -> Screen:
        monkeypatch.setattr("sys.stderr", made := Screen(terminal))
        return made

    return make


def test_it_counts(on: Callable[..., Screen]) -> None:
    screen, out = on(), sys.stdout
    with count_bar("streams", 30) as bar:
        for done in (1, 2, 30):
            bar.update(done)
            assert sys.stdout is out
            text = screen.new()
            assert "streams" in text
            assert f"{done}/30" in text
    assert ERASED in screen.new()


def test_it_makes_room_and_comes_back_below(on: Callable[..., Screen]) -> None:
    screen = on()
    with count_bar("streams", 3) as bar:
        bar.update(1)
        screen.new()
        bar.make_room()
        assert screen.new().endswith(ERASED)
        bar.make_room()
        assert screen.new() == ""
        bar.update(2)
        assert "2/3" in screen.new()


def test_it_has_no_thread_as_the_program_forks(on: Callable[..., Screen]) -> None:
    before = threading.active_count()
    screen = on()
    with count_bar("streams", 3) as bar:
        bar.update(1)
        assert "1/3" in screen.new()
        assert threading.active_count() == before


def test_it_is_drawn_now_and_then_only(on: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 3600.0)
    screen = on()
    with count_bar("streams", 3) as bar:
        bar.update(1)
        assert "1/3" in screen.new()
        bar.update(2)
        assert screen.new() == ""


@pytest.mark.parametrize(("terminal", "kind"), [(False, "xterm"), (True, "dumb")])
def test_there_is_none_where_nobody_sees_it(
    on: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch, terminal: bool, kind: str
) -> None:
    monkeypatch.setenv("TERM", kind)
    screen = on(terminal=terminal)
    with count_bar("streams", 3) as bar:
        bar.update(1)
        bar.make_room()
    assert screen.getvalue() == ""


def test_it_waits_a_while(on: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 3600.0)
    screen = on()
    with count_bar("streams", 3) as bar:
        bar.update(3)
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "{a}"],
        ["show", "{a}"],
        ["fields", "{a}"],
        ["validate", "{a}"],
        ["load", "{a}"],
        ["load", "{a}", "-o", "{out}"],
        ["save", "{a}", "-d", "e1000e", "-o", "{out}"],
        ["diff", "{a}", "{b}"],
        ["compat", "{a}", "{b}"],
        ["compat", "{a}", "--to", "11.1"],
        ["cmdline", "{a}"],
        ["trace", "{a}"],
        ["trace", "{a}", "--later", "{b}"],
        ["forge", "{a}", "-d", "e1000e", "--pending", "1", "-o", "{out}"],
        ["replay", "--record", "{a}", "-d", "e1000e"],
        ["explain", "--text", "load of migration failed: Invalid argument", "--stream", "{a}"],
    ],
    ids=lambda words: " ".join(words[:1]),
)
def test_each_command_shows_how_far_it_has_read(
    arguments: list[str], on: Callable[..., Screen], sample: Path, tmp_path: Path
) -> None:
    """A stream in xz is read to its end, whatever is asked."""
    places = {"a": sample, "b": OTHER, "out": tmp_path / "out"}
    words = [word.format(**places) for word in arguments]
    screen = on()
    run(words)
    shown = screen.new()
    assert len(words) < 2 or "━" in shown
    screen = on()
    run([*words, "--quiet", *(["--force"] if "{out}" in arguments else [])])
    assert "━" not in screen.new()


def test_diff_of_fields_shows_how_far_it_is_through_ram(on: Callable[..., Screen], tmp_path: Path) -> None:
    screen = on()
    run(["diff", "--fields", str(OTHER), str(OTHER)])
    assert "RAM of" in screen.new()
