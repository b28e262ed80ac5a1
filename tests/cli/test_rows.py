"""`--format csv` has an answer's rows, and `--only` some of many streams."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, unpacked

Tool = Callable[..., Result]
SAMPLES = REPOSITORY / "samples"
STREAMS = sorted(SAMPLES.glob("q35-*.mig.xz"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six streams, a cut one, and a file that is none."""
    made = tmp_path / "saves"
    made.mkdir()
    for path in STREAMS:
        shutil.copy(path, made)
    (made / "cut.mig.xz").write_bytes(STREAMS[-1].read_bytes()[:7000])
    (made / "notes.txt").write_text("nothing of the kind\n")
    return made


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.out)))


def test_a_row_of_inspect_is_a_stream(msixtool: Tool, folder: Path) -> None:
    result = msixtool("inspect", "--format", "csv", folder)
    found = rows(result)
    assert result.status == 2
    assert [Path(row["path"]).name for row in found] == ["cut.mig.xz", *(path.name for path in STREAMS)]
    assert found[-1] | {"path": ""} == {
        "path": "",
        "domain": "",
        "machine": "pc-q35-7.2",
        "qemu_min": "7.2",
        "qemu_max": "8.1",
        "devices": "4",
        "vectors": "27",
        "pending": "1",
        "damage": "0",
    }
    assert rows(msixtool("inspect", "--format=csv", STREAMS[-1])) == [found[-1] | {"path": str(STREAMS[-1])}]


@pytest.mark.parametrize("machine", ["=cmd|'1'!A", "@SUM(A1:2)", " +1+1+1+1+", "-1+1+1+1+1"])
def test_a_name_is_no_formula_of_a_spreadsheet(machine: str, msixtool: Tool, raw_sample: Path) -> None:
    raw_sample.write_bytes(raw_sample.read_bytes().replace(b"pc-q35-7.2", machine.encode()))
    found = rows(msixtool("inspect", "--format", "csv", raw_sample))
    assert [row["machine"] for row in found] == [f"'{machine}"]


def test_a_row_is_one_line_whatever_is_in_it(msixtool: Tool, tmp_path: Path) -> None:
    path = tmp_path / "a\nb.mig.xz"
    shutil.copy(STREAMS[-1], path)
    result = msixtool("inspect", "--format", "csv", path)
    assert [row["machine"] for row in rows(result)] == ["pc-q35-7.2"]
    assert len(result.out.splitlines()) == 2


def test_a_row_of_validate_is_a_finding(msixtool: Tool, folder: Path) -> None:
    (folder / "cut.mig.xz").unlink()
    found = rows(msixtool("validate", "--format", "csv", folder, "--jobs", "2"))
    assert [(row["severity"], row["rule"], row["vector"]) for row in found] == [
        ("info", "pending-function-masked", "0"),
        ("info", "pending-function-masked", "1"),
        ("info", "pending-function-masked", "3"),
        ("warning", "bus-master-off", ""),
    ]


def test_a_row_of_compat_is_a_source(msixtool: Tool, folder: Path) -> None:
    found = rows(msixtool("compat", "--format", "csv", folder, STREAMS[1]))
    loads = {Path(row["path"]).name: row["compatible"] for row in found}
    assert loads.pop(STREAMS[1].name) == "true"
    assert set(loads.values()) == {"false"}
    (row,) = (row for row in found if Path(row["path"]).name == STREAMS[2].name)
    assert (row["code"], row["section"]) == ("config-mismatch", "0000:00:02.0/virtio-net")


def test_a_row_of_trace_is_an_interrupt(msixtool: Tool) -> None:
    found = rows(msixtool("trace", "--format", "csv", SAMPLES / "hung" / "hung-7.2.mig.xz"))
    assert [(row["device"][-3:], row["vector"], row["owed"], row["verdict"]) for row in found][:3] == [
        ("blk", "0", "", "undecided"),
        ("blk", "1", "true", "suspect"),
        ("blk", "2", "false", "idle"),
    ]


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_rows_of_which_none_is_wanted_have_their_heading(
    msixtool: Tool, tmp_path: Path, command: str
) -> None:
    shutil.copy(STREAMS[-1], tmp_path)
    heading, *_ = msixtool(command, "--format", "csv", tmp_path).out.splitlines()
    assert msixtool(command, "--format", "csv", "--only", "damaged", tmp_path).out == f"{heading}\n"


def test_json_is_a_format(msixtool: Tool, sample: Path) -> None:
    assert msixtool("inspect", "--format", "json", sample) == msixtool("inspect", "--json", sample)


def test_in_a_folder_only_streams_are_validated_whatever_is_printed(msixtool: Tool, folder: Path) -> None:
    for how in ((), ("--json",), ("--format", "csv")):
        result = msixtool("validate", *how, folder)
        assert "SPEC" not in result.err
        assert "left out: 1 no stream" in result.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("inspect", "--only", "damaged"), {"cut.mig.xz"}),
        (("validate", "--only", "damaged"), {"cut.mig.xz"}),
        (("validate", "--only", "failing"), {"cut.mig.xz"}),
        (("compat", "--to", "11.1", "--only", "damaged"), {"cut.mig.xz"}),
    ],
)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_only_some_are_shown_and_all_count(
    arguments: tuple[str, ...], shown: set[str], jobs: str, msixtool: Tool, folder: Path
) -> None:
    table = msixtool(*arguments, folder, "--jobs", jobs)
    names = {line.split()[0] for line in table.out.splitlines() if ".mig.xz" in line}
    assert names == shown
    assert f"7 streams, {7 - len(shown)} not shown" in table.out
    lines = msixtool(*arguments, "--json", folder, "--jobs", jobs).out.splitlines()
    assert len(lines) == len(shown)
    assert table.status == msixtool(*arguments[:-2], folder).status


def test_one_stream_cannot_be_chosen_among(msixtool: Tool, sample: Path) -> None:
    result = msixtool("validate", "--only", "failing", sample)
    assert (result.status, result.out) == (2, "")
    assert "--only chooses among several streams" in result.error_line


def test_a_save_image_is_called_as_its_domain_is(msixtool: Tool, tmp_path: Path) -> None:
    image = unpacked(REPOSITORY / "tests" / "data" / "containers" / "libvirt-raw.xz")
    (tmp_path / "auto1.save").write_bytes(image)
    (tmp_path / "small.save").write_bytes(image)
    for command in (("inspect",), ("validate",), ("compat", "--to", "11.1")):
        table = msixtool(*command, tmp_path).out
        assert "auto1.save (small)" in table
        assert "small.save (small)" not in table
    assert "domain        small" in msixtool("inspect", tmp_path / "auto1.save").out
    assert [row["domain"] for row in rows(msixtool("inspect", "--format", "csv", tmp_path))] == ["small"] * 2
    layers = msixtool("inspect", "--json", tmp_path / "auto1.save").json["source"]["layers"]
    assert layers[0]["domain"] == "small"
