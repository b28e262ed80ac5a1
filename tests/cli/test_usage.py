"""What is said to a user who mistypes, or names what cannot be read."""

from __future__ import annotations

import bz2
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool.cli import COMMANDS
from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, unpacked

VIRTIO = REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz"
PLAIN = REPOSITORY / "tests" / "data" / "rare" / "microvm-7.2.mig.xz"

Tool = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["inspct", "vm.mig"], "No such command 'inspct'. Did you mean 'inspect'?"),
        (["vlidate"], "No such command 'vlidate'. Did you mean 'validate'?"),
        (["show", "--devise", "xhci"], "No such option '--devise'. Did you mean '--device'?"),
        (["load", "--jsn"], "No such option '--jsn'. Did you mean '--json'"),
    ],
)
def test_what_was_meant_is_named(words: list[str], meant: str, msixtool: Tool) -> None:
    result = msixtool(*words)
    assert (result.status, result.out) == (2, "")
    assert result.error_line.startswith(f"msixtool: {meant}")
    assert result.error_line.endswith(" --help')")


def test_an_option_that_is_like_none_is_refused_without_a_guess(msixtool: Tool) -> None:
    result = msixtool("show", VIRTIO, "--zzz")
    assert (result.status, result.out) == (2, "")
    assert result.error_line == "msixtool: No such option '--zzz' (see 'msixtool show --help')"


def test_without_a_command_the_help_is_on_standard_error(msixtool: Tool) -> None:
    result = msixtool()
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("Usage: msixtool [OPTIONS] COMMAND")
    assert "Exit status: 0 done" in result.err


def test_a_word_that_is_like_no_command_is_refused_without_a_guess(msixtool: Tool) -> None:
    result = msixtool("qqq")
    assert result.status == 2
    assert result.error_line == "msixtool: No such command 'qqq' (see 'msixtool --help')"


def test_a_file_without_a_command_is_answered_with_the_command_that_takes_it(msixtool: Tool) -> None:
    result = msixtool(VIRTIO)
    assert result.status == 2
    assert f"Did you mean 'msixtool inspect {VIRTIO}'?" in result.error_line


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_a_name_that_a_terminal_would_obey_is_escaped_in_the_result(
    command: str, msixtool: Tool, tmp_path: Path
) -> None:
    odd = tmp_path / "vm\n\x1b[31m.mig"
    odd.write_bytes(VIRTIO.read_bytes())
    result = msixtool(command, odd)
    assert result.status == 0
    assert "vm \\x1b[31m.mig: " in result.out
    assert "\x1b" not in result.out


def test_a_file_without_a_name_is_told_so(msixtool: Tool) -> None:
    result = msixtool("inspect", "")
    assert result.error_line == "msixtool: '': cannot be opened: found No such file or directory"


def test_a_raw_vmstate_without_its_kind_is_taken_for_one(msixtool: Tool, tmp_path: Path) -> None:
    state = tmp_path / "state.bin"
    assert msixtool("save", VIRTIO, "--device", "xhci", "-o", state).status == 0
    result = msixtool("load", state)
    assert result.status == 2
    assert "expected QEVM, or a raw vmstate with its --kind, found " in result.error_line


@pytest.mark.parametrize(
    "words", [["show", "-d", "xhci"], ["save", "-o", "OUT"], ["forge", "-o", "OUT", "--unmask", "0"]]
)
def test_where_no_device_has_msix_none_is_asked_for(words: list[str], msixtool: Tool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = msixtool(*(out if word == "OUT" else word for word in words), PLAIN)
    assert (result.status, result.out) == (2, "")
    assert result.error_line.endswith("no device with MSI-X in the stream")
    assert not out.exists()


def test_a_log_that_cannot_be_opened_is_named(msixtool: Tool, tmp_path: Path) -> None:
    result = msixtool("explain", tmp_path / "none.log")
    reason = "cannot be opened: found No such file or directory"
    assert (result.status, result.error_line) == (2, f"msixtool: {tmp_path}/none.log: {reason}")


def test_a_spec_that_is_no_text_is_told_so_with_the_offset(msixtool: Tool, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_bytes(b"a = 1 #\xff")
    result = msixtool("forge", VIRTIO, "--dry-run", "--spec", spec)
    assert (result.status, result.error_line) == (2, f"msixtool: {spec}, offset 0x7: SPEC is not UTF-8 text")


def test_diff_names_the_damaged_side_as_other_commands_do(msixtool: Tool, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(unpacked(VIRTIO)[:200_000])
    result = msixtool("diff", cut, VIRTIO)
    assert (result.status, result.error_line) == (2, msixtool("inspect", cut).error_line)
    assert result.error_line.startswith(f"msixtool: {cut}: damaged: offset ")


def test_diff_takes_a_bound_for_compressed_files(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msixtool.containers.unpack.ALLOWANCE", 1 << 20)
    packed = tmp_path / "suspect.bz2"
    packed.write_bytes(bz2.compress(unpacked(VIRTIO)[:-1] + bytes(64 << 20)))
    assert "decompression bomb" in msixtool("diff", packed, VIRTIO, "--max-ratio", "10").err
    assert "decompression bomb" not in msixtool("diff", packed, VIRTIO, "--max-ratio", "0").err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["show", VIRTIO, "-d", "virtio-blc"], "virtio-blk"),
        (["fields", VIRTIO, "-d", "virtio-blc"], "virtio-blk"),
        (["validate", VIRTIO, "--ignore", "vector-cuont"], "vector-count"),
        (["compat", VIRTIO, "--to", "debain-12"], "debian-12"),
    ],
    ids=["device", "section", "rule", "distribution"],
)
def test_what_was_meant_by_a_wrong_name_is_said(words: list[object], meant: str, msixtool: Tool) -> None:
    result = msixtool(*words)
    assert (result.status, result.out) == (2, "")
    assert f"(did you mean {meant!r}?)" in result.error_line


@pytest.mark.parametrize("command", ["show", "fields", "load"])
def test_a_device_that_is_missed_in_a_cut_stream_may_be_behind_the_cut(
    command: str, msixtool: Tool, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(unpacked(VIRTIO)[:150_000])
    result = msixtool(command, cut, "-d", "xhci")
    assert result.status == 2
    assert "a stream that is cut: offset 0x" in result.error_line


@pytest.mark.parametrize("command", ["show", "fields"])
def test_of_several_files_each_is_named(command: str, msixtool: Tool) -> None:
    out = msixtool(command, VIRTIO, PLAIN, VIRTIO, "-d", "xhci").out
    assert out.count(f"{VIRTIO}:\n") == 2
    assert f"{VIRTIO}:" not in msixtool(command, VIRTIO, "-d", "xhci").out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_that_every_command_has_stand_last_in_its_help(command: str, msixtool: Tool) -> None:
    options = re.findall(r"^  ((?:-\w, )?--[a-z-]+)", msixtool(command, "--help").out, re.MULTILINE)
    last = ["--color", "-q, --quiet", "-v, --verbose", "--no-pager", "--traceback", "-h, --help"]
    assert options[-6:] == last
