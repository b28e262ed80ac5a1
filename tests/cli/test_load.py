"""`msixtool load`, from outside."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, unpacked

Tool = Callable[..., Result]


@pytest.fixture
def lossy(msixtool: Tool, raw_sample: Path, tmp_path: Path) -> Path:
    """A stream in which virtio-blk has a pending vector that is live."""
    out = tmp_path / "lossy.mig"
    assert msixtool("forge", raw_sample, "-o", out, "--device", "virtio-blk", "--pending", "1").status == 0
    return out


def test_the_document_has_what_the_contract_promises(msixtool: Tool, lossy: Path) -> None:
    result = msixtool("load", lossy, "--device", "virtio-blk", "--json")
    document = result.json
    assert result.status == 1, "an interrupt is lost"
    assert document["schema"] == "msixtool.load/1"
    assert (document["ok"], document["refusals"]) == (True, [])
    (device,) = document["devices"]
    assert (device["name"], device["instance"]) == ("0000:00:03.0/virtio-blk", 0)
    assert device["events"][0] == {"event": "state-restored"}
    assert {"event": "message-dropped", "vector": 1, "reason": "vector-unused"} in device["events"]
    assert device["messages"] == [
        {
            "vector": 1,
            "address": 0xFEE00000,
            "data": 0x4027,
            "delivered": False,
            "reason": "vector-unused",
        }
    ]
    assert device["lost"] == [1]
    assert device["after"]["pba"] == "00"
    assert device["after"]["function_masked"] is False
    assert [entry["vector"] for entry in device["after"]["entries"]] == [0, 1]
    assert device["recovery"]


def test_a_person_is_told_that_an_interrupt_is_lost_and_what_may_bring_it_back(
    msixtool: Tool, lossy: Path
) -> None:
    out = msixtool("load", lossy, "--device", "virtio-blk").out
    assert "LOST      vector 1" in out
    assert "after msix_load" in " ".join(out.split())
    assert "1 lost" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_message_that_is_sent_says_which_cpu_and_vector_it_hits(
    msixtool: Tool, raw_sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "live.mig"
    msixtool("forge", raw_sample, "-o", out, "--device", "e1000e", "--unmask", "2")
    text = msixtool("load", out, "--device", "e1000e").out
    assert "sent      vector 2: 0x4033 to 0xfee00000 (CPU 0 vector 0x33)" in text
    assert "1 message sent, 0 lost" in text


def test_loading_what_a_load_left_changes_nothing(msixtool: Tool, lossy: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.mig", tmp_path / "twice.mig"
    assert msixtool("load", lossy, "-o", once).status == 1
    assert msixtool("load", once, "-o", twice).status == 0
    assert once.read_bytes() != lossy.read_bytes()
    assert twice.read_bytes() == once.read_bytes()
    assert msixtool("load", once, "--json").json["devices"][1]["lost"] == []


def test_the_output_is_never_the_input_nor_written_over(msixtool: Tool, lossy: Path, tmp_path: Path) -> None:
    before = lossy.read_bytes()
    assert msixtool("load", lossy, "-o", lossy, "--force").status == 2
    other = tmp_path / "other"
    other.write_text("mine")
    assert msixtool("load", lossy, "-o", other).status == 2
    assert (lossy.read_bytes(), other.read_text()) == (before, "mine")


def test_a_raw_vmstate_loads_with_its_kind(msixtool: Tool, lossy: Path, tmp_path: Path) -> None:
    raw, after = tmp_path / "state.bin", tmp_path / "after.bin"
    msixtool("save", lossy, "--device", "virtio-blk", "-o", raw)
    result = msixtool("load", raw, "--kind", "virtio-blk", "--vectors", 2, "--json", "-o", after)
    assert result.json["devices"][0]["lost"] == [1]
    assert after.read_bytes() == raw.read_bytes()[:-1] + b"\0"
    sent = msixtool("load", raw, "--kind", "e1000e", "--json").json["devices"][0]["messages"]
    assert [message["delivered"] for message in sent] == [True]


def test_a_spec_loads_as_the_stream_it_came_from(msixtool: Tool, lossy: Path, tmp_path: Path) -> None:
    spec, after = tmp_path / "blk.toml", tmp_path / "after.toml"
    msixtool("save", lossy, "--device", "virtio-blk", "--text", "-o", spec)
    result = msixtool("load", spec, "--json", "-o", after)
    stream = msixtool("load", lossy, "--device", "virtio-blk", "--json").json
    assert result.json["devices"] == stream["devices"]
    assert msixtool("load", after, "--json").json["devices"][0]["messages"] == []


def test_a_raw_vmstate_without_a_kind_and_with_a_wrong_count_are_refused(
    msixtool: Tool, lossy: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "state.bin"
    msixtool("save", lossy, "--device", "virtio-blk", "-o", raw)
    assert msixtool("load", raw).status == 2
    result = msixtool("load", raw, "--kind", "virtio-blk", "--vectors", 3)
    assert result.status == 2
    assert "expected 3 vectors, found 2 by its size" in result.error_line


def test_a_stream_that_qemu_refuses_is_status_1_with_the_finding(msixtool: Tool, raw_sample: Path) -> None:
    device = msixtool("show", raw_sample, "--json", "--device", "virtio-blk").json["devices"][0]
    data = bytearray(raw_sample.read_bytes())
    place = device["offset"] + device["length"]
    data[place : place + 2] = b"\0\x09"
    raw_sample.write_bytes(data)
    result = msixtool("load", raw_sample, "--json")
    assert result.status == 1
    assert result.json["ok"] is False
    (finding,) = result.json["refusals"]
    assert (finding["severity"], finding["code"]) == ("error", "vector-range")
    assert finding["section"] == "0000:00:03.0/virtio-blk"
    assert "the load fails" in msixtool("load", raw_sample).out


def test_a_damaged_stream_is_status_2_and_what_could_be_read_is_shown(
    msixtool: Tool, raw_sample: Path
) -> None:
    raw_sample.write_bytes(raw_sample.read_bytes()[:-100_000])
    result = msixtool("load", raw_sample, "--json")
    assert result.status == 2
    assert result.json["damage"]
    assert result.json["ok"] is False
    assert result.json["devices"]


def test_an_unknown_qemu_version_is_one_line(msixtool: Tool, sample: Path) -> None:
    assert "10.0" in msixtool("load", sample, "--qemu-version", "new").error_line


def test_a_file_that_is_nothing_of_all_this_is_one_line(msixtool: Tool) -> None:
    result = msixtool("load", REPOSITORY / "README.md")
    assert result.status == 2
    assert "README.md" in result.error_line


def test_every_sample_loads(msixtool: Tool, tmp_path: Path) -> None:
    for path in sorted((REPOSITORY / "samples").glob("*.mig.xz")):
        out = tmp_path / path.name
        assert msixtool("load", path, "-o", out).status == 0
        assert len(out.read_bytes()) == len(unpacked(path))


def test_validate_says_what_a_load_does_with_a_pending_vector_that_is_live(
    msixtool: Tool, lossy: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both.mig"
    msixtool("forge", lossy, "-o", both, "--device", "e1000e", "--unmask", "2")
    messages = {
        finding["device"].rsplit("/", 1)[-1]: finding["message"]
        for finding in msixtool("validate", both, "--json").json["findings"]
        if finding["rule"] == "pending-unmasked"
    }
    assert "a load loses it" in messages["virtio-blk"]
    assert "a load sends it" in messages["e1000e"]


@pytest.mark.parametrize(
    ("capability", "words"),
    [
        ({"control": 0xB804}, "bits 11 to 13 are reserved"),
        ({"table": {"bar": 6, "offset": 0}}, "BAR 6"),
        ({"pba": {"bar": 3, "offset": 0x40}}, "overlaps the PBA"),
        ({"control": 0x8008}, "expected 9 by the MSI-X capability"),
    ],
    ids=["reserved-bits", "bar-6", "overlap", "count"],
)
def test_what_validate_calls_an_error_of_a_function_is_a_refusal(
    msixtool: Tool, raw_sample: Path, tmp_path: Path, capability: dict[str, object], words: str
) -> None:
    spec, out = tmp_path / "spec.json", tmp_path / "out.mig"
    spec.write_text(json.dumps({"devices": [{"name": "0000:00:04.0/e1000e", "capability": capability}]}))
    assert msixtool("forge", raw_sample, "-o", out, "--spec", spec).status == 0
    result = msixtool("load", out, "--json")
    assert (result.status, result.json["ok"]) == (1, False)
    (refusal,) = result.json["refusals"]
    assert (refusal["code"], refusal["section"]) == ("config-mismatch", "0000:00:04.0/e1000e")
    assert words in refusal["message"]
    assert not msixtool("validate", out, "--json").json["ok"]
    compat = msixtool("compat", out, "--to", "11.1", "--json")
    assert (compat.status, compat.json["compatible"]) == (1, False)


def test_under_xen_a_vector_that_is_a_pirq_is_never_masked(msixtool: Tool, tmp_path: Path) -> None:
    spec = tmp_path / "pirq.json"
    entry = {"vector": 0, "address": 0xFEE00000, "data": 0x4000, "control": 1}
    device = {"name": "e1000e", "vectors": 1, "function_mask": True, "entries": [entry], "pending": [0]}
    spec.write_text(json.dumps({"devices": [device]}))
    (masked,) = msixtool("load", spec, "--json").json["devices"]
    assert (masked["messages"], masked["after"]["pba"]) == ([], "01")
    (pirq,) = msixtool("load", spec, "--xen", "--json").json["devices"]
    assert [message["vector"] for message in pirq["messages"]] == [0]
    assert pirq["after"]["pba"] == "00"


def test_a_cut_stream_is_loadable_nowhere(msixtool: Tool, raw_sample: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(raw_sample.read_bytes()[:200_000])
    result = msixtool("compat", cut, "--to", "11.1", "--json")
    assert result.status == 2
    assert result.json["compatible"] is False
    table = msixtool("compat", tmp_path, "--to", "11.1").out
    assert "1 would load" in table, "the whole one of the two"


def test_an_image_that_libvirt_marked_incomplete_is_loadable_nowhere(
    msixtool: Tool, raw_sample: Path, tmp_path: Path
) -> None:
    xml = b"<domain type='kvm'/>\0"
    header = b"LibvirtQemudPart" + struct.pack("<5I", 2, len(xml), 1, 0, 0) + bytes(56)
    image = tmp_path / "part.save"
    image.write_bytes(header + xml + raw_sample.read_bytes())
    assert msixtool("compat", image, "--to", "11.1", "--json").json["compatible"] is False
    assert msixtool("load", image, "--json").json["ok"] is False
