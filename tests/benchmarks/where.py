"""Where the time of `inspect` goes, step by step."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import steps
from tests.benchmarks.inputs import SMALL, Input, sizes
from tests.benchmarks.jobs import Tools
from tests.benchmarks.measure import environment

STEPS = (
    "import click and the command line",
    "import the readers",
    "find the sections",
    "find the devices",
    "import what prints, and print",
)


def inputs(*, large: bool) -> list[Input]:
    """The streams whose steps are shown side by side."""
    return [*SMALL, *(sizes(gib)[0] for gib in ((1, 8) if large else (1,)))]


def steps_of(tools: Tools, made: Sequence[Input], runs: int, say: Callable[[str], None]) -> list[list[float]]:
    """For each input, the median seconds of each step. Raises CalledProcessError."""
    taken: list[list[list[float]]] = [[] for _ in made]
    for number in range(-1, runs):
        for index, each in enumerate(made):
            say(f"{each.name}: steps, run {number + 1} of {runs}")
            path = each.path(tools.folder)
            arguments, whole = _run(tools, "whole", path)
            reading = _run(tools, "reading", path)
            if number >= 0:
                taken[index].append([arguments, *reading, max(0.0, whole - sum(reading))])
    return [[statistics.median(column) for column in zip(*rows, strict=True)] for rows in taken]


def _run(tools: Tools, what: str, path: Path) -> list[float]:
    command = [str(tools.python), "-I", steps.__file__, what, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return [float(word) for word in run.stdout.split()]
