"""`msixtool explain`, from outside."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool.cli import run
from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, unpacked
from tests.tasks.explain_logs import LOGS

Tool = Callable[..., Result]

EXAMPLE = LOGS / "example-7.2.log"
CONFIG = "get_pci_config_device: Bad config data: i=0x9a read: 3 device: 8 cmask: ff wmask: 0 w1cmask:0"


class _Pipe(io.TextIOWrapper):
    """Standard input that is a pipe, or a terminal."""

    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_log_is_explained_and_the_status_says_so(msixtool: Tool) -> None:
    result = msixtool("explain", EXAMPLE, "--json")
    assert (result.status, result.err) == (1, "")
    document = result.json
    assert document["schema"] == "msixtool.explain/1"
    assert document["source"] == {"path": str(EXAMPLE), "size": EXAMPLE.stat().st_size, "layers": []}
    assert document["stream"] is None
    assert document["damage"] == []
    (explanation,) = document["explanations"]
    assert explanation == {
        "line": 1,
        "text": CONFIG,
        "known": True,
        "code": "config-mismatch",
        "section": "0000:00:02.0/virtio-net",
        "instance": 0,
        "config_offset": 0x9A,
        "field": "MSI-X table size",
        "source": 3,
        "target": 8,
        "message": explanation["message"],
        "advice": explanation["advice"],
        "lines": [1, 2, 3, 4, 5],
        "again": [],
        "qemu": {"min": "2.4", "max": "10.1"},
    }
    assert "4 vectors in the stream, 9 vectors in the target" in explanation["message"]
    assert "vectors=" in explanation["advice"]


def test_the_stream_is_looked_at_and_named_in_the_document(msixtool: Tool, sample: Path) -> None:
    document = msixtool("explain", EXAMPLE, "--stream", sample, "--json").json
    assert document["stream"]["path"] == str(sample)
    assert document["stream"]["layers"] == [{"kind": "xz"}]
    assert "as a rule" not in document["explanations"][0]["message"]


def test_a_text_is_explained_like_a_log(msixtool: Tool) -> None:
    result = msixtool("explain", "--text", f"x\\n{CONFIG}", "--json")
    assert result.status == 1
    assert result.json["source"]["path"] is None
    assert result.json["explanations"][0]["config_offset"] == 0x9A


@pytest.mark.parametrize("arguments", [["explain", "-"], ["explain"]])
def test_standard_input_is_read(
    msixtool: Tool, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", _Pipe(EXAMPLE.read_bytes()))
    result = msixtool(*arguments, "--json")
    assert result.status == 1
    assert result.json["source"]["path"] == "-"


def test_nothing_known_is_status_0(msixtool: Tool) -> None:
    result = msixtool("explain", "--text", "all is well")
    assert (result.status, result.err) == (0, "")
    assert "No known failure" in result.out
    assert msixtool("explain", "--text", "", "--json").json["explanations"] == []


def test_wrong_use_is_status_2(msixtool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", _Pipe(b"", terminal=True))
    for arguments, said in (
        (["explain"], "give a LOG"),
        (["explain", EXAMPLE, "--text", "x"], "not both"),
        (["explain", EXAMPLE, "--offset", "3"], "--stream"),
        (["explain", "-", "--stream", "-"], "standard input"),
        (["explain", tmp_path / "missing"], "missing"),
        (["explain", tmp_path], str(tmp_path)),
        (["explain", EXAMPLE, "--stream", tmp_path / "none"], "none"),
        (["explain", EXAMPLE, "--stream", EXAMPLE], "stream"),
    ):
        result = msixtool(*arguments)
        assert (result.status, result.out) == (2, ""), arguments
        assert said in result.error_line


def test_a_damaged_stream_is_named_and_what_can_be_said_is_said(
    msixtool: Tool, sample: Path, tmp_path: Path
) -> None:
    data = unpacked(sample)
    cut = tmp_path / "cut.mig"
    cut.write_bytes(data[: len(data) // 2])
    result = msixtool("explain", EXAMPLE, "--stream", cut, "--json")
    assert result.status == 2
    assert result.json["explanations"][0]["config_offset"] == 0x9A
    assert result.json["damage"]
    assert "damaged" in result.err


def test_people_read_it_in_80_columns(msixtool: Tool) -> None:
    for version in ("5.2", "11.1"):
        result = msixtool("explain", LOGS / f"{version}.log")
        assert result.status == 1
        assert max(map(len, result.out.splitlines())) <= 80


def test_repetitions_are_listed_and_a_flood_of_failures_is_cut(msixtool: Tool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(EXAMPLE.read_bytes() * 12)
    out = msixtool("explain", log).out
    assert "Again: line 6, 11, 16, 21, 26, 31, 36, 41 and 3 more" in out
    log.write_text("".join(f"{CONFIG.replace('0x9a', hex(offset))}\n" for offset in range(1100)))
    result = msixtool("explain", log, "--json")
    assert len(result.json["explanations"]) == 1000
    assert "only the first 1000" in result.error_line


def examples() -> list[tuple[str, str]]:
    """The commands in docs/explain.md that are shown with what they print."""
    text = (REPOSITORY / "docs" / "explain.md").read_text()
    blocks = re.findall(r"^```\n\$ (msixtool .*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [(command, output) for command, output in blocks]


@pytest.mark.parametrize(("command", "output"), examples(), ids=range(len(examples())))
def test_the_documentation_shows_what_is_printed(
    command: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert run(command.split()[1:]) == 1
    assert capsys.readouterr().out == output


def test_the_documentation_shows_the_log_as_it_is() -> None:
    assert len(examples()) == 3
    assert EXAMPLE.read_text() in (REPOSITORY / "docs" / "explain.md").read_text()


def test_the_logs_of_both_sides_are_put_together(msixtool: Tool, tmp_path: Path) -> None:
    source = tmp_path / "source.log"
    source.write_text("qemu-kvm: Unable to write to socket: Broken pipe\n")
    result = msixtool("explain", source, EXAMPLE, "--json")
    assert result.status == 1
    first, second = result.json["explanations"]
    assert (first["log"], first["text"]) == (str(EXAMPLE), CONFIG)
    assert second["log"] == str(source)
    assert f"{EXAMPLE}, line 1: {CONFIG}" in second["advice"]
    printed = "".join(msixtool("explain", source, EXAMPLE).out.split())
    assert printed.index("example-7.2.log,line1:") < printed.index("source.log,line1:")
