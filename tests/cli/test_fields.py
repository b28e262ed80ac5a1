"""`msixtool fields`, from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.cli.examples import check_examples
from tests.conftest import REPOSITORY, SAMPLES, unpacked

Tool = Callable[..., Result]

NVME = REPOSITORY / "samples" / "q35-nvme-igb-11.1.mig.xz"


def test_the_document_has_what_the_contract_promises(msixtool: Tool, sample: Path) -> None:
    result = msixtool("fields", sample, "--json")
    document = result.json
    assert result.status == 0
    assert document["schema"] == "msixtool.fields/1"
    assert document["source"]["layers"] == [{"kind": "xz"}]
    assert document["damage"] == []
    full = [row for row in msixtool("inspect", sample, "--json").json["sections"] if row["type"] == "full"]
    for shown, section in zip(document["sections"], full, strict=True):
        assert shown.keys() == {"name", "instance", "id", "version", "offset", "length", "fields"}
        assert {key: shown[key] for key in section if key != "type"} == {
            key: value for key, value in section.items() if key != "type"
        }


def test_numbers_are_numbers_and_buffers_are_hex(msixtool: Tool, sample: Path) -> None:
    sections = {s["name"]: s["fields"] for s in msixtool("fields", sample, "--json").json["sections"]}
    assert sections["apic"]["apicbase"] == 0xFEE00900
    assert sections["apic"]["lvt"] == [0x10000] * 6
    assert sections["apic"]["timer_expiry"] == -1
    assert sections["ps2kbd"]["parent_obj"]["write_cmd"] == -1
    assert sections["mc146818rtc"]["cmos_data"][:2] == "00"
    assert len(sections["mc146818rtc"]["cmos_data"]) == 256
    assert sections["0000:00:05.0/xhci"]["xhci"]["slots"][63] == {"enabled": False, "addressed": False}
    assert sections["0000:00:1f.0/ICH9LPC"]["pm"]["ich9_pm/tco"]["tco_regs"]["tco.tmr"] == 4
    assert sections["0000:00:04.0/e1000e"]["parent_obj[0]"]["irq_state"] == [0, 0, 0, 0]
    assert sections["0000:00:02.0/virtio-net"]["virtio"]["queues"][1]["vector"] == 2


def test_pointers_that_are_null_are_null(msixtool: Tool) -> None:
    (nvme,) = msixtool("fields", NVME, "--device", "nvme", "--json").json["sections"]
    assert nvme["fields"]["sq"] == [None] * 65
    assert nvme["fields"]["aer_queue"] == []


def test_any_section_can_be_selected(msixtool: Tool, sample: Path) -> None:
    def selected(pattern: str) -> list[tuple[str, int]]:
        document = msixtool("fields", sample, "--device", pattern, "--json").json
        return [(section["name"], section["instance"]) for section in document["sections"]]

    assert selected("i8259") == [("i8259", 0), ("i8259", 1)]
    assert selected("i8259@1") == [("i8259", 1)]
    assert selected("0000:00:04.0") == [("0000:00:04.0/e1000e", 0)]
    result = msixtool("fields", sample, "--device", "nvme")
    assert result.status == 2
    assert re.search("no section matches 'nvme': expected .*apic", result.error_line)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name.removesuffix(".mig.xz"))
def test_people_get_lines_that_fit_and_are_not_endless(msixtool: Tool, path: Path) -> None:
    result = msixtool("fields", path)
    lines = result.out.splitlines()
    assert result.status == 0
    assert max(map(len, lines)) <= 80
    assert len(lines) < 1500
    assert [line for line in lines if line.startswith("0000:00:02.0/")]


def test_people_read_names_values_and_what_was_folded(msixtool: Tool, sample: Path) -> None:
    out = msixtool("fields", sample, "--device", "xhci").out
    assert "0000:00:05.0/xhci  section 41, 5343 bytes at 0x" in out
    assert "\n  parent_obj[0]\n    version_id  2\n" in out
    assert "    irq_state   0 x4\n" in out
    assert "    config[1]   4096 bytes, 36 1b 0d 00" in out
    assert "\n      [0-63] enabled=false, addressed=false\n" in out
    assert "    mfwrap_timer   off\n" in out


def test_all_folds_nothing(msixtool: Tool, sample: Path) -> None:
    out = msixtool("fields", sample, "--device", "xhci", "--all").out
    assert "\n      [63] enabled=false, addressed=false\n" in out
    assert " …" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_long_arrays_are_folded_by_runs_and_at_the_end(msixtool: Tool, sample: Path) -> None:
    out = msixtool("fields", sample, "--device", "e1000e").out
    assert re.search(r"\n  core\.mac +0x140241, 0, 0x202, 0, 0x300, 2, 0 x8, ", out)
    assert re.search(r"… 32768 values\n", out)
    assert not re.search(r"\n *x\d", out)
    whole = msixtool("fields", sample, "--device", "e1000e", "--all").out
    assert len(whole) > 10 * len(out)


def test_desc_prints_the_vmdesc(msixtool: Tool, sample: Path) -> None:
    data = unpacked(sample)
    text = data[data.index(b'{"page_size"') :]
    result = msixtool("fields", sample, "--desc")
    assert result.status == 0
    assert json.loads(result.out) == json.loads(text)
    (xhci,) = json.loads(msixtool("fields", sample, "--desc", "--device", "xhci").out)
    assert xhci == next(d for d in json.loads(text)["devices"] if d["name"].endswith("/xhci"))
    document = msixtool("fields", sample, "--desc", "--json").json
    assert document["schema"] == "msixtool.vmdesc/1"
    assert document["vmdesc"] == json.loads(text)


def test_desc_keeps_names_that_repeat(msixtool: Tool, raw_sample: Path) -> None:
    data = raw_sample.read_bytes()
    start = data.index(b'{"page_size"')
    text = data[start:].replace(
        b'{"name": "patched", "type": "uint8", "size": 1}',
        b'{"name": "patched", "type": "qlist", "vmsd_name": "a", "fields": [],'
        b' "vmsd_name": "b", "fields": [], "size": 1}',
    )
    raw_sample.write_bytes(data[: start - 4] + len(text).to_bytes(4, "big") + text)
    out = msixtool("fields", raw_sample, "--desc", "--device", "acpi_build").out
    assert re.search(r'"vmsd_name": "a",\s+"fields": \[\],\s+"vmsd_name": "b"', out)


def test_a_stream_without_vmdesc_has_none_to_print(msixtool: Tool) -> None:
    result = msixtool("fields", REPOSITORY / "tests" / "data" / "rare" / "no-vmdesc-7.2.mig.xz", "--desc")
    assert result.status == 2
    assert result.error_line.endswith("the stream has no vmdesc")


@pytest.mark.parametrize(("cut", "how"), [(200_000, "cut"), (362_000, "damaged")])
def test_of_a_stream_that_is_cut_desc_says_why_there_is_no_vmdesc(
    msixtool: Tool, raw_sample: Path, cut: int, how: str
) -> None:
    raw_sample.write_bytes(raw_sample.read_bytes()[:cut])
    result = msixtool("fields", raw_sample, "--desc")
    assert result.status == 2
    assert f"has no vmdesc: found a stream that is {how}: offset 0x" in result.error_line


def test_what_contradicts_its_vmdesc_is_given_in_hex_and_named(msixtool: Tool, raw_sample: Path) -> None:
    data = raw_sample.read_bytes()
    raw_sample.write_bytes(
        data.replace(
            b'{"name": "portsc", "type": "uint32", "size": 4}',
            b'{"name": "portsc", "type": "uint16", "size": 2}',
        )
    )
    result = msixtool("fields", raw_sample, "--device", "xhci", "--json")
    assert result.status == 2
    assert "section 0000:00:05.0/xhci: vmdesc of xhci-port" in result.error_line
    assert result.json["sections"][0]["fields"].keys() == {"data"}
    assert len(result.json["damage"]) == 1
    assert msixtool("fields", raw_sample, "--device", "apic").status == 0


def test_a_truncated_stream_shows_what_is_left(msixtool: Tool, raw_sample: Path) -> None:
    data = raw_sample.read_bytes()
    raw_sample.write_bytes(data[: data.index(b"/e1000e") + 3000])
    result = msixtool("fields", raw_sample, "--json")
    assert result.status == 2
    assert result.json["damage"]
    names = [section["name"] for section in result.json["sections"]]
    assert names[-1] == "0000:00:04.0/e1000e"
    assert "0000:00:02.0/virtio-net" in names


def test_several_files_give_a_document_a_line(msixtool: Tool, sample: Path) -> None:
    result = msixtool("fields", sample, NVME, "--device", "xhci", "--json")
    assert [json.loads(line)["source"]["path"] for line in result.out.splitlines()] == [
        str(sample),
        str(NVME),
    ]
    result = msixtool("fields", sample, NVME, "--device", "xhci", "--desc", "--json")
    assert len(result.out.splitlines()) == 2


def test_the_examples_of_the_docs_print_what_they_show(tmp_path: Path) -> None:
    check_examples("fields.md", tmp_path, 1)
