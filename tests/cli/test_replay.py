"""`msixtool replay`, from outside."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY

Tool = Callable[..., Result]

SCRIPT = """\
# a vector at work
init 2
use 0
entry 0 0xfee00000 0x4031 0   # CPU 0
bus-master on
enable
notify 0
expect message 0 data=0x4031
read table 8
expect value 0x4031
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "one.replay"
    path.write_text(SCRIPT)
    return path


def test_a_script_is_a_table_of_what_happens(msixtool: Tool, script: Path) -> None:
    result = msixtool("replay", script)
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["Line", "Action", "What", "happens"]
    assert "   3  use 0                               vector 0 used (count 1)" in lines
    assert "   7  notify 0                            message of vector 0: 0x4031 to" in lines
    assert "0xfee00000 (CPU 0 vector 0x31)" in result.out
    assert "   9  read table 8                        read 0x4031" in lines
    assert "  10  expect value 0x4031                 holds" in lines
    assert lines[-1] == "7 actions, 2 expectations: nothing fails."


def test_json_is_one_line_for_each_action(msixtool: Tool, script: Path) -> None:
    result = msixtool("replay", "--json", script)
    steps = [json.loads(line) for line in result.out.splitlines()]
    assert [(step["line"], step["action"], step["ok"]) for step in steps] == [
        (2, "init 2", True),
        (3, "use 0", True),
        (4, "entry 0 0xfee00000 0x4031 0", True),
        (5, "bus-master on", True),
        (6, "enable", True),
        (7, "notify 0", True),
        (8, "expect message 0 data=0x4031", True),
        (9, "read table 8", True),
        (10, "expect value 0x4031", True),
    ]
    assert steps[5]["events"] == [{"event": "message", "vector": 0, "address": 0xFEE00000, "data": 0x4031}]
    assert steps[4]["events"][0] == {"event": "function-mask", "masked": False, "was": True}
    assert [step.get("value") for step in steps[-2:]] == [0x4031, None]


def test_a_failing_expectation_gives_status_1_and_its_line(msixtool: Tool, script: Path) -> None:
    script.write_text(SCRIPT.replace("data=0x4031", "data=0x4032"))
    result = msixtool("replay", script)
    assert (result.status, result.err) == (1, "")
    row = next(line for line in result.out.splitlines() if "FAILS" in line)
    assert row.split() == ["8", "expect", "message", "0", "data=0x4032", "FAILS:", "data", "is", "0x4031"]
    assert result.out.splitlines()[-1] == "7 actions, 2 expectations: 1 line fails."
    result = msixtool("replay", "--json", script)
    failed = [step for step in map(json.loads, result.out.splitlines()) if not step["ok"]]
    assert result.status == 1
    assert [(step["line"], step["failure"], step["events"]) for step in failed] == [(8, "data is 0x4031", [])]


def test_what_qemu_refuses_is_a_failure_unless_it_is_expected(msixtool: Tool, script: Path) -> None:
    script.write_text("init 2\nnotify 2\nexpect no message\n")
    result = msixtool("replay", script)
    assert result.status == 1
    assert "error: QEMU aborts: no such" in result.out
    assert "FAILS: the script does not" in result.out
    script.write_text("init 2\nnotify 2\nexpect error 'QEMU aborts'\n")
    assert msixtool("replay", script).status == 0
    script.write_text("init 2\nnotify 2\n")
    assert msixtool("replay", "--qemu-version", "7.1", script).status == 0


def test_a_wrong_script_plays_nothing_and_names_script_and_line(msixtool: Tool, script: Path) -> None:
    script.write_text(SCRIPT + "notfy 0\n")
    result = msixtool("replay", script)
    assert (result.status, result.out) == (2, "")
    assert result.error_line.startswith(
        f"msixtool: {script}:11: unknown action (did you mean 'notify'?): expected one of qemu-version"
    )
    assert result.error_line.endswith("found 'notfy'")


