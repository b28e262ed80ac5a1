"""msixtool as a real process under strace, which strikes it at the n-th time that it makes a system call."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CALLS = "write,pwrite64,copy_file_range,ftruncate,fsync,fchown,fchmod,linkat,link,renameat2,rename,unlink"
"""What changes a file or a name, each a moment at which everything may end."""

NAMED = (
    "import msixtool.output.unfinished as u; u.DESCRIPTORS = '/none'; "
    "from msixtool.__main__ import main; main()"
)
"""msixtool as on a file system without unnamed files: its temporary files have names."""


@dataclass(frozen=True)
class Run:
    """How a run ended (a negative status is a signal), and the calls that it made, in order."""

    status: int
    out: str
    err: str
    calls: list[str]


class Traced:
    """Runs msixtool in `folder`."""

    def __init__(self, folder: Path, *, named: bool = False) -> None:
        self.folder = folder
        self._program = ["-c", NAMED] if named else ["-m", "msixtool"]

    def run(self, *arguments: str, faults: tuple[str, ...] = ()) -> Run:
        """Run msixtool; each of `faults` is what happens at a call: "linkat:signal=KILL:when=2"."""
        trace = self.folder.with_suffix(".trace")
        command = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={CALLS}"]
        if not any("signal=" in fault for fault in faults):
            command.append("--seccomp-bpf")  # Quicker, but no signal comes with it.
        command += [word for fault in faults for word in ("-e", f"inject={fault}")]
        run = subprocess.run(
            [*command, sys.executable, *self._program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE)
        return Run(run.returncode, run.stdout, run.stderr, calls)

    def struck(self, fault: str, *arguments: str, at: list[str]) -> Iterator[tuple[str, Run]]:
        """One run for each of the calls `at`, in which `fault` happens at that one; the call, and the run."""
        seen: Counter[str] = Counter()
        for call in at:
            seen[call] += 1
            yield call, self.run(*arguments, faults=(f"{call}:{fault}:when={seen[call]}",))


@pytest.fixture(scope="session")
def strace() -> None:
    """Skips where there is no strace, or no process may trace another."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here (ptrace is forbidden)")
