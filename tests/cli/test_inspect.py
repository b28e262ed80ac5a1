"""`msixtool inspect`, from outside."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, SAMPLES

Tool = Callable[..., Result]

DEVICE_FIELDS = {
    "name",
    "instance",
    "section",
    "kind",
    "offset",
    "length",
    "vectors",
    "capability",
    "bus_master",
    "function_masked",
    "masked",
    "pending",
    "config_vector",
    "queue_vectors",
}


def test_the_document_has_what_the_contract_promises(msixtool: Tool, sample: Path) -> None:
    result = msixtool("inspect", sample, "--json")
    document = result.json
    assert result.status == 0
    assert document["schema"] == "msixtool.inspect/1"
    assert document["source"] == {
        "path": str(sample),
        "size": sample.stat().st_size,
        "layers": [{"kind": "xz"}],
    }
    stream = document["stream"]
    assert stream["version"] == 3
    assert stream["machine"] == "pc-q35-7.2"
    assert stream["page_size"] == 4096
    assert stream["capabilities"] == []
    assert stream["vmdesc"] is True
    assert stream["footers"] is True
    assert stream["writer"] == {"min": "7.2", "max": "8.1"}
    assert document["damage"] == []
    for device in document["devices"]:
        assert device.keys() >= DEVICE_FIELDS
    assert [d["kind"] for d in document["devices"]] == ["virtio-net", "virtio-blk", "e1000e", "xhci"]


def test_sections_follow_each_other_without_a_gap(msixtool: Tool, stream_path: Path) -> None:
    document = msixtool("inspect", stream_path, "--json").json
    sections = document["sections"]
    assert document["damage"] == []
    for before, after in pairwise(sections):
        gap = after["offset"] - before["offset"] - before["length"]
        assert gap == (1 if after["type"] == "vmdescription" else 0), (before, after)
    assert (
        sections[-1]["offset"] + sections[-1]["length"] + (sections[-1]["type"] != "vmdescription")
        == document["stream"]["size"]
    )
    kinds = {section["type"] for section in sections}
    assert kinds <= {"configuration", "start", "part", "end", "full", "command", "vmdescription"}


def test_a_person_sees_machine_writer_and_every_device_in_80_columns(msixtool: Tool, sample: Path) -> None:
    result = msixtool("inspect", sample)
    assert result.status == 0
    assert "pc-q35-7.2" in result.out
    assert "QEMU 7.2 to 8.1" in result.out
    assert "QEMU migration stream in xz" in result.out
    for name in (
        "0000:00:02.0/virtio-net",
        "0000:00:03.0/virtio-blk",
        "0000:00:04.0/e1000e",
        "0000:00:05.0/xhci",
    ):
        assert name in result.out
    assert max(map(len, result.out.splitlines()[1:])) <= 80
    assert "\x1b" not in result.out


def test_sections_lists_the_anatomy_of_the_stream(msixtool: Tool, sample: Path) -> None:
    out = msixtool("inspect", "--sections", sample).out
    assert "configuration" in out
    assert "vmdescription" in out
    assert "0000:00:04.0/e1000e" in out
    assert "%" in out


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_writer_of_every_sample_is_among_the_versions_named(msixtool: Tool, path: Path) -> None:
    version = path.name.removesuffix(".mig.xz").rsplit("-", 1)[1]
    writer = msixtool("inspect", path, "--json").json["stream"]["writer"]

    def number(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    assert number(writer["min"]) <= number(version)
    assert writer["max"] is None or number(version) <= number(writer["max"])


def test_several_files_give_one_document_a_line_in_the_order_given(msixtool: Tool) -> None:
    result = msixtool("inspect", "--json", *SAMPLES[:3])
    documents = [json.loads(line) for line in result.out.splitlines()]
    assert [document["source"]["path"] for document in documents] == [str(path) for path in SAMPLES[:3]]


def test_one_bad_file_among_several_does_not_hide_the_others(msixtool: Tool, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    result = msixtool("inspect", "--json", SAMPLES[0], missing, SAMPLES[1])
    assert result.status == 2
    assert len(result.out.splitlines()) == 2
    assert str(missing) in result.error_line


def test_a_stream_at_an_offset_is_read(msixtool: Tool, raw_sample: Path, tmp_path: Path) -> None:
    padded = tmp_path / "padded"
    padded.write_bytes(bytes(512) + raw_sample.read_bytes())
    plain = msixtool("inspect", raw_sample, "--json").json
    shifted = msixtool("inspect", padded, "--offset", 512, "--json").json
    assert shifted["devices"] == plain["devices"]
    assert msixtool("inspect", padded).status == 2


def test_the_name_of_a_compressed_file_does_not_matter(
    msixtool: Tool, raw_sample: Path, tmp_path: Path
) -> None:
    disguised = tmp_path / "stream.txt"
    disguised.write_bytes(gzip.compress(raw_sample.read_bytes()))
    document = msixtool("inspect", disguised, "--json").json
    assert document["source"]["layers"] == [{"kind": "gzip"}]
    assert document["devices"] == msixtool("inspect", raw_sample, "--json").json["devices"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"hello, world\n" * 40, "QEVM"),
        (b"QEVM", "QEVM"),
        (b"QEVM\0\0\0\2" + bytes(64), "version"),
        (b"\x7fELF" + bytes(64), "QEVM"),
    ],
    ids=["empty", "text", "cut header", "old version", "ELF"],
)
def test_what_is_no_stream_is_one_line_and_status_2(
    msixtool: Tool, tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    result = msixtool("inspect", path)
    assert (result.status, result.out) == (2, "")
    assert expected in result.error_line
    assert str(path) in result.error_line


def test_a_missing_file_and_a_directory_are_one_line_and_status_2(msixtool: Tool, tmp_path: Path) -> None:
    assert "No such file" in msixtool("inspect", tmp_path / "missing").error_line
    result = msixtool("inspect", tmp_path)
    assert result.status == 2
    assert "directory" in result.error_line


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_stream_shows_what_could_be_read(msixtool: Tool, raw_sample: Path, share: float) -> None:
    data = raw_sample.read_bytes()
    raw_sample.write_bytes(data[: int(len(data) * share)])
    result = msixtool("inspect", raw_sample, "--json")
    assert result.status == 2
    assert result.json["damage"]
    assert "ends" in result.err
    assert result.json["stream"]["machine"] == "pc-q35-7.2"


def test_a_truncated_archive_shows_what_could_be_read(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mig.xz"
    path.write_bytes(sample.read_bytes()[:-400])
    result = msixtool("inspect", path, "--json")
    assert result.status == 2
    assert result.json["damage"]


def test_damage_is_named_on_standard_error_with_its_place(msixtool: Tool, raw_sample: Path) -> None:
    document = msixtool("inspect", raw_sample, "--json").json
    section = next(s for s in document["sections"] if s["name"] == "0000:00:04.0/e1000e")
    data = bytearray(raw_sample.read_bytes())
    data[section["offset"] + section["length"] - 5] ^= 0xFF
    raw_sample.write_bytes(data)
    result = msixtool("inspect", raw_sample)
    assert result.status == 2
    assert "0000:00:04.0/e1000e" in result.err
    assert f"{section['offset'] + section['length'] - 5:#x}" in result.err
    assert "0000:00:05.0/xhci" in result.out


def test_a_capability_list_that_loops_is_damage_and_the_device_is_still_shown(
    msixtool: Tool, raw_sample: Path
) -> None:
    before = msixtool("show", raw_sample, "--json").json["devices"][2]
    config = raw_sample.read_bytes().find(bytes.fromhex("8680d310"))
    data = bytearray(raw_sample.read_bytes())
    data[config + before["capability"]["offset"] + 1] = data[config + 0x34]
    raw_sample.write_bytes(data)
    result = msixtool("show", raw_sample, "--json")
    assert result.status == 2
    assert "leads back" in result.err
    assert result.json["devices"][2]["entries"] == before["entries"]


def test_the_samples_are_documented(msixtool: Tool) -> None:
    readme = (REPOSITORY / "samples" / "README.md").read_text()
    assert len(SAMPLES) >= 6
    for path in SAMPLES:
        assert path.name.removesuffix(".mig.xz") in readme
        assert path.stat().st_size < 16 << 10


def test_standard_input_is_read(sample: Path) -> None:
    with sample.open("rb") as file:
        run = subprocess.run(
            [sys.executable, "-m", "msixtool", "inspect", "-", "--json"],
            stdin=file,
            capture_output=True,
            check=True,
        )
    assert json.loads(run.stdout)["stream"]["machine"] == "pc-q35-7.2"
