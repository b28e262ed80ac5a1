"""`msixtool save`, from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

Tool = Callable[..., Result]


@pytest.mark.parametrize(
    ("device", "vectors"), [("e1000e", 5), ("virtio-net", 4), ("03.0", 2), ("0000:00:05.0/xhci", 16)]
)
def test_the_state_is_the_bytes_that_stand_in_the_stream(
    msixtool: Tool, raw_sample: Path, tmp_path: Path, device: str, vectors: int
) -> None:
    out = tmp_path / "state"
    result = msixtool("save", raw_sample, "--device", device, "-o", out)
    assert (result.status, result.out, result.err) == (0, "", "")
    (shown,) = msixtool("show", raw_sample, "--device", device, "--json").json["devices"]
    state = out.read_bytes()
    assert len(state) == 16 * vectors + (vectors + 7) // 8
    assert state == raw_sample.read_bytes()[shown["offset"] :][: len(state)]


def test_the_text_names_device_and_purpose_of_each_vector(
    msixtool: Tool, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.toml"
    assert msixtool("save", sample, "--device", "virtio-net", "--text", "-o", out).status == 0
    text = out.read_text()
    assert 'name = "0000:00:02.0/virtio-net"' in text
    assert "# config changes; CPU 0 vector 0x22" in text
    assert "# queue 1; CPU 0 vector 0x24" in text


def test_standard_output(sample: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "msixtool", "save", sample, "--device", "e1000e", "-o", "-"]
    run = subprocess.run(command, capture_output=True, timeout=120)
    assert (run.returncode, run.stderr, len(run.stdout)) == (0, b"", 81)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("igb", "no device with MSI-X matches 'igb': expected 0000:00:02.0/virtio-net"),
        (
            "virtio-*",
            "several devices match 'virtio-*': expected one of 0000:00:02.0/virtio-net, 0000:00:03.0",
        ),
    ],
)
def test_one_device_must_be_named(
    msixtool: Tool, sample: Path, tmp_path: Path, device: str, words: str
) -> None:
    result = msixtool("save", sample, "--device", device, "-o", tmp_path / "out")
    assert result.status == 2
    assert words in result.error_line
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_without_force_and_never_the_stream(
    msixtool: Tool, raw_sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "state"
    out.write_bytes(b"mine")
    arguments = ["save", raw_sample, "--device", "e1000e", "-o"]
    assert msixtool(*arguments, out).status == 2
    assert out.read_bytes() == b"mine"
    assert msixtool(*arguments, out, "--force").status == 0
    before = raw_sample.read_bytes()
    assert "the output is an input" in msixtool(*arguments, raw_sample, "--force").error_line
    assert raw_sample.read_bytes() == before


def test_what_a_damaged_stream_still_holds_is_saved_with_status_2(
    msixtool: Tool, raw_sample: Path, tmp_path: Path
) -> None:
    cut, out = tmp_path / "cut", tmp_path / "state"
    cut.write_bytes(raw_sample.read_bytes()[:-100])
    result = msixtool("save", cut, "--device", "e1000e", "-o", out)
    assert result.status == 2
    assert "damaged" in result.err
    assert len(out.read_bytes()) == 81


@pytest.mark.parametrize("text", [False, True], ids=["raw", "spec"])
def test_show_and_validate_take_what_save_wrote(
    msixtool: Tool, sample: Path, tmp_path: Path, text: bool
) -> None:
    saved = tmp_path / "saved"
    options = ["--text"] if text else []
    assert msixtool("save", sample, "--device", "e1000e", "-o", saved, *options).status == 0
    (shown,) = msixtool("show", saved, "--json", "--kind", "e1000e").json["devices"]
    (original,) = msixtool("show", sample, "--json", "--device", "e1000e").json["devices"]
    assert (shown["entries"], shown["pba"]) == (original["entries"], original["pba"])
    assert shown["kind"] == "e1000e"
    assert "vector 0x31" in msixtool("show", saved).out
    result = msixtool("validate", saved, "--json", "--kind", "e1000e")
    assert (result.status, result.json["findings"]) == (0, [])


def test_a_file_that_is_no_saved_state_is_told_as_no_stream(msixtool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\x00" * 18)
    for command in ("show", "validate"):
        result = msixtool(command, file)
        assert result.status == 2
        assert "no QEMU migration stream" in result.error_line
