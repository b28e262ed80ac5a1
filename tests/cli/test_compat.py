"""`msixtool compat` from outside: what it prints, its document, its statuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result
from tests.cli.examples import check_examples
from tests.conftest import REPOSITORY, unpacked

SAMPLES = REPOSITORY / "samples"
FOUR = SAMPLES / "q35-net-4-vectors-7.2.mig.xz"
THREE = SAMPLES / "q35-net-3-vectors-7.2.mig.xz"
VIRTIO = SAMPLES / "q35-virtio-e1000e-7.2.mig.xz"

Tool = Callable[..., Result]


def test_the_document_has_the_findings_of_the_contract(msixtool: Tool) -> None:
    result = msixtool("compat", FOUR, THREE, "--json")
    assert (result.status, result.err) == (1, "")
    document = result.json
    assert {"schema", "source", "target", "compatible", "findings"} <= set(document)
    assert document["schema"] == "msixtool.compat/1"
    assert document["source"]["path"] == str(FOUR)
    assert document["target"]["layers"] == [{"kind": "xz"}]
    assert document["compatible"] is False
    (found,) = document["findings"]
    assert found == {
        "severity": "error",
        "code": "config-mismatch",
        "section": "0000:00:02.0/virtio-net",
        "instance": 0,
        "field": "MSI-X table size",
        "config_offset": 0x9A,
        "source": 3,
        "target": 2,
        "message": "MSI-X table size: 4 vectors, the target has 3",
        "advice": found["advice"],
    }
    assert "vectors=" in found["advice"]


def test_a_stream_that_loads_is_status_0_and_warnings_do_not_change_that(msixtool: Tool) -> None:
    assert msixtool("compat", FOUR, FOUR).status == 0
    result = msixtool("compat", VIRTIO, VIRTIO, "--json")
    assert (result.status, result.json["findings"]) == (0, []), "nothing differs"
    result = msixtool("compat", VIRTIO, VIRTIO, "--strict", "--json")
    assert (result.status, result.json["compatible"]) == (0, True)
    assert {(f["severity"], f["code"]) for f in result.json["findings"]} == {("warning", "undecided")}


def test_what_a_damaged_target_seems_not_to_have_is_undecided_and_the_status_is_2(
    msixtool: Tool, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(unpacked(VIRTIO)[:200_000])
    result = msixtool("compat", VIRTIO, cut, "--json")
    assert result.status == 2
    assert result.error_line.startswith(f"msixtool: {cut}: damaged: ")
    document = result.json
    assert document["compatible"] is True
    assert {(found["severity"], found["code"]) for found in document["findings"]} == {
        ("warning", "undecided")
    }
    assert "0000:00:05.0/xhci" in {found["section"] for found in document["findings"]}
    assert [line.partition(": ")[0] for line in document["damage"]] == [str(cut)]
    rows = msixtool("compat", VIRTIO, FOUR, cut)
    assert (rows.status, rows.error_line) == (2, result.error_line)


def test_a_damaged_source_does_not_load_and_its_damage_is_in_the_document(
    msixtool: Tool, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(unpacked(VIRTIO)[:200_000])
    result = msixtool("compat", cut, VIRTIO, "--json")
    assert (result.status, result.json["compatible"]) == (2, False)
    assert result.json["findings"][0]["code"] == "stream"
    assert [line.partition(": ")[0] for line in result.json["damage"]] == [str(cut)]
    assert msixtool("compat", VIRTIO, VIRTIO, "--json").json["damage"] == []


def test_the_target_version_decides_what_its_style_leaves_open(msixtool: Tool) -> None:
    assert msixtool("compat", VIRTIO, VIRTIO, "--target-version", "5.2").status == 1
    assert msixtool("compat", VIRTIO, VIRTIO, "--target-version", "7.2").status == 0
    result = msixtool("compat", VIRTIO, VIRTIO, "--target-version", "new")
    assert result.status == 2
    assert "QEMU version" in result.error_line


def test_many_sources_are_a_row_each_and_a_summary(msixtool: Tool, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(FOUR, tmp_path / "a" / "four.mig.xz")
    shutil.copy(THREE, tmp_path / "three.mig.xz")
    (tmp_path / "notes.txt").write_text("nothing\n")
    result = msixtool("compat", tmp_path, THREE)
    assert result.status == 1
    lines = [line.split() for line in result.out.splitlines()]
    assert ["Stream", "Loads", "Reasons", "First", "reason"] in lines
    assert ["a/four.mig.xz", "no", "1", "0000:00:02.0/virtio-net:"] in [line[:4] for line in lines]
    assert ["three.mig.xz", "yes", "-"] in lines
    assert ["2", "streams"] in lines
    assert ["1", "would", "load"] in lines
    assert "   1  config-mismatch of virtio-net: MSI-X table size" in result.out.splitlines()
    assert "notes.txt" in result.error_line
    assert "left out" in result.error_line


def test_many_sources_are_a_document_a_line(msixtool: Tool) -> None:
    result = msixtool("compat", FOUR, THREE, THREE, "--json")
    documents = [json.loads(line) for line in result.out.splitlines()]
    assert [document["compatible"] for document in documents] == [False, True]


def test_one_source_of_many_that_cannot_be_read_is_named_and_the_others_go_on(
    msixtool: Tool, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mig"
    broken.write_bytes(b"QEVM\0\0\0\2")
    result = msixtool("compat", broken, THREE, THREE)
    assert result.status == 2
    assert "yes" in result.out
    assert str(broken) in result.error_line


def test_a_damaged_source_is_a_finding_and_status_2(msixtool: Tool, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mig"
    data = unpacked(FOUR)
    cut.write_bytes(data[: len(data) // 2])
    for target in ([FOUR], ["--to", "11.1"]):
        result = msixtool("compat", cut, *target, "--json")
        assert result.status == 2
        assert result.json["compatible"] is False
        assert result.json["findings"][0]["code"] == "stream"


def test_an_image_that_libvirt_refuses_does_not_load(msixtool: Tool) -> None:
    image = REPOSITORY / "tests" / "data" / "containers" / "libvirt-incomplete.xz"
    result = msixtool("compat", image, "--to", "11.1", "--json")
    assert (result.status, result.json["compatible"]) == (1, False)
    assert "libvirt marked the image as incomplete" in result.json["findings"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([FOUR], "no target"),
        ([FOUR, "--try", "--to", "11.1"], "--try needs --qemu"),
        ([FOUR, "--qemu", "x", "--to", "11.1"], "not both"),
        ([FOUR, "--qemu", "'"], "the command of QEMU"),
        ([FOUR, "--qemu", "/nowhere/qemu"], "cannot be started"),
        (["/nowhere/source", FOUR], "/nowhere/source"),
        ([FOUR, THREE, "--target-vmstate", "/nowhere/vmstate"], "/nowhere/vmstate"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(msixtool: Tool, arguments: list[Any], expected: str) -> None:
    result = msixtool("compat", *arguments)
    assert result.status == 2
    assert expected in result.error_line
    assert result.out == ""


def vmstate(folder: Path, name: str, size: int) -> Path:
    description = {
        "name": "dev",
        "version_id": 1,
        "minimum_version_id": 1,
        "Fields": [{"field": "a", "version_id": 0, "field_exists": False, "size": size}],
    }
    entry = {"Name": "dev", "version_id": 1, "minimum_version_id": 1, "Description": description}
    path = folder / name
    path.write_text(json.dumps({"vmschkmachine": {"Name": "pc-q35-7.2"}, "dev": entry}))
    return path


def test_two_vmstate_descriptions_are_compared(msixtool: Tool, tmp_path: Path) -> None:
    one, other = vmstate(tmp_path, "one.json", 4), vmstate(tmp_path, "other.json", 8)
    assert msixtool("compat", one, one).status == 0
    result = msixtool("compat", one, other, "--json")
    assert result.status == 1
    assert result.json["target"]["machine"] == "pc-q35-7.2"
    (found,) = result.json["findings"]
    assert (found["code"], found["section"], found["field"]) == ("section-layout", "dev", "dev/a")
    assert "dev/a: 4 bytes, the target has 8" in msixtool("compat", one, other).out


def test_a_description_and_a_stream_are_not_compared(msixtool: Tool, tmp_path: Path) -> None:
    one = vmstate(tmp_path, "one.json", 4)
    result = msixtool("compat", FOUR, one)
    assert result.status == 2
    assert "--target-vmstate" in result.error_line


def test_without_a_target_all_is_warnings(msixtool: Tool) -> None:
    result = msixtool("compat", VIRTIO, "--to", "11.1", "--json")
    assert (result.status, result.json["compatible"]) == (0, True)
    assert result.json["target"] == {"qemu": "11.1"}
    assert {finding["severity"] for finding in result.json["findings"]} == {"warning"}


def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    check_examples("compat.md", tmp_path, 3)


def test_advice_that_several_doubts_share_is_given_once(msixtool: Tool) -> None:
    out = msixtool("compat", SAMPLES / "q35-nvme-igb-11.1.mig.xz", "--to", "5.2").out
    assert out.count("warning: ") == 4
    assert out.count("Load it in a QEMU at least as new as the one that saved it") == 1
    assert out.count("Unplug it before the VM moves") == 1


def test_a_table_says_what_to_do_about_a_cause(msixtool: Tool) -> None:
    out = msixtool("compat", FOUR, VIRTIO, "--to", "5.2").out
    (cause,) = [
        number for number, line in enumerate(out.splitlines()) if line.startswith("   2  machine-type")
    ]
    assert (
        out.splitlines()[cause + 1] == "      Start VMs that are to move there with -machine …-5.2 or older."
    )


def test_a_file_without_xml_is_named_and_not_the_stream(msixtool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "domain.xml"
    file.write_text("no XML")
    result = msixtool("compat", FOUR, "--domain", file)
    assert result.status == 2
    assert f"{file}: the domain's XML is not taken" in result.err
    assert str(FOUR) not in result.err
