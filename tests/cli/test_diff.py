"""`msixtool diff`, from outside."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.cli.examples import check_examples
from tests.conftest import CORPUS, REPOSITORY, unpacked

Tool = Callable[..., Result]

SAMPLES = REPOSITORY / "samples"
FOUR = SAMPLES / "q35-net-4-vectors-7.2.mig.xz"
THREE = SAMPLES / "q35-net-3-vectors-7.2.mig.xz"
E1000E = "0000:00:04.0/e1000e"


@pytest.fixture
def forged(msixtool: Tool, sample: Path, tmp_path: Path) -> Path:
    """The sample with vector 2 of its e1000e open and not pending, vector 3 pending, and other data."""
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f"""
        [[devices]]
        name = "{E1000E}"
        entries = [{{vector = 2, masked = false, data = 0x4041}}]
        pending = [3]
        """
    )
    path = tmp_path / "forged.mig"
    assert msixtool("forge", sample, "-o", path, "--spec", spec).status == 0
    return path


def test_equal_streams_are_equal(msixtool: Tool, sample: Path) -> None:
    result = msixtool("diff", sample, sample)
    assert result.status == 0
    assert result.out == "No difference in 4 devices with MSI-X.\n"
    document = msixtool("diff", sample, sample, "--json").json
    assert document["schema"] == "msixtool.diff/1"
    assert document["equal"] is True
    assert document["changes"] == []
    assert document["damage"] == []


def test_the_document_names_device_field_vector_and_both_values(
    msixtool: Tool, sample: Path, forged: Path
) -> None:
    result = msixtool("diff", sample, forged, "--json")
    assert result.status == 1
    assert result.json["equal"] is False
    assert result.json["source"]["path"] == str(sample)
    assert result.json["target"]["path"] == str(forged)
    common = {"device": E1000E, "instance": 0}
    assert result.json["changes"] == [
        {**common, "field": "data", "vector": 2, "a": 0x4033, "b": 0x4041},
        {**common, "field": "control", "vector": 2, "a": 1, "b": 0},
        {**common, "field": "masked", "vector": 2, "a": True, "b": False},
        {**common, "field": "pending", "vector": 2, "a": True, "b": False},
        {**common, "field": "pending", "vector": 3, "a": False, "b": True},
    ]


def test_people_read_it_in_words(msixtool: Tool, sample: Path, forged: Path) -> None:
    result = msixtool("diff", sample, forged)
    assert result.status == 1
    assert result.out.splitlines() == [
        "e1000e:",
        "  vector 2 masked → unmasked and data 0x4033 → 0x4041",
        "  pending 3 set",
        "  pending 2 cleared",
    ]


def test_what_fits_is_one_line(msixtool: Tool) -> None:
    assert msixtool("diff", FOUR, THREE).out == "virtio-net: 4 vectors → 3\n"
    changes = msixtool("diff", FOUR, THREE, "--json").json["changes"]
    assert changes[0] == {
        "device": "0000:00:02.0/virtio-net",
        "instance": 0,
        "field": "vectors",
        "vector": None,
        "a": 4,
        "b": 3,
    }


def test_devices_of_one_side_are_added_or_removed(msixtool: Tool, sample: Path) -> None:
    result = msixtool("diff", sample, FOUR, "--json")
    lonely = [change for change in result.json["changes"] if change["field"] == "device"]
    assert [(change["device"], change["a"] is None, change["b"]) for change in lonely] == [
        ("0000:00:03.0/virtio-blk", False, None),
        (E1000E, False, None),
        ("0000:00:05.0/xhci", False, None),
    ]
    assert lonely[1]["a"] == {"name": E1000E, "instance": 0, "vectors": 5}
    assert "e1000e: removed, 5 vectors" in msixtool("diff", sample, FOUR).out
    assert "e1000e: added, 5 vectors" in msixtool("diff", FOUR, sample).out


def test_devices_of_one_kind_are_called_by_their_names(msixtool: Tool, sample: Path) -> None:
    out = msixtool("diff", sample, SAMPLES / "q35-root-ports-10.0.mig.xz").out
    assert "0000:00:02.0/pcie-root-port: added, 1 vector\n" in out
    assert "0000:00:02.0/virtio-net: removed, 4 vectors\n" in out
    assert "0000:00:02.0:00.0/virtio-net: added, 4 vectors\n" in out
    assert "igb: added, 10 vectors\n" in out


def test_every_register_has_its_words(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "forged.mig"
    device = ["--enable", "off", "--function-mask", "on", "--bus-master", "off"]
    vectors = [
        "--config-vector",
        "none",
        "--queue-vector",
        "0=2",
        "--control",
        "1=0x101",
        "--address",
        "2=0x1000",
    ]
    forge = msixtool("forge", sample, "-o", path, "--device", "virtio-net", *device, *vectors)
    assert forge.status == 0, forge.err
    assert msixtool("diff", sample, path).out.splitlines() == [
        "virtio-net:",
        "  MSI-X on → off",
        "  function mask set",
        "  bus master on → off",
        "  config vector 0 → none",
        "  queue 0 vector 1 → 2",
        "  vector 1 unmasked → masked and Vector Control 0x0 → 0x101",
        "  vector 2 address 0xfee00000 → 0x1000",
    ]
    assert "  function mask cleared\n" in msixtool("diff", path, sample).out
    changes = msixtool("diff", sample, path, "--json").json["changes"]
    assert {change["field"]: change["b"] for change in changes if change["vector"] is None} == {
        "capability.control": 0x4003,
        "capability.enabled": False,
        "capability.function_mask": True,
        "function_masked": True,
        "bus_master": False,
        "config_vector": None,
        "queue_vectors": [2, 2, None],
    }


def test_a_table_that_stands_elsewhere_is_named(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    places = {"table": {"bar": 1, "offset": 0x1000}, "pba": {"offset": 0x3000}, "control": 0x8804}
    spec.write_text(json.dumps({"devices": [{"name": "e1000e", "capability": places}]}))
    assert msixtool("diff", sample, spec).out.splitlines() == [
        "e1000e:",
        "  Message Control 0x8004 → 0x8804",
        "  table in BAR 3 → 1",
        "  table at 0x0 → 0x1000",
        "  pending bits at 0x2000 → 0x3000",
    ]


def test_pending_bits_beyond_the_last_vector_are_told(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"devices": [{"name": "e1000e", "pba": "84"}]}))
    out = msixtool("diff", sample, spec).out
    assert out == "e1000e: pending bits beyond the last vector: bytes 04 → 84\n"


def test_vectors_that_change_alike_are_told_together(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    entries = [{"vector": vector, "masked": True, "pending": True} for vector in (0, 1, 3)]
    spec.write_text(json.dumps({"devices": [{"name": E1000E, "entries": entries}]}))
    out = msixtool("diff", sample, spec).out
    assert out == "e1000e: vectors 0-1, 3 unmasked → masked, pending 0-1, 3 set\n"


def test_saved_states_streams_and_specs_in_any_pairing(
    msixtool: Tool, sample: Path, forged: Path, tmp_path: Path
) -> None:
    old, new, text = tmp_path / "old", tmp_path / "new", tmp_path / "new.toml"
    for stream, output, options in ((sample, old, []), (forged, new, []), (forged, text, ["--text"])):
        assert msixtool("save", stream, "--device", "e1000e", "-o", output, *options).status == 0
    fields = {("data", 2), ("control", 2), ("masked", 2), ("pending", 2), ("pending", 3)}
    for a in (sample, old):
        for b in (forged, new, text):
            result = msixtool("diff", a, b, "--json", *(["--device", "e1000e"] if sample in (a, b) else []))
            if a == old and b == forged:
                result = msixtool("diff", a, b, "--kind", "e1000e", "--json")
            assert result.status == 1, result.err
            assert {(change["field"], change["vector"]) for change in result.json["changes"]} == fields
    for b in (forged, text):
        assert msixtool("diff", new, b, "--device", "e1000e").status == 0


def test_a_saved_state_alone_has_the_name_of_its_kind(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    msixtool("save", sample, "--device", "e1000e", "-o", old)
    data = bytearray(old.read_bytes())
    data[80] ^= 8
    new.write_bytes(data)
    assert msixtool("diff", old, new, "--vectors", 5, "--kind", "igb").out == "igb: pending 3 set\n"
    assert msixtool("diff", old, new).out == "device: pending 3 set\n"
    result = msixtool("diff", old, new, "--vectors", 4)
    assert result.status == 2
    assert result.error_line.endswith("saved state: expected 4 vectors, found 5 by its size")


def test_only_what_is_selected_is_compared(msixtool: Tool, sample: Path, forged: Path) -> None:
    assert msixtool("diff", sample, forged, "--device", "virtio-*").status == 0
    assert msixtool("diff", sample, forged, "--device", "04.0").status == 1
    result = msixtool("diff", sample, forged, "--device", "nvme")
    assert result.status == 2
    assert "'nvme'" in result.error_line


def test_fields_widen_it_to_every_section_and_ram(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    data = bytearray(unpacked(sample))
    rtc = data.index(b"mc146818rtc") + len("mc146818rtc") + 8
    data[rtc] ^= 1  # seconds
    data[rtc + 0x38] ^= 1  # a byte that nothing moves
    path = tmp_path / "other.mig"
    path.write_bytes(data)
    assert msixtool("diff", sample, path).status == 0
    result = msixtool("diff", sample, path, "--fields", "--json")
    assert result.status == 1
    assert result.json["changes"] == []
    common = {"section": "mc146818rtc", "instance": 0, "field": "cmos_data"}
    assert [{**change, "a": None, "b": None} for change in result.json["fields"]] == [
        {**common, "offset": 0x38, "a": None, "b": None}
    ]
    assert [change["offset"] for change in result.json["moving"]] == [0]
    assert result.json["ram"] == []
    both = msixtool("diff", sample, path, "--fields", "--moving", "--json").json
    assert [change["offset"] for change in both["fields"]] == [0, 0x38]
    assert both["moving"] == []
    out = msixtool("diff", sample, path, "--fields").out
    assert out.splitlines() == [
        "mc146818rtc",
        f"  cmos_data at 0x38 {data[rtc + 0x38] ^ 1:02x} → {data[rtc + 0x38]:02x}",
        "1 field that always moves left out (--moving)",
    ]


def test_what_only_moves_is_no_difference(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    data = bytearray(unpacked(sample))
    data[data.index(b"mc146818rtc") + len("mc146818rtc") + 8] ^= 1
    path = tmp_path / "other.mig"
    path.write_bytes(data)
    result = msixtool("diff", sample, path, "--fields")
    assert result.status == 0
    assert result.out.endswith("No difference in 4 devices with MSI-X, all fields and RAM.\n")
    assert msixtool("diff", sample, path, "--fields", "--moving").status == 1


def test_ram_is_compared_by_content(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    data = unpacked(sample)
    path = tmp_path / "other.mig"
    # The BIOS image of the samples ends in three bytes that no other page has.
    path.write_bytes(data.replace(b"\xf4\xeb\xfd" + bytes(13), b"\xf4\xeb\xfc" + bytes(13), 1))
    result = msixtool("diff", sample, path, "--fields", "--json")
    assert result.status == 1
    (change,) = result.json["ram"]
    assert change["block"] == "pc.bios"
    assert (change["a"]["pages"], change["b"]["pages"]) == (1, 1)
    assert change["a"]["digest"] != change["b"]["digest"]
    out = msixtool("diff", sample, path, "--fields").out
    assert out == "RAM\n  pc.bios content differs, 1 page not zero\n"
    result = msixtool("diff", sample, path, "--fields", "--no-ram", "--json")
    assert result.status == 0
    assert "ram" not in result.json


def test_two_snapshots_of_one_image(msixtool: Tool, tmp_path: Path) -> None:
    images = sorted((CORPUS / "variants").glob("*/source.qcow2.xz"))
    if not images:
        pytest.skip("the corpus is not at hand")
    image = tmp_path / "image.qcow2"
    image.write_bytes(lzma.decompress(images[0].read_bytes()))
    names = list(json.loads((images[0].parent / "truth.json").read_text())["snapshots"])
    pair = ["--snapshot", names[0], "--snapshot", names[0], "--fields"]
    assert msixtool("diff", image, image, *pair).status == 0
    # Of the same stopped VM: between the two only the driver's part was played.
    pair = ["--snapshot", names[0], "--snapshot", names[1], "--fields", "--moving", "--json"]
    result = msixtool("diff", image, image, *pair)
    assert result.status == 1
    assert {change["vector"] is None for change in result.json["changes"]} == {False}
    assert (result.json["fields"], result.json["ram"]) == ([], [])


def test_a_damaged_stream_is_compared_as_far_as_it_goes(
    msixtool: Tool, sample: Path, raw_sample: Path
) -> None:
    data = raw_sample.read_bytes()
    raw_sample.write_bytes(data[: data.index(b"/e1000e") + 20])
    result = msixtool("diff", sample, raw_sample, "--json")
    assert result.status == 2
    assert result.json["damage"]
    assert all(line.startswith(f"{raw_sample}: ") for line in result.json["damage"])
    assert {change["device"] for change in result.json["changes"]} == {E1000E, "0000:00:05.0/xhci"}
    assert f"{raw_sample}: damaged: " in result.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["no such file", "{sample}"], "no such file: cannot be opened: found No such file or directory"),
        (["{sample}", "{text}"], "expected QEVM, a saved state of 16·n + ceil(n/8) bytes, or a SPEC, found "),
        (["{sample}", "{sample}", "--moving"], "--moving and --no-ram: expected --fields with them"),
        (
            ["{saved}", "{saved}", "--fields"],
            "--fields: expected two streams, found a saved state and a saved state",
        ),
        (["-", "-"], "only one of A and B can be standard input"),
        (["{sample}", "{saved}"], "no device was chosen: expected one of 0000:00:02.0/virtio-net"),
        (["{sample}", "{sample}", "--offset", "1", "--offset", "1", "--offset", "1"], "each twice at most"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    msixtool: Tool, sample: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    text, saved = tmp_path / "text", tmp_path / "saved"
    text.write_text("nothing of the kind\n")
    msixtool("save", sample, "--device", "e1000e", "-o", saved)
    result = msixtool("diff", *(word.format(sample=sample, text=text, saved=saved) for word in arguments))
    assert result.status == 2
    assert expected in result.error_line
    assert result.out == ""


def test_a_terminal_gets_colour_and_a_pipe_does_not(
    msixtool: Tool, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = msixtool("diff", sample, FOUR).out
    assert "\x1b[" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = msixtool("diff", sample, FOUR).out
    assert "\x1b[31mremoved, 5 vectors" in coloured


@pytest.mark.parametrize("other", [FOUR, SAMPLES / "q35-nvme-igb-11.1.mig.xz"])
def test_lines_fit_eighty_columns(msixtool: Tool, sample: Path, other: Path) -> None:
    out = msixtool("diff", sample, other, "--fields").out
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) > 3


def test_standard_input_is_a_stream_too(sample: Path, raw_sample: Path) -> None:
    import subprocess
    import sys

    program = shutil.which("msixtool")
    command = [program] if program else [sys.executable, "-m", "msixtool"]
    with raw_sample.open("rb") as stream:
        run = subprocess.run(
            [*command, "diff", str(sample), "-"], stdin=stream, capture_output=True, text=True, check=False
        )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_examples_of_the_docs_print_what_they_show(tmp_path: Path) -> None:
    check_examples("diff.md", tmp_path, 6)


def test_loaded_compares_the_states_after_the_load(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    lossy = tmp_path / "lossy.mig"
    msixtool("forge", sample, "-o", lossy, "--device", "virtio-blk", "--pending", "1")
    assert msixtool("diff", sample, lossy).status == 1
    # The load clears the pending bit of a live vector: what is left is the same.
    after = msixtool("diff", "--loaded", sample, lossy, "--json")
    assert (after.status, after.json["equal"]) == (0, True)


def test_loaded_keeps_what_is_masked_apart(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    masked = tmp_path / "masked.mig"
    msixtool("forge", sample, "-o", masked, "--device", "e1000e", "--clear", "2")
    (change,) = msixtool("diff", "--loaded", sample, masked, "--json").json["changes"]
    assert (change["field"], change["vector"], change["a"], change["b"]) == ("pending", 2, True, False)


def test_loaded_takes_saved_states_of_a_kind(msixtool: Tool, sample: Path, tmp_path: Path) -> None:
    lossy, state = tmp_path / "lossy.mig", tmp_path / "state.bin"
    msixtool("forge", sample, "-o", lossy, "--device", "virtio-blk", "--pending", "1")
    msixtool("save", lossy, "--device", "virtio-blk", "-o", state)
    arguments = (sample, state, "--device", "virtio-blk", "--kind", "virtio-blk")
    assert msixtool("diff", *arguments).status == 1
    assert msixtool("diff", "--loaded", *arguments).status == 0
