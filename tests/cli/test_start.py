"""The command line as a whole: start-up, wrong use, pipes, exit statuses."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import msixtool as package
from msixtool.cli import COMMANDS
from msixtool.cli.status import ExitStatus
from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, SAMPLES, unpacked

Tool = Callable[..., Result]

MODULES_OF_INSPECT = 62
"""How many of msixtool's modules an `inspect` of a plain file loads at most."""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["show", "--help"]])
def test_start_up_imports_neither_construct_nor_rich(arguments: list[str]) -> None:
    code = (
        f"import sys; from msixtool.cli import run; run({arguments!r}); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'construct', 'rich'}))"
    )
    assert python(code).splitlines()[-1] == "[]"


def test_inspect_loads_what_reading_takes_and_no_more(tmp_path: Path) -> None:
    """Into a pipe, of a stream with a vmdesc: what is loaded is most of the time that it takes.

    A module costs 0.2 ms, each dataclass or enumeration in it as much again.
    """
    plain = tmp_path / "plain.mig"
    plain.write_bytes(unpacked(SAMPLES[0]))
    inspect = f"from msixtool.cli import run; run(['inspect', {str(plain)!r}])"
    needed = set(python("import sys, click, construct, json, bisect; print(*sys.modules)").split())
    loaded = set(python(f"import sys; {inspect}; print(*sys.modules)").splitlines()[-1].split())
    ours = {name for name in loaded if name.split(".")[0] == "msixtool"}
    assert loaded - ours - needed <= {"contextvars", "_contextvars", "math"}, (
        "of which Python 3.13 takes math"
    )
    rooms = {name.split(".")[1] for name in ours - {"msixtool"}}
    assert rooms.isdisjoint({"fleet", "output", "pages", "ram", "spec", "tasks"})
    assert {name for name in ours if name.startswith("msixtool.qemu.")} == {"msixtool.qemu.versions"}
    assert len(ours) <= MODULES_OF_INSPECT


def test_importing_the_package_is_cheap_and_offers_its_names() -> None:
    assert python("import sys, msixtool; print('construct' in sys.modules)").strip() == "False"
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        package.nothing_such  # noqa: B018


def test_the_version_names_python_the_libraries_and_every_extra(msixtool: Tool) -> None:
    lines = msixtool("--version").out.splitlines()
    assert lines[0] == f"msixtool, version {package.__version__}"
    assert platform.python_version() in lines[1]
    assert f"construct {metadata.version('construct')}" in lines[1]
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    named = re.findall(r"[a-z0-9]+", everything.partition("[")[2])
    told = re.findall(r"[a-z0-9]+", " ".join(lines[2:]).replace("(pip", " "))
    assert set(named) <= set(told)


def test_version_and_help(msixtool: Tool) -> None:
    assert package.__version__ in msixtool("--version").out
    help_text = msixtool("--help").out
    for command in COMMANDS:
        assert command in help_text
        assert msixtool(command, "--help").status == 0
    assert "Exit status: 0 done" in " ".join(help_text.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inspect"], "FILE"),
        (["inspekt", "x"], "inspekt"),
        (["inspect", "--jsno", "x"], "--jsno"),
        (["show", "x", "--offset", "-1"], "--offset"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(msixtool: Tool, arguments: list[str], expected: str) -> None:
    result = msixtool(*arguments)
    assert (result.status, result.out) == (ExitStatus.USAGE, "")
    assert expected in result.error_line
    assert "--help" in result.error_line


def test_a_defect_is_one_line_and_status_3(
    msixtool: Tool, monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("msixtool.dump.OpenDump.open", broken)
    result = msixtool("inspect", sample)
    assert result.status == ExitStatus.DEFECT
    assert "ZeroDivisionError: on purpose" in result.error_line


def test_a_traceback_appears_only_when_it_is_asked_for(msixtool: Tool, tmp_path: Path) -> None:
    assert "Traceback" not in msixtool("inspect", tmp_path / "missing").err
    assert "Traceback" in msixtool("inspect", "--traceback", tmp_path / "missing").err
    assert "Traceback" in msixtool("--traceback", "inspect", tmp_path / "missing").err


def test_a_closed_pipe_ends_quietly() -> None:
    sample = REPOSITORY / "samples" / "pc-2048-vectors-11.1.mig.xz"
    run = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m msixtool show --all {sample} | head -1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "0"
    assert run.stderr == ""


def test_without_arguments_the_help_is_shown(msixtool: Tool) -> None:
    result = msixtool()
    assert result.status == ExitStatus.USAGE
    assert "Commands:" in result.err
    assert len(result.err.splitlines()) > 10
