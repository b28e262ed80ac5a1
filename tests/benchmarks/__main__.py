"""How long msixtool takes, and how much memory: `python -m tests.benchmarks`.

Makes its own inputs with an installed QEMU (kept in --inputs, else thrown away), runs each command
as a whole process several times and prints one table: the median of the seconds, the peak of the
resident memory, and beside it QEMU's scripts/analyze-migration.py where --reference names it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.inputs import INPUTS, LARGE, make, room_for

TOOL = [sys.executable, "-m", "msixtool"]


@dataclass(frozen=True)
class Measure:
    """Median wall-clock seconds of several runs, and the largest peak of resident memory in MiB."""

    seconds: float
    memory: float


# Peak memory is inherited from the process that forks, so a small one has to do it.
LAUNCHER = """
import os, sys, time
null = os.open(os.devnull, os.O_WRONLY)
begin = time.perf_counter()
child = os.fork()
if not child:
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def measure(command: Sequence[str], runs: int) -> Measure:
    """Run a command several times. Raises CalledProcessError where it fails."""
    seconds, memory = [], 0.0
    for _ in range(runs):
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
        output = subprocess.run(launch, capture_output=True, text=True, check=True).stdout.split()
        if output[2] != "0":
            raise subprocess.CalledProcessError(int(output[2]), command)
        seconds.append(float(output[0]))
        memory = max(memory, int(output[1]) / 1024)
    return Measure(statistics.median(seconds), memory)


def main() -> None:
    """Parse the arguments, make the inputs, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each command [5]")
    parser.add_argument("--inputs", type=Path, help="folder to keep the inputs in")
    parser.add_argument("--large", action="store_true", help="4 and 8 GiB too (needs some 30 GiB of disk)")
    parser.add_argument("--reference", type=Path, help="QEMU's scripts/analyze-migration.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="msixtool-bench-") as scratch:
        folder = options.inputs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        inputs = INPUTS + (LARGE if options.large else ())
        if not room_for(inputs, folder):
            parser.error(f"not enough room in {folder}")
        report([(made.name, make(made, folder)) for made in inputs], options.runs, options.reference)


def report(inputs: list[tuple[str, Path]], runs: int, reference: Path | None) -> None:
    """Print the table."""
    console = Console()
    table = Table("Input", "Command", "Seconds", "Peak MiB", "analyze-migration", box=None)
    bare = measure([sys.executable, "-c", "import click"], runs)
    table.add_row("-", "python -c 'import click'", f"{bare.seconds:.3f}", f"{bare.memory:.0f}", "")
    start = measure([*TOOL, "--version"], runs)
    table.add_row("-", "--version", f"{start.seconds:.3f}", f"{start.memory:.0f}", "")
    for name, path in inputs:
        other = None if reference is None else _reference(reference, path, runs)
        for command in (["inspect"], ["show", "--json"], ["load", "--json"]):
            mine = measure([*TOOL, *command, str(path)], runs)
            ratio = (
                "" if other is None else f"{other.seconds:.2f} s, {other.seconds / mine.seconds:.1f} times"
            )
            table.add_row(name, command[0], f"{mine.seconds:.3f}", f"{mine.memory:.0f}", ratio)
    console.print(table)


def _reference(script: Path, path: Path, runs: int) -> Measure | None:
    try:
        return measure([sys.executable, str(script), "-f", str(path)], min(runs, 3))
    except subprocess.CalledProcessError:
        return None  # It needs the vmdesc.


if __name__ == "__main__":
    main()
