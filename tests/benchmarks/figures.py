"""The figures to reach: ratios of two jobs of one run, and whether they are reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.inputs import FLEET as MANY
from tests.benchmarks.jobs import (
    CAT,
    FLEET,
    GROWTH,
    IMPORT_CLICK,
    ONE_PROCESS,
    PIPE,
    REFERENCE,
    START,
    TWO_PROCESSES,
)
from tests.benchmarks.measure import Job, Results, Runs

MEMORY = 60_000_000
"""Bytes that no command may pass."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """What is asked: the time of `top` divided by that of `bottom`, at least or at most `bound`.

    Without a `bottom`: the milliseconds that each of `count` things takes.
    """

    words: str
    top: Key
    bottom: Key | None
    bound: float
    at_least: bool
    count: int = 1

    @property
    def target(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Outcome:
    """What came of a figure: its ratio by medians, by least times and by CPU time, and if it is reached."""

    words: str
    target: str
    values: tuple[str, str, str]
    reached: bool


def _faster(words: str, name: str, command: str, times: float) -> Figure:
    return Figure(words, (name, REFERENCE), (name, command), times, at_least=True)


FIGURES = (
    _faster("inspect, 1 GiB: times as fast as the script", "1 GiB full", "inspect", 8),
    _faster("inspect, 8 GiB: times as fast as the script", "8 GiB full", "inspect", 50),
    Figure(
        "inspect, 8 GiB beside 8 MiB", (GROWTH, "inspect 8 GiB full"), (GROWTH, "inspect 8 MiB"), 1.1, False
    ),
    _faster(
        "forward walk, 1 GiB, no vmdesc: times as fast as the script",
        "1 GiB full, no vmdesc",
        "inspect",
        4,
    ),
    _faster(
        "forward walk, 4 GiB, no vmdesc: times as fast as the script",
        "4 GiB full, no vmdesc",
        "inspect",
        4,
    ),
    Figure(
        "msixtool --version beside import click",
        (START, "msixtool --version"),
        (START, IMPORT_CLICK),
        2.5,
        False,
    ),
    Figure("inspect of a small file (ms)", (GROWTH, "inspect 8 MiB"), None, 75, False),
    Figure("each of a fleet alike (ms)", (FLEET.name, ONE_PROCESS), None, 1.5, False, MANY),
    Figure(
        "a fleet, two processes: times as fast as one",
        (FLEET.name, ONE_PROCESS),
        (FLEET.name, TWO_PROCESSES),
        1.7,
        True,
    ),
    Figure("inspect -, 1 GiB, beside cat | cat", ("1 GiB full", PIPE), ("1 GiB full", CAT), 1.3, False),
    Figure(
        "inspect, 60 virtio devices beside 2",
        ("60 virtio devices", "inspect"),
        ("2 virtio devices", "inspect"),
        3,
        False,
    ),
)


def outcomes(results: Results, jobs: Sequence[Job]) -> list[Outcome]:
    """What was measured of the figures; those whose jobs were not run are left out."""
    found = [
        _outcome(figure, results[figure.top], None if figure.bottom is None else results[figure.bottom])
        for figure in FIGURES
        if figure.top in results and (figure.bottom is None or figure.bottom in results)
    ]
    ours = [job for job in jobs if job.ours and job.key in results]
    if ours:
        largest = max(ours, key=lambda job: results[job.key].peak)
        peak = results[largest.key].peak
        found.append(
            Outcome(
                f"peak memory, largest of all (MB): {largest.name}, {largest.input}",
                f"< {MEMORY / 1e6:g}",
                (f"{peak / 1e6:.1f}", "", ""),
                peak < MEMORY,
            )
        )
    return found


def _outcome(figure: Figure, top: Runs, bottom: Runs | None) -> Outcome:
    ways: tuple[Callable[[Runs], float], ...] = (
        lambda runs: runs.median,
        lambda runs: runs.least,
        lambda runs: runs.cpu_median,
    )
    ratios = [way(top) / (way(bottom) if bottom else figure.count / 1000) for way in ways]
    reached = ratios[0] >= figure.bound if figure.at_least else ratios[0] <= figure.bound
    return Outcome(
        figure.words, figure.target, (_ratio(ratios[0]), _ratio(ratios[1]), _ratio(ratios[2])), reached
    )


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
