"""`msixtool show`, from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY

Tool = Callable[..., Result]


@pytest.fixture
def big_table() -> Path:
    return REPOSITORY / "samples" / "pc-2048-vectors-11.1.mig.xz"


def test_each_vector_with_address_data_mask_and_pending_bit(msixtool: Tool, sample: Path) -> None:
    result = msixtool("show", sample, "--json")
    assert result.status == 0
    assert result.json["schema"] == "msixtool.show/1"
    e1000e = next(d for d in result.json["devices"] if d["kind"] == "e1000e")
    assert e1000e["capability"] == {
        "offset": 0xA0,
        "control": 0x8004,
        "enabled": True,
        "function_mask": False,
        "table": {"bar": 3, "offset": 0},
        "pba": {"bar": 3, "offset": 0x2000},
    }
    assert [entry["masked"] for entry in e1000e["entries"]] == [False, False, True, False, True]
    assert [entry["vector"] for entry in e1000e["entries"] if entry["pending"]] == [2]
    assert e1000e["entries"][2] == {
        "vector": 2,
        "address": 0xFEE00000,
        "data": 0x4033,
        "control": 1,
        "masked": True,
        "pending": True,
    }
    assert (e1000e["pba"], e1000e["masked"], e1000e["pending"]) == ("04", 2, 1)


def test_the_document_gives_the_bytes_that_stand_in_the_stream(msixtool: Tool, raw_sample: Path) -> None:
    data = raw_sample.read_bytes()
    for device in msixtool("show", raw_sample, "--json").json["devices"]:
        at, n = device["offset"], device["vectors"]
        assert device["length"] == 16 * n + (n + 7) // 8
        first = device["entries"][0]
        assert data[at : at + 8] == first["address"].to_bytes(8, "little")
        assert data[at + 16 * n : at + device["length"]].hex() == device["pba"]


def test_virtio_vectors_say_what_they_serve(msixtool: Tool, sample: Path) -> None:
    device = msixtool("show", sample, "--json").json["devices"][0]
    assert (device["config_vector"], device["queue_vectors"][:2]) == (0, [1, 2])
    out = msixtool("show", sample, "--device", "virtio-net").out
    assert "config" in out
    assert "queue 0" in out


def test_the_capability_reads_as_lspci_prints_it(msixtool: Tool, sample: Path) -> None:
    out = msixtool("show", sample, "--device", "e1000e").out
    assert "Capabilities: [a0] MSI-X: Enable+ Count=5 Masked-" in out
    assert "Vector table: BAR=3 offset=00000000" in out
    assert "PBA: BAR=3 offset=00002000" in out


def test_messages_are_read_as_x86_interrupts_on_a_pc(msixtool: Tool, sample: Path) -> None:
    assert "CPU 0 vector 0x31" in msixtool("show", sample, "--device", "e1000e").out


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        ("0000:00:04.0/e1000e", ["e1000e"]),
        ("04.0", ["e1000e"]),
        ("00:04.0", ["e1000e"]),
        ("0000:00:04.0", ["e1000e"]),
        ("e1000e", ["e1000e"]),
        ("e1000e@0", ["e1000e"]),
        ("virtio-*", ["virtio-net", "virtio-blk"]),
        ("0000:00:0[45].0/*", ["e1000e", "xhci"]),
    ],
)
def test_a_device_goes_by_any_of_its_names(
    msixtool: Tool, sample: Path, pattern: str, kinds: list[str]
) -> None:
    document = msixtool("show", sample, "--json", "--device", pattern).json
    assert [device["kind"] for device in document["devices"]] == kinds


def test_a_device_that_is_not_there_is_named_with_the_candidates(msixtool: Tool, sample: Path) -> None:
    result = msixtool("show", sample, "--device", "nvme")
    assert (result.status, result.out) == (2, "")
    assert "nvme" in result.error_line
    assert "0000:00:04.0/e1000e" in result.error_line


def test_runs_of_untouched_vectors_fold_unless_all_is_asked_for(msixtool: Tool, big_table: Path) -> None:
    folded = msixtool("show", big_table).out.splitlines()
    assert any("untouched" in line for line in folded)
    assert len(folded) < 30
    assert max(map(len, folded)) <= 80
    assert len(msixtool("show", "--all", big_table).out.splitlines()) > 2048


def test_a_function_mask_is_said_in_words(msixtool: Tool) -> None:
    out = msixtool("show", REPOSITORY / "samples" / "q35-function-mask-7.2.mig.xz").out
    assert "Masked+" in out
    assert "function mask set" in out


def test_hex_gives_the_bytes_of_table_and_pba_with_their_offsets(msixtool: Tool, raw_sample: Path) -> None:
    device = msixtool("show", raw_sample, "--json", "--device", "e1000e").json["devices"][0]
    lines = msixtool("show", raw_sample, "--hex", "--device", "e1000e").out.splitlines()
    data = raw_sample.read_bytes()[device["offset"] : device["offset"] + device["length"]]
    rows = [line for line in lines if "vector " in line or "pending bits" in line]
    shown = bytes.fromhex("".join(row[10:45] for row in rows))
    assert shown == data
    assert rows[0].startswith(f"{device['offset']:08x}")


def test_several_streams_are_shown_one_document_a_line(msixtool: Tool, sample: Path, big_table: Path) -> None:
    lines = msixtool("show", "--json", sample, big_table).out.splitlines()
    assert [len(json.loads(line)["devices"]) for line in lines] == [4, 1]


def test_a_device_option_that_is_given_twice_selects_both(msixtool: Tool, sample: Path) -> None:
    result = msixtool("show", sample, "-d", "e1000e", "-d", "03.0", "--json")
    assert [device["kind"] for device in result.json["devices"]] == ["virtio-blk", "e1000e"]
    result = msixtool("fields", sample, "-d", "e1000e", "-d", "xhci", "--json")
    assert {section["name"].rpartition("/")[2] for section in result.json["sections"]} == {"e1000e", "xhci"}
