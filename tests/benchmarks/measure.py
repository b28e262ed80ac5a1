"""Commands, and what running them takes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import launch
from tests.benchmarks.inputs import Input


@dataclass(frozen=True)
class Job:
    """One command to measure, named by its input and what it does.

    `reads` are the inputs that it needs. `piped` comes to it through a pipe from `cat`, `output` is what
    it writes and is removed after each run, `statuses` are those that are no failure. `beside` names the
    job of the same input that does the same.
    """

    input: str
    name: str
    command: tuple[str, ...]
    reads: tuple[Input, ...] = ()
    ours: bool = True
    piped: Path | None = None
    output: Path | None = None
    statuses: tuple[int, ...] = (0,)
    beside: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.input, self.name


@dataclass
class Runs:
    """What each run of a job took: wall-clock and CPU seconds, and the peak of resident memory in bytes."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)

    @property
    def peak(self) -> int:
        return max(self.memory)


Results = dict[tuple[str, str], Runs]


def environment() -> Mapping[str, str]:
    """That of this process without Python's own settings: bytecode is kept, as it is for users."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run_once(job: Job) -> tuple[float, float, int]:
    """Run a job: seconds, CPU seconds, peak in bytes. Raises CalledProcessError where it fails."""
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(job.piped or ""), *job.command]
    try:
        run = subprocess.run(launcher, capture_output=True, text=True, check=True, env=environment())
    finally:
        if job.output is not None:
            job.output.unlink(missing_ok=True)
    seconds, cpu, peak, status = run.stdout.split()
    if int(status) not in job.statuses:
        raise subprocess.CalledProcessError(int(status), job.command, stderr=run.stderr)
    return float(seconds), float(cpu), int(peak) * 1024


def measure(jobs: Sequence[Job], runs: int, say: Callable[[str], None] = lambda _: None) -> Results:
    """Run the jobs in turns, `runs` times each, so that all meet the machine in the same moods.

    One more round goes before and is not counted: it brings files into the page cache and writes
    bytecode. Raises CalledProcessError where one fails.
    """
    results: Results = {job.key: Runs() for job in jobs}
    for number in range(-1, runs):
        for job in jobs:
            say(f"{job.input}: {job.name}, run {number + 1} of {runs}")
            seconds, cpu, peak = run_once(job)
            if number >= 0:
                found = results[job.key]
                found.seconds.append(seconds)
                found.cpu.append(cpu)
                found.memory.append(peak)
    return results


def read_through(paths: Iterable[Path]) -> None:
    """Bring files, and those in folders, into the page cache."""
    for path in (each for given in paths for each in (given.iterdir() if given.is_dir() else (given,))):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
