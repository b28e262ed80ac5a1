"""What shells offer while a command is typed: in bash, zsh and fish themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

STREAM = "samples/q35-virtio-e1000e-7.2.mig.xz"
BASH = """
eval "$(_MSIXTOOL_COMPLETE=bash_source msixtool)"
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
compopt() {{ echo compopt "$@"; }}
_msixtool_completion msixtool
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -Uz compinit && compinit -u -d "$HOME/dump"
eval "$(_MSIXTOOL_COMPLETE=zsh_source msixtool)"
compadd() {{ local name=$@[-1]; print -l -- "${{(@P)name}}" }}
_describe() {{ local name=$3; local -a them=("${{(@P)name}}"); print -l -- "${{them[@]%%:*}}" }}
_path_files() {{ print -l -- $words[-1]*(N) }}
words=({words}) CURRENT=$#words
_msixtool_completion
"""
CASES = {
    "a command": ("msixtool sho", "show"),
    "a file": ("msixtool show samples/q35-virtio", STREAM),
    "a device by its address": (f"msixtool show {STREAM} --device 04", "04.0"),
    "a device by its kind": (f"msixtool forge {STREAM} -d e10", "e1000e"),
    "a kind": ("msixtool load state.bin --kind megasas", "megasas"),
    "a rule": ("msixtool validate --ignore bus", "bus-master-off"),
    "an option": ("msixtool inspect --sect", "--sections"),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One in which `msixtool` is this one."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "msixtool"
    program.write_text(f"#!{sys.executable}\nfrom msixtool.__main__ import main\nmain()\n")
    program.chmod(0o755)
    home = str(tmp_path_factory.mktemp("home"))
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": home,
        "PYTHONPATH": str(REPOSITORY),
    }


def offered(shell: str, script: str, environment: dict[str, str]) -> list[str]:
    """The lines that a shell prints of a script."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} is installed")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    run = subprocess.run(
        [shell, *options, "-c", script],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [line.partition("\t")[0] for line in run.stdout.splitlines()]


@pytest.mark.parametrize(("typed", "expected"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_offers(shell: str, typed: str, expected: str, environment: dict[str, str]) -> None:
    scripts = {
        "bash": BASH.format(words=typed),
        "zsh": ZSH.format(words=typed),
        "fish": f"_MSIXTOOL_COMPLETE=fish_source msixtool | source; complete -C '{typed}'",
    }
    found = offered(shell, scripts[shell], environment)
    if shell == "bash" and expected == STREAM:
        expected = "compopt -o default"  # bash is told to do it itself
    assert expected in found


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("0000 : 00 : 04", ["04.0/e1000e", "04.0"]),
        ("0000 : 00 : 04.0/", ["04.0/e1000e"]),
        ("0000 :", ["00:04.0/e1000e", "00:04.0"]),
        ("0000:00:04", ["0000:00:04.0/e1000e", "0000:00:04.0"]),  # COMP_WORDBREAKS without a colon
    ],
)
def test_bash_which_breaks_words_at_colons_completes_the_address_of_a_device(
    typed: str, expected: list[str], environment: dict[str, str]
) -> None:
    found = offered("bash", BASH.format(words=f"msixtool show {STREAM} -d {typed}"), environment)
    assert set(expected) <= set(found)
    assert all(name.startswith((typed.rpartition(" ")[2].lstrip(":"), "00")) for name in found)


def test_a_file_that_is_no_stream_offers_nothing_and_says_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "notes"
    other.write_text("nothing of the kind\n")
    run = subprocess.run(
        ["msixtool"],
        env={
            **environment,
            "_MSIXTOOL_COMPLETE": "bash_complete",
            "COMP_WORDS": f"msixtool show {other} -d ",
            "COMP_CWORD": "4",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout.strip(), run.stderr) == ("", "")
