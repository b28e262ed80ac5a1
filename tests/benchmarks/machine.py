"""What a run was made on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msixtool
from tests.benchmarks.jobs import Tools
from tests.live.guest import find_qemu


def is_of_this_checkout(python: Path) -> bool:
    """Whether the msixtool that this Python imports has the modules of this checkout, byte for byte."""
    code = "import msixtool, sys; sys.stdout.write(msixtool.__path__[0])"
    run = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True)
    here, there = Path(msixtool.__path__[0]), Path(run.stdout)
    return _modules(here) == _modules(there)


def _modules(package: Path) -> dict[str, bytes]:
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*.py")}


def load_average() -> str:
    """Of the last 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def moment() -> str:
    """Now, and the commit that is checked out now."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}"


def facts(tools: Tools, runs: int, begin: str, load_before: str) -> list[tuple[str, str]]:
    """The machine and the versions, to be read beside the figures."""
    return [
        ("Date", begin),
        ("Machine", f"{_processor()}, {os.cpu_count()} cores, {_memory()} of RAM, {_disk(tools.folder)}"),
        ("Load average", f"{load_before} before, {load_average()} after"),
        ("System", f"Linux {platform.release()}, {_output(str(tools.python), '--version')}"),
        ("Libraries", ", ".join(f"{name} {version(name)}" for name in ("click", "construct", "rich"))),
        ("Streams of", _output(find_qemu() or "", "--version").splitlines()[0]),
        ("Runs", f"{runs} of each command in turns, after one that is not counted; page cache warm"),
    ]


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / (1 << 30):.1f} GiB"


def _disk(folder: Path) -> str:
    return f"inputs on {_output('stat', '-f', '-c', '%T', str(folder))}"


def _commit() -> str:
    here = str(Path(__file__).parent)
    commit = _output("git", "-C", here, "rev-parse", "--short", "HEAD")
    changed = _output("git", "-C", here, "status", "--porcelain", "--untracked-files=no", "--", ":/msixtool")
    return commit + (" with changes" if changed else "")


def _output(*command: str) -> str:
    """What a command prints, or `unknown`."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()
