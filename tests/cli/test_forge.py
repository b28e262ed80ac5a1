"""`msixtool forge`, from outside."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY

Tool = Callable[..., Result]
MSIXTOOL = [sys.executable, "-m", "msixtool"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.mig"


def shown(msixtool: Tool, path: Path, device: str = "e1000e") -> dict[str, Any]:
    (found,) = msixtool("show", path, "--device", device, "--json").json["devices"]
    return dict(found)


def test_options_change_one_device(msixtool: Tool, sample: Path, out: Path) -> None:
    result = msixtool(
        *("forge", sample, "-o", out, "--device", "e1000e"),
        *("--unmask", "2,4", "--mask", "0-1", "--pending", "3", "--clear", "2"),
        *("--address", "2=0xfee01000", "--data", "2=0x4041", "--control", "3=0xf0"),
        *("--function-mask", "on", "--enable", "off", "--bus-master", "off"),
    )
    assert (result.status, result.out, result.err) == (0, f"-incoming 'exec:cat {out}'\n", "")
    device = shown(msixtool, out)
    assert [entry["masked"] for entry in device["entries"]] == [True, True, False, False, False]
    assert [entry["vector"] for entry in device["entries"] if entry["pending"]] == [3]
    assert (device["entries"][2]["address"], device["entries"][2]["data"]) == (0xFEE01000, 0x4041)
    assert device["entries"][3]["control"] == 0xF0
    assert (device["capability"]["enabled"], device["capability"]["function_mask"]) == (False, True)
    assert device["bus_master"] is False


def test_the_only_device_needs_no_name(msixtool: Tool, out: Path) -> None:
    alone = REPOSITORY / "samples" / "pc-virtio-pending-7.2.mig.xz"
    assert msixtool("forge", alone, "-o", out, "--pba", "a5").status == 0
    assert shown(msixtool, out, "*")["pba"] == "a5"


def test_a_spec_may_be_json_toml_or_what_save_wrote(
    msixtool: Tool, sample: Path, raw_sample: Path, tmp_path: Path, out: Path
) -> None:
    device = {"name": "0000:00:04.0/e1000e", "entries": [{"vector": 1, "masked": True}]}
    (tmp_path / "a").write_text(json.dumps({"devices": [device]}))
    (tmp_path / "b").write_text("devices = [{name = 'e1000e', entries = [{vector = 1, masked = true}]}]")
    made = []
    for name in "ab":
        assert msixtool("forge", sample, "-o", out, "--spec", tmp_path / name, "--force").status == 0
        made.append(out.read_bytes())
    assert made[0] == made[1] != raw_sample.read_bytes()
    assert msixtool("save", sample, "--device", "e1000e", "--text", "-o", tmp_path / "c").status == 0
    assert msixtool("forge", out, "-o", tmp_path / "back", "--spec", tmp_path / "c").status == 0
    assert (tmp_path / "back").read_bytes() == raw_sample.read_bytes()


def test_edited_text_is_forged_back(msixtool: Tool, sample: Path, tmp_path: Path, out: Path) -> None:
    text = tmp_path / "e1000e.toml"
    assert msixtool("save", sample, "--device", "e1000e", "--text", "-o", text).status == 0
    text.write_text(
        text.read_text().replace("masked = true, pending = true", "masked = false, pending = false")
    )
    assert msixtool("forge", sample, "-o", out, "--spec", text).status == 0
    assert [entry["masked"] for entry in shown(msixtool, out)["entries"]] == [False] * 4 + [True]


def test_the_number_of_vectors_of_virtio_with_what_uses_them(msixtool: Tool, sample: Path, out: Path) -> None:
    refused = msixtool("forge", sample, "-o", out, "--device", "virtio-net", "--vectors", "2")
    assert refused.status == 2
    assert "--vectors: vector 2 is that of queue 1" in refused.error_line
    assert "--queue-vector 1=none" in refused.error_line
    assert not out.exists()
    arguments = ["--vectors", 2, "--config-vector", "none", "--queue-vector", "1=0"]
    assert msixtool("forge", sample, "-o", out, "--device", "virtio-net", *arguments).status == 0
    device = shown(msixtool, out, "virtio-net")
    assert (device["vectors"], device["config_vector"], device["queue_vectors"][:2]) == (2, None, [1, 0])


def test_any_field_by_its_path(msixtool: Tool, sample: Path, out: Path) -> None:
    fields = ["--field", "timer/cpu_ticks_offset=-7", "--field", "0000:00:04.0/e1000e/core.mac[2]=0xbeef"]
    assert msixtool("forge", sample, "-o", out, *fields).status == 0
    found = {each["name"]: each for each in msixtool("fields", out, "--json").json["sections"]}
    assert found["timer"]["fields"]["cpu_ticks_offset"] == -7
    assert found["0000:00:04.0/e1000e"]["fields"]["core.mac"][2] == 0xBEEF


def test_a_dry_run_says_what_would_change_and_writes_nothing(
    msixtool: Tool, sample: Path, tmp_path: Path
) -> None:
    arguments = ["--device", "e1000e", "--mask", "0", "--clear", "2", "--field", "timer/cpu_ticks_offset=9"]
    result = msixtool("forge", sample, "--dry-run", "-o", tmp_path / "out", *arguments)
    assert result.status == 0
    assert result.out.splitlines() == [
        "e1000e: vector 0 unmasked → masked, pending 2 cleared",
        "timer",
        "  cpu_ticks_offset 0 → 9",
        "3 bytes in 3 places.",
    ]
    assert list(tmp_path.iterdir()) == []
    assert msixtool("forge", sample, "--dry-run").out == "Nothing changes.\n"


def test_standard_output_and_standard_input(raw_sample: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text('{"devices": [{"name": "e1000e", "function_mask": true}]}')
    forge = [*MSIXTOOL, "forge", "-o", "-"]
    by_name = subprocess.run(
        [*forge, "--spec", "-", raw_sample], input=spec.read_bytes(), capture_output=True, timeout=120
    )
    piped = subprocess.run(
        [*forge, "--spec", spec, "-"], input=raw_sample.read_bytes(), capture_output=True, timeout=120
    )
    longer = tmp_path / "longer"
    longer.write_bytes(b"read before" + raw_sample.read_bytes())
    with longer.open("rb", buffering=0) as file:
        file.read(11)
        redirected = subprocess.run([*forge, "-"], stdin=file, capture_output=True, timeout=120)
    assert (by_name.returncode, piped.returncode, redirected.returncode) == (0, 0, 0)
    assert by_name.stdout == piped.stdout != redirected.stdout == raw_sample.read_bytes()
    assert by_name.stderr == b"-incoming 'exec:cat FILE'\n"


def test_a_reader_that_goes_away_is_not_worth_a_word(raw_sample: Path) -> None:
    with subprocess.Popen(
        [*MSIXTOOL, "forge", raw_sample, "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=120)
    assert err == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "igb", "--mask", "0"], "--device: no device with MSI-X is igb: expected one of 0000:"),
        (["--mask", "0"], "--device: several devices have MSI-X: expected one of 0000:00:02.0/virtio-net"),
        (["--device", "e1000e"], "--device is given, but nothing to change in it"),
        (["--device", "e1000e", "--mask", "5"], "--mask: expected a vector from 0 to 4, found 5"),
        (["--device", "e1000e", "--unmask", "1-"], "--unmask: expected vectors from 0 to 2047, as 3 or 0-4"),
        (["--device", "e1000e", "--pending", "3-1"], "--pending: expected vectors from 0 to 2047"),
        (["--device", "e1000e", "--mask", "1", "--unmask", "0-2"], "vector 1 is asked to be two things"),
        (["--device", "e1000e", "--address", "1"], "--address: expected VECTOR=NUMBER"),
        (["--device", "e1000e", "--address", f"1={1 << 64}"], "the number from 0 to 0xffffffffffffffff"),
        (["--device", "e1000e", "--data", "1=x"], "--data: expected VECTOR=NUMBER"),
        (["--device", "e1000e", "--control", "1=-1"], "--control: expected VECTOR=NUMBER"),
        (["--device", "e1000e", "--pba", "0x1"], "--pba: expected bytes in hex"),
        (["--device", "e1000e", "--pba", "0102"], "--pba: expected 1 byte in hex for 5 vectors, found 2"),
        (["--device", "e1000e", "--vectors", "0"], "--vectors: expected 1 to 2048, found 0"),
        (["--device", "e1000e", "--config-vector", "1"], "e1000e is no virtio device"),
        (
            ["--device", "virtio-net", "--config-vector", "9"],
            "--config-vector: expected a vector from 0 to 3",
        ),
        (["--device", "virtio-net", "--queue-vector", "99=1"], "--queue-vector: expected a queue below"),
        (["--device", "virtio-net", "--queue-vector", "1"], "--queue-vector: expected QUEUE=VECTOR"),
        (["--field", "timer"], "--field: expected SECTION/PATH=VALUE"),
        (["--field", "timer/cpu_ticks_offset=x"], "fields: timer/cpu_ticks_offset"),
        (["--kind", "e1000e"], "--kind goes with --new only"),
        (["--snapshot", "a"], "no qcow2 image"),
        (["--spec", "/nonexistent.toml"], "/nonexistent.toml: cannot be read"),
        (["--enable", "yes"], "Invalid value for '--enable'"),
    ],
)
def test_what_cannot_be_is_one_line_and_no_file(
    msixtool: Tool, sample: Path, out: Path, arguments: list[str], words: str
) -> None:
    result = msixtool("forge", sample, "-o", out, *arguments)
    assert result.status == 2
    assert words in result.error_line
    assert not out.exists()


def test_files_that_are_there_and_inputs_are_not_written_over(
    msixtool: Tool, raw_sample: Path, out: Path
) -> None:
    out.write_bytes(b"mine")
    assert "is there already: --force" in msixtool("forge", raw_sample, "-o", out).error_line
    assert out.read_bytes() == b"mine"
    assert msixtool("forge", raw_sample, "-o", out, "--force").status == 0
    before = raw_sample.read_bytes()
    result = msixtool("forge", raw_sample, "-o", raw_sample, "--force", "--device", "e1000e", "--mask", "0")
    assert (result.status, raw_sample.read_bytes()) == (2, before)
    assert "the output is an input" in result.error_line


def test_what_is_missing_is_named(msixtool: Tool, sample: Path) -> None:
    assert "BASE is missing" in msixtool("forge", "-o", "x").error_line
    assert "-o is missing" in msixtool("forge", sample).error_line
    assert "not both" in msixtool("forge", "-", "--spec", "-", "-o", "x").error_line


def test_a_state_from_nothing(msixtool: Tool, out: Path) -> None:
    arguments = ["--unmask", "0-4", "--pending", "1", "--address", "1=0xfee00000", "--data", "1=0x4021"]
    assert msixtool("forge", "--new", "--kind", "e1000e", "-o", out, *arguments).status == 0
    assert out.read_bytes() == (
        bytes(16) + b"\0\0\xe0\xfe\0\0\0\0\x21\x40\0\0\0\0\0\0" + bytes(16 * 3) + b"\x02"
    )
    assert msixtool("forge", "--new", "--vectors", "9", "-o", out, "--force").status == 0
    assert out.read_bytes() == (bytes(12) + b"\1\0\0\0") * 9 + bytes(2)


def test_a_state_from_nothing_as_text_and_back(msixtool: Tool, out: Path, tmp_path: Path) -> None:
    text = tmp_path / "state.toml"
    arguments = ["forge", "--new", "--kind", "e1000e", "--pending", "3"]
    assert msixtool(*arguments, "-o", out).status == 0
    assert msixtool(*arguments, "--text", "-o", text).status == 0
    assert 'name = "e1000e"' in text.read_text()
    assert msixtool("forge", "--new", "--spec", text, "-o", tmp_path / "back").status == 0
    assert (tmp_path / "back").read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the number of vectors is missing: expected 1 to 2048"),
        (["--kind", "e1000e", "--vectors", "6"], "number of vectors of e1000e: expected 5, found 6"),
        (["--kind", "floppy", "--vectors", "6"], "unknown kind 'floppy': expected one of e1000e"),
        (["--kind", "e1000e", "--mask", "5"], "--mask: expected a vector from 0 to 4, found 5"),
        (["--kind", "e1000e", "--enable", "on"], "--enable cannot be given with it"),
        (["--kind", "e1000e", "base.mig"], "BASE cannot be given with it"),
    ],
)
def test_a_state_that_cannot_be_made_is_one_line_and_no_file(
    msixtool: Tool, out: Path, arguments: list[str], words: str
) -> None:
    result = msixtool("forge", "--new", "-o", out, *arguments)
    assert result.status == 2
    assert words in result.error_line
    assert not out.exists()


def test_the_examples_of_the_docs_print_what_they_show(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    blocks = re.findall(
        r"^```\n\$ msixtool (.*)\n([\s\S]*?)^```$",
        (REPOSITORY / "docs" / "forge.md").read_text(),
        flags=re.MULTILINE,
    )
    assert len(blocks) == 3
    for command, shown in blocks:
        run = subprocess.run(
            [*MSIXTOOL, *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        lost = "LOST" in run.stdout
        assert (run.returncode, run.stderr) == (int(lost), "")
        assert run.stdout.startswith(shown.removesuffix("…\n")), command