def test_a_file_that_is_missing_ends_the_script_with_its_line(msixtool: Tool, script: Path) -> None:
    script.write_text("init 2\nload nowhere\nnotify 0\n")
    result = msixtool("replay", "--json", script)
    assert result.status == 2
    assert [json.loads(line)["line"] for line in result.out.splitlines()] == [1]
    assert result.error_line.startswith(f"msixtool: {script}:2: nowhere: cannot be read")


def test_a_script_comes_from_standard_input(msixtool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"init 2\nfoo")))
    assert msixtool("replay", "-").error_line.startswith("msixtool: -:2: unknown action")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SCRIPT.encode())))
    assert msixtool("replay", "-").status == 0


def test_files_are_looked_for_beside_the_script(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    story = REPOSITORY / "samples" / "function-mask.replay"
    assert msixtool("replay", story).status == 0


@pytest.mark.parametrize(
    "story", sorted((REPOSITORY / "samples").glob("*.replay")), ids=lambda path: path.stem
)
def test_a_story_is_printed_in_80_columns(msixtool: Tool, story: Path) -> None:
    result = msixtool("replay", story)
    assert result.status == 0
    assert max(map(len, result.out.splitlines())) <= 80


def test_a_dash_in_a_script_is_a_file_and_not_standard_input(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"stream - e1000e\n")))
    assert msixtool("replay", "-").error_line.startswith("msixtool: -:1: ./-: ")


def test_long_words_are_broken_to_80_columns_and_cut_where_nobody_reads_on(
    msixtool: Tool, script: Path
) -> None:
    name = "x" * 5000
    script.write_text(f"init 2\nexpect state {name}\n")
    result = msixtool("replay", script)
    assert max(map(len, result.out.splitlines())) == 80
    assert len(result.out) < 3000
    assert name in msixtool("replay", "--json", script).out


def test_the_load_path_of_a_device_is_recorded_as_a_script(
    msixtool: Tool, sample: Path, tmp_path: Path
) -> None:
    recorded = msixtool("replay", "--record", sample, "--device", "e1000e", "--qemu-version", "7.2")
    assert (recorded.status, recorded.err) == (0, "")
    assert f"in {sample}, as QEMU 7.2 goes it" in recorded.out.splitlines()[0]
    path = tmp_path / "recorded.replay"
    path.write_text(recorded.out)
    played = msixtool("replay", "--json", path)
    steps = [json.loads(line) for line in played.out.splitlines()]
    assert (played.status, all(step["ok"] for step in steps)) == (0, True)
    loaded = msixtool("load", "--json", sample, "--device", "e1000e").json["devices"][0]
    assert next(step["events"] for step in steps if step["action"] == "load stream") == loaded["events"]


def test_of_a_damaged_stream_the_device_is_recorded_and_the_status_2(
    msixtool: Tool, raw_sample: Path
) -> None:
    raw_sample.write_bytes(raw_sample.read_bytes()[:-1000])
    result = msixtool("replay", "--record", raw_sample, "--device", "e1000e")
    assert result.status == 2
    assert "load stream" in result.out
    assert "damaged" in result.err


def test_one_device_is_recorded(msixtool: Tool, sample: Path) -> None:
    result = msixtool("replay", "--record", sample, "--device", "virtio-*")
    assert (result.status, result.out) == (2, "")
    assert "0000:00:02.0/virtio-net" in result.error_line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.replay", "--record", "b.mig"],
        ["--record", "b.mig", "--json"],
        ["a.replay", "--device", "e1000e"],
        ["a.replay", "--offset", "1"],
        ["a.replay", "--snapshot", "x"],
        ["a.replay", "b.replay"],
    ],
)
def test_wrong_use_is_one_line_and_status_2(msixtool: Tool, arguments: list[str]) -> None:
    result = msixtool("replay", *arguments)
    assert (result.status, result.out) == (2, "")
    assert "--help" in result.error_line
