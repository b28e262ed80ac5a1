"""No input decides what a terminal does: whatever is in its names, by pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
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
from tests.conftest import REPOSITORY

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
    ],
    ids=" ".join,
)
def test_no_name_reaches_a_terminal_raw(arguments: list[str]) -> None:
    shown = _on_a_terminal([str(HOSTILE / word) if "." in word else word for word in arguments])
    assert "PWNED" in shown
    assert _obeyed(OWN.sub("", shown)) == set()
    assert "\x1b[1;31m" not in shown
    assert "\n/etc/vm.mig" not in shown


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
