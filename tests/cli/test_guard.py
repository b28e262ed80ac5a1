"""No input decides what a terminal does: whatever is in its names, by pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from msixtool.cli import COMMANDS, cli
from msixtool.cli.guard import escaped
from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, SAMPLES

Tool = Callable[..., Result]

HOSTILE = REPOSITORY / "tests" / "data" / "hostile"
INPUTS = sorted(path for path in HOSTILE.iterdir() if path.name != "README.md")
OWN = re.compile("\x1b\\[[0-9;]*m")
"""What rich colours text with."""
NAME = "\x1b]0;PWNED"


def _obeyed(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"}


def _uses(name: str, path: Path) -> Iterator[list[str]]:
    """A command with an input, with it twice, and with each of the command's own flags."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    other = HOSTILE / path.name.replace("fields.", "fields2.").replace("vmstate", "other")
    yield [name, str(path)]
    yield [name, str(path), str(other)]
    for option in command.params:
        if isinstance(option, click.Option) and option.is_flag and option.name != "help":
            yield [name, str(path), option.opts[0]]
            yield [name, str(path), str(other), option.opts[0]]


def _on_a_terminal(arguments: list[str]) -> str:
    """What `msixtool` writes to a terminal that is its standard output."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "msixtool", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env=environment,
    )
    os.close(its)
    pieces = []
    while piece := _read(ours):
        pieces.append(piece)
    process.wait()
    os.close(ours)
    return b"".join(pieces).decode(errors="backslashreplace").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_reaches_a_pipe_raw(
    command: str, msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in INPUTS:
        for arguments in _uses(command, path):
            result = msixtool(*arguments)
            assert _obeyed(result.out + result.err) == set(), arguments
            assert result.status != 3, arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ["fields", "fields.mig"],
        ["diff", "--fields", "fields.mig", "fields2.mig"],
        ["inspect", "capabilities.mig"],
        ["inspect", "--xml", "libvirt.save"],
        ["compat", "vmstate.json", "other.json"],
        ["replay", "evil.replay"],
        ["cmdline", "ramblock.mig"],
        ["trace", "ramblock.mig"],
    ],
    ids=" ".join,
)
def test_no_name_reaches_a_terminal_raw(arguments: list[str]) -> None:
    shown = _on_a_terminal([str(HOSTILE / word) if "." in word else word for word in arguments])
    _is_harmless(shown)
    assert "\x1b[1;31m" not in shown


def _is_harmless(shown: str) -> None:
    """What a terminal was given: the hostile words, and nothing that it obeys."""
    assert "PWNED" in shown
    assert _obeyed(OWN.sub("", shown)) == set()
    assert "\x1b[1;31mno" not in shown
    assert "\n/etc/vm.mig" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "capabilities.mig"],
        ["inspect", "ramblock.mig"],
        ["diff", "--fields", "fields.mig", "fields2.mig"],
    ],
    ids=" ".join,
)
def test_no_name_reaches_a_page_raw(arguments: list[str], msixtool: Tool, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    msixtool(*[HOSTILE / word if "." in word else word for word in arguments], "--html", page)
    _is_harmless(page.read_text())


SAYS = r"""#!/bin/sh
case "$*" in
*--version*) echo QEMU emulator version 7.2.22; exit ;;
esac
printf '\033]0;PWNED\007\033[1;31mno\233such\342\200\256thing\n/etc/vm.mig: ok\n' >&2
"""
"""A QEMU whose words a terminal would obey: the beginning of a script."""


@pytest.fixture
def evil_qemu(tmp_path: Path) -> Callable[[str], str]:
    """A QEMU that says those words, and what it does then."""

    def made(end: str) -> str:
        path = tmp_path / "qemu"
        path.write_text(SAYS + end)
        path.chmod(0o755)
        return str(path)

    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ["compat", "SOURCE", "--qemu", "QEMU"],
        ["compat", "SOURCE", "--qemu", "QEMU", "--try"],
        ["compat", "SOURCE", "--on", "QEMU"],
        ["cmdline", "SOURCE", "--check", "QEMU"],
        ["capture", "-o", "OUTPUT", "--run", "--", "QEMU"],
    ],
    ids=" ".join,
)
def test_no_word_of_a_qemu_that_does_not_start_reaches_a_terminal_raw(
    arguments: list[str], evil_qemu: Callable[[str], str], tmp_path: Path
) -> None:
    words = {"SOURCE": str(SAMPLES[0]), "QEMU": evil_qemu("exit 1"), "OUTPUT": str(tmp_path / "out")}
    _is_harmless(_on_a_terminal([words.get(word, word) for word in arguments]))


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU is installed")
def test_no_word_of_a_qemu_that_refuses_reaches_a_terminal_raw(evil_qemu: Callable[[str], str]) -> None:
    command = evil_qemu('exec qemu-system-x86_64 "$@"') + " -M q35"
    shown = _on_a_terminal(["compat", str(SAMPLES[0]), "--qemu", command, "--try"])
    assert "QEMU refused it" in shown
    _is_harmless(shown)


def test_json_keeps_the_name_that_it_escapes(msixtool: Tool) -> None:
    result = msixtool("inspect", "--json", HOSTILE / "capabilities.mig")
    assert any(NAME in name for name in result.json["stream"]["capabilities"])


def test_every_control_and_format_character_is_escaped_as_json_has_it() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if _obeyed(character):
            assert json.loads(f'"{escaped(character)}"') == character
            assert escaped(character).isascii()


def test_what_people_write_is_left_as_it_is() -> None:
    text = "naïve – 東京 ⚠ a\tb\nc"
    assert escaped(text) == text
