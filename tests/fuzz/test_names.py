"""Names that are no text, or hold what a terminal obeys: they are shown with escapes, and stop nothing."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from msixtool.cli import run
from msixtool.errors import InputError, visible
from tests.conftest import REPOSITORY

SAMPLE = REPOSITORY / "samples" / "q35-net-3-vectors-7.2.mig.xz"


@pytest.fixture
def odd_path(tmp_path: Path) -> str:
    """A stream in a file whose name is no UTF-8."""
    path = os.fsencode(tmp_path) + b"/\xff.xz"
    try:
        with open(path, "wb") as file:
            file.write(SAMPLE.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    return os.fsdecode(path)


@pytest.mark.parametrize(
    "words",
    [("inspect",), ("inspect", "--json"), ("show",), ("fields",), ("validate",), ("validate", "--json")],
    ids=" ".join,
)
def test_a_file_whose_name_is_no_text_is_read(
    words: tuple[str, ...], odd_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    assert run([*words, odd_path]) == 0
    out.seek(0)
    text = out.read()
    if "--json" in words:
        assert json.loads(text)["source"]["path"] == odd_path


def test_a_terminal_that_is_not_of_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    assert run(["inspect", str(SAMPLE), "--sections"]) == 0
    assert run(["--help"]) == 0


def test_what_a_terminal_obeys_is_shown_in_an_error() -> None:
    line = str(InputError("bad", path="a\x1b[2Jb", section="x\ny\x07", found="\udcff\x00"))
    assert line == r"a\x1b[2Jb, section x y\x07: bad: found \udcff\x00"


@pytest.mark.parametrize("text", ["", "plain", "é漢🙂", "0000:00:03.0/e1000e"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
