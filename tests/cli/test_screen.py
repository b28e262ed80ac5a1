"""How a command meets its screen: colour, a pager, --quiet and --verbose."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import SAMPLES

Tool = Callable[..., Result]

ANSI = "\x1b["
ON, OFF = True, False


@pytest.fixture(autouse=True)
def _no_habits(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "TTY_COMPATIBLE",
        "MSIXTOOL_PAGER",
        "PAGER",
    )
    for name in (*names, "LESS", "LINES", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def on_a_terminal(
    *arguments: object, keys: bool = True, lines: int = 24, columns: int = 80, **environment: str
) -> str:
    """What `msixtool` writes to a terminal; with `keys` it can be typed at, too."""
    ours, its = pty.openpty()
    os.system(f"stty rows {lines} cols {columns} < {os.ttyname(its)}")
    command = [sys.executable, "-m", "msixtool", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=its if keys else subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env={**os.environ, **environment},
    )
    os.close(its)
    pieces: list[bytes] = []
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
        if not piece:
            break
        pieces.append(piece)
    process.wait(120)
    os.close(ours)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("option", "environment", "in_a_pipe", "on_terminal"),
    [
        ((), {}, OFF, ON),
        (("--color", "auto"), {}, OFF, ON),
        (("--color", "always"), {}, ON, ON),
        (("--color", "never"), {}, OFF, OFF),
        ((), {"NO_COLOR": "1"}, OFF, OFF),
        ((), {"NO_COLOR": ""}, OFF, ON),
        ((), {"CLICOLOR_FORCE": "1"}, ON, ON),
        ((), {"CLICOLOR_FORCE": "0"}, OFF, ON),
        ((), {"CLICOLOR": "0"}, OFF, OFF),
        ((), {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, OFF, OFF),
        (("--color", "always"), {"NO_COLOR": "1"}, ON, ON),
        (("--color=never",), {"CLICOLOR_FORCE": "1"}, OFF, OFF),
    ],
)
def test_colour_is_for_whom_wants_it(
    option: tuple[str, ...],
    environment: dict[str, str],
    in_a_pipe: bool,
    on_terminal: bool,
    msixtool: Tool,
    sample: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yellow = f"{ANSI}33m"
    assert (yellow in msixtool("inspect", *option, sample).out) is in_a_pipe
    assert (yellow in on_a_terminal("inspect", *option, sample)) is on_terminal


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        (
            "inspect q35-root-ports-10.0.mig.xz",
            "Device Vec MSI-X Masked Pending Config Queues pcie-root-port 0000:00:02.0:00.0/ virtio-balloon",
        ),
        ("inspect .", "pc-megasas-vmxnet3-5.2.mig.xz pc-i440fx-11.1 10.0-10.2 2048"),
        ("validate .", "q35-function-mask-7.2.mig.xz pending-function-masked bus-master-off"),
        ("compat . q35-net-3-vectors-7.2.mig.xz", "hung/later-7.2.mig.xz pc-i440fx-7.2, vectors=."),
        ("compat q35-function-mask-7.2.mig.xz --to 5.2", "ich9_pm/pcihp, pc-q35-7.2:"),
        ("validate q35-function-mask-7.2.mig.xz", "0000:00:02.0/e1000e pending-function-masked"),
        ("show pc-virtio-pending-7.2.mig.xz", "00000000fee00000 00004022 pending vector"),
        (
            "inspect --sections pc-virtio-pending-7.2.mig.xz",
            "configuration kvm-tpr-opt 0000:00:02.0/ virtio-net bytes",
        ),
        ("trace hung/hung-7.2.mig.xz", "6394/6157/6157 suspect undecided"),
        ("replay function-mask.replay", "function-mask=off cleared"),
    ],
)
def test_in_60_columns_all_fits_and_no_word_is_broken(
    command: str, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SAMPLES[0].parent)
    text = on_a_terminal(*command.split(), keys=False, columns=60)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in text.split("\n")]
    lines = [
        line for line in lines if not line.startswith(("msixtool: left out", "streams")) and "\r" not in line
    ]
    assert [line for line in lines if len(line) > 60 and ": QEMU migration stream" not in line] == []
    assert set(whole.split()) <= {word for line in lines for word in line.split()}


def test_a_pending_vector_and_a_lost_interrupt_stand_out(
    msixtool: Tool, sample: Path, tmp_path: Path
) -> None:
    script = tmp_path / "lost.replay"
    script.write_text(
        "device vectors=2 used=none\nenable\nunmask 0\nnotify 0\nexpect lost 0\nexpect lost 1\n"
    )
    rows = msixtool("inspect", "--color=always", sample).out.splitlines()
    assert [f"{ANSI}33m" in row for row in rows if "0000:00:0" in row] == [OFF, OFF, ON, OFF]
    played = msixtool("replay", "--color=always", SAMPLES[0].parent / "virtio-lost-interrupt.replay")
    assert any("LOST" in line and f"{ANSI}31m" in line for line in played.out.splitlines())
    assert any("holds" in line and f"{ANSI}32m" in line for line in played.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["inspect", "{sample}"], 0),
        (["inspect", "--json", "{folder}"], 0),
        (["validate", "{folder}"], 0),
        (["diff", "{sample}", "{other}"], 1),
        (["compat", "{folder}", "{other}"], 1),
    ],
)
def test_quiet_leaves_the_status_alone(
    arguments: list[str], status: int, msixtool: Tool, sample: Path
) -> None:
    names = {"sample": sample, "folder": sample.parent, "other": SAMPLES[0]}
    words = [word.format(**names) for word in arguments]
    loud, quiet = msixtool(*words), msixtool(*words, "-q")
    assert (quiet.status, quiet.out, quiet.err) == (loud.status, "", "")
    assert loud.status == status
    assert loud.out


def test_quiet_names_what_is_damaged(msixtool: Tool, raw_sample: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(raw_sample.read_bytes()[:-5000])
    result = msixtool("inspect", "--quiet", cut)
    assert (result.status, result.out) == (2, "")
    assert f"{cut}: damaged: " in result.err


def test_quiet_keeps_what_goes_to_standard_output_as_a_file(sample: Path) -> None:
    command = [sys.executable, "-m", "msixtool", "save", "-q", sample, "-d", "e1000e", "-o", "-"]
    run = subprocess.run(command, capture_output=True, check=True)
    assert len(run.stdout) == 81


def test_verbose_says_how_each_input_was_read(
    msixtool: Tool, sample: Path, raw_sample: Path, tmp_path: Path
) -> None:
    assert msixtool("inspect", sample).err == ""
    (line,) = msixtool("inspect", "-v", raw_sample).err.splitlines()
    assert line.startswith(f"msixtool: {raw_sample}: a stream; read from its end on, 38 items in ")
    (line,) = msixtool("trace", "--verbose", sample).err.splitlines()
    assert line.startswith(
        f"msixtool: {sample}: xz, in it a stream; read from its first byte on, 38 items in "
    )


def test_what_is_longer_than_the_terminal_goes_into_a_pager(sample: Path) -> None:
    pager = {"MSIXTOOL_PAGER": "sed 's/^/> /'", "PAGER": "false"}
    shown = on_a_terminal("show", sample, **pager)
    assert all(line.startswith("> ") for line in shown.splitlines())
    assert "0000:00:05.0/xhci" in shown
    assert on_a_terminal("show", "--no-pager", sample, **pager).replace("> ", "") == shown.replace("> ", "")
    assert "> " not in on_a_terminal("show", "--no-pager", sample, **pager)


@pytest.mark.parametrize(
    ("lines", "keys", "environment"),
    [
        (100, True, {}),  # it all fits
        (24, False, {}),  # nobody could tell the pager to go on
        (24, True, {"TERM": "dumb"}),
        (24, True, {"MSIXTOOL_PAGER": "cat"}),
        (24, True, {"MSIXTOOL_PAGER": "", "PAGER": "sed 's/^/> /'"}),
    ],
)
def test_else_there_is_no_pager(lines: int, keys: bool, environment: dict[str, str], sample: Path) -> None:
    pager = {"MSIXTOOL_PAGER": "sed 's/^/> /'"}
    shown = on_a_terminal("show", sample, lines=lines, keys=keys, **{**pager, **environment})
    assert "xhci" in shown
    assert "> " not in shown


def test_what_is_said_besides_stands_in_its_place_in_the_pager(raw_sample: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mig"
    cut.write_bytes(raw_sample.read_bytes()[:-5000])
    shown = on_a_terminal("show", cut, raw_sample, MSIXTOOL_PAGER="sed 's/^/> /'").splitlines()
    assert all(line.startswith("> ") for line in shown)
    (damaged,) = (number for number, line in enumerate(shown) if ": damaged: " in line)
    rows = [number for number, line in enumerate(shown) if "0000:00:04.0/e1000e" in line]
    assert rows[0] < damaged < rows[-1]


def test_a_pager_that_ends_early_ends_it_without_a_word(sample: Path) -> None:
    shown = on_a_terminal("show", "--all", SAMPLES[0], sample, MSIXTOOL_PAGER="head -n 1")
    assert len(shown.splitlines()) == 1
