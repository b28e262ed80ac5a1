"""`msixtool validate` from outside: documents, lines, statuses."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from pathlib import Path

import pytest

from msixtool.cli import run
from tests.conftest import REPOSITORY
from tests.tasks.rule_streams import CASES, SAMPLE, Editor, sample

FIELDS = {"rule", "severity", "device", "vector", "offset", "message"}


def broken(rule: str, folder: Path) -> Path:
    path = folder / f"{rule}.mig"
    path.write_bytes(CASES[rule].edit(Editor(sample())))
    return path


def test_a_sound_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(SAMPLE)]) == 0
    assert capsys.readouterr().out == f"{SAMPLE}: nothing to report\n"


def test_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken("pending-unmasked", tmp_path)
    assert run(["validate", "--json", str(path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "msixtool.validate/1"
    assert document["source"] == {"path": str(path), "size": len(sample()), "layers": []}
    assert document["ok"] is True
    (finding,) = document["findings"]
    assert set(finding) >= FIELDS
    assert (finding["rule"], finding["severity"]) == ("pending-unmasked", "warning")
    assert (finding["device"], finding["vector"]) == ("0000:00:04.0/e1000e", 0)
    assert finding["offset"] == Editor(sample()).pba()


@pytest.mark.parametrize(
    ("rule", "status"),
    [("virtio-vector", 1), ("footer-missing", 1), ("truncated", 1), ("vmdesc", 1), ("pending-unmasked", 0)],
)
def test_the_status_is_1_where_there_is_an_error(
    rule: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(broken(rule, tmp_path))
    assert run(["validate", "--json", path]) == status
    assert json.loads(capsys.readouterr().out)["ok"] is (status == 0)
    assert run(["validate", path]) == status


def test_a_compressed_file_that_is_cut_behind_the_header_of_a_section_is_read_up_to_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytes(sample())
    start = next(item for item in Editor(data).index.items if item.idstr == "fw_cfg").data_offset
    path = tmp_path / "cut"
    path.write_bytes(gzip.compress(data[:start])[:-8])
    assert run(["validate", "--json", str(path)]) == 1
    found = [each["message"] for each in json.loads(capsys.readouterr().out)["findings"]]
    assert any("data is cut short" in message for message in found)


def test_a_file_that_is_no_stream_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text"
    path.write_text("hello\n")
    assert run(["validate", "--json", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"msixtool: {path}: no QEMU migration stream")
    assert captured.err.count("\n") == 1


def test_several_files_give_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(broken("virtio-vector", tmp_path)), str(SAMPLE), str(tmp_path / "missing")]
    assert run(["validate", "--json", *paths]) == 2
    captured = capsys.readouterr()
    documents = [json.loads(line) for line in captured.out.splitlines()]
    assert [(d["source"]["path"], d["ok"]) for d in documents] == [(paths[0], False), (paths[1], True)]
    assert "missing" in captured.err


def test_an_error_that_is_ignored_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(broken("virtio-vector", tmp_path))
    assert run(["validate", "--ignore", "virtio-vector", path]) == 0
    assert "nothing to report" in capsys.readouterr().out


def test_what_is_below_a_severity_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(broken("pending-unmasked", tmp_path))
    assert run(["validate", "--severity", "error", path]) == 0
    assert capsys.readouterr().out == f"{path}: nothing to report\n"


def test_an_unknown_rule_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--ignore", "nonsense", str(SAMPLE)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("msixtool: no rule 'nonsense': expected one of ")


def test_a_line_has_severity_device_vector_offset_and_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["validate", str(broken("pending-unmasked", tmp_path))])
    first, second, *_, last = capsys.readouterr().out.splitlines()
    place = f"{Editor(sample()).pba():#x}"
    assert first.split() == ["warning", "0000:00:04.0/e1000e", "vector", "0", place, "pending-unmasked"]
    assert second.strip().startswith("pending though enabled and unmasked")
    assert last.endswith(": 1 warning")


def test_the_same_of_several_vectors_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit = Editor(sample())
    for vector in range(3, 16):
        edit.put(edit.entry(vector, 12, "xhci"), 0)
    path = tmp_path / "many.mig"
    path.write_bytes(bytes(edit.data))
    run(["validate", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "vectors 3-15" in lines[0]
    assert lines[-1].endswith(": 13 warnings")


@pytest.mark.parametrize("rule", sorted(CASES))
def test_lines_fit_into_80_columns(rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f"
    path.write_bytes(CASES[rule].edit(Editor(CASES[rule].base())))
    run(["validate", str(path)])
    *lines, _ = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with broken("bus-master-off", tmp_path).open("rb") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(["validate", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [finding["rule"] for finding in document["findings"]] == ["bus-master-off"]


def test_the_story_in_the_docs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command of docs/validate.md that is shown with what it prints does print that."""
    text = (REPOSITORY / "docs" / "validate.md").read_text()
    blocks = re.findall(r"^```\n(\$ msixtool .*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    for block in blocks:
        *_, expected = re.split(r"^\$ .*?[^\\]\n", block, flags=re.MULTILINE | re.DOTALL)
        for command in re.findall(r"^\$ (.*?[^\\])\n", block, re.MULTILINE | re.DOTALL):
            capsys.readouterr()
            run(shlex.split(command.replace("\\\n", " "))[1:])
        if expected:
            assert capsys.readouterr().out == expected
