"""What is measured: the commands for each input, and what does the same beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.inputs import FORGED, SMALL, Input, fleet_of, sizes, without_vmdesc
from tests.benchmarks.measure import Job

REFERENCE = "analyze-migration.py"
START = "start"
GROWTH = "growth"
IMPORT_CLICK = "python -c 'import click'"
PIPE = "inspect - (pipe)"
CAT = "cat (pipe)"
SMALLEST = SMALL[1]
FLEET = fleet_of(SMALLEST)
ALONE, ONE_PROCESS, TWO_PROCESSES = (
    "inspect --json of one",
    "inspect --json --jobs 1",
    "inspect --json --jobs 2",
)

_ANY = (0, 1)


@dataclass(frozen=True)
class Tools:
    """A Python with the `msixtool` beside it, QEMU's script if it is there, and the folder of the inputs."""

    python: Path
    reference: Path | None
    folder: Path

    @property
    def msixtool(self) -> tuple[str, ...]:
        """The console script, as users run it; without one, the module."""
        script = self.python.parent / "msixtool"
        return (str(script),) if script.exists() else (str(self.python), "-m", "msixtool")

    def job(
        self,
        name: str,
        made: Input,
        *arguments: str,
        other: Input | None = None,
        beside: str | None = REFERENCE,
        output: Path | None = None,
    ) -> Job:
        """`msixtool NAME INPUT [OTHER] ARGUMENTS`; a status of 1 is an answer too."""
        reads = (made,) if other is None else (made, other)
        paths = [str(each.path(self.folder)) for each in reads]
        command = (*self.msixtool, *name.split(), *paths, *arguments)
        return Job(made.name, name, command, reads, output=output, statuses=_ANY, beside=beside)

    def piped(self, made: Input) -> Job:
        """What comes through a pipe is walked forward."""
        path, command = made.path(self.folder), (*self.msixtool, "inspect", "-")
        return Job(made.name, PIPE, command, (made,), piped=path, statuses=_ANY, beside=REFERENCE)

    def analyze(self, made: Input, read: Input | None = None) -> Iterator[Job]:
        """QEMU's script on an input, or on another in its stead."""
        if self.reference is not None:
            read = read or made
            command = (str(self.python), str(self.reference), "-f", str(read.path(self.folder)))
            yield Job(made.name, REFERENCE, command, (read,), ours=False)


def groups(tools: Tools, *, large: bool) -> list[list[Job]]:
    """All there is to measure. The jobs of a group are run in turns, to be compared with each other."""
    full_sizes = [sizes(gib)[0] for gib in ((1, 4, 8) if large else (1,))]
    made = [
        list(_start(tools)),
        list(_fleet(tools)),
        [job for small in SMALL for job in _every_command(tools, small)],
    ]
    for gib in (1, 4, 8) if large else (1,):
        full, half = sizes(gib)
        # Copies push other files out of the page cache: they are for themselves.
        made += [list(jobs(tools, each)) for each in (full, half) for jobs in (_reading, _copying)]
        if gib < 8:
            made.append(list(_forward(tools, full)))
    made.append(list(_growth(tools, [SMALL[0], *full_sizes])))
    return made


def _start(tools: Tools) -> Iterator[Job]:
    """What every command takes before it reads anything, step by step."""
    for code, ours in (("pass", False), ("import click", False), ("import msixtool.dump", True)):
        yield Job(START, f"python -c '{code}'", (str(tools.python), "-c", code), ours=ours)
    for option in ("--version", "inspect --help"):
        yield Job(START, f"msixtool {option}", (*tools.msixtool, *option.split()))


def _fleet(tools: Tools) -> Iterator[Job]:
    """Many streams alike, by one process and by two; and one of them, which is mostly Python's start."""
    path, command = FLEET.path(tools.folder), (*tools.msixtool, "inspect", "--json")
    one = str(SMALLEST.path(tools.folder))
    yield Job(FLEET.name, ALONE, (*command, one), (SMALLEST,))
    yield Job(FLEET.name, ONE_PROCESS, (*command, "--jobs", "1", str(path)), (FLEET,))
    yield Job(FLEET.name, TWO_PROCESSES, (*command, "--jobs", "2", str(path)), (FLEET,))


def _every_command(tools: Tools, made: Input) -> Iterator[Job]:
    yield from _reading(tools, made)
    yield from _copying(tools, made)


def _reading(tools: Tools, made: Input) -> Iterator[Job]:
    """What reads a stream. Its fresh twin is the other side of `diff` and the target of `compat`."""
    twin = made.fresh()
    yield from tools.analyze(made)
    for name in ("inspect", "inspect --json", "show", "fields --json", "validate"):
        yield tools.job(name, made)
    yield tools.piped(made)
    path = made.path(tools.folder)
    yield Job(made.name, CAT, ("cat",), (made,), ours=False, piped=path)
    yield tools.job("load", made, beside=None)
    yield tools.job("diff", made, other=twin, beside=None)
    yield tools.job("compat", made, other=twin, beside=None)
    if made.ram == 1024:
        yield tools.job("diff --fields", made, other=twin, beside=None)


def _copying(tools: Tools, made: Input) -> Iterator[Job]:
    """What writes a stream as long."""
    output = tools.folder / "output.part"
    copy = ("cp", str(made.path(tools.folder)), str(output))
    yield Job(made.name, "cp", copy, (made,), ours=False, output=output)
    forged = ("--device", FORGED, "--pending", "1", "-o", str(output))
    yield tools.job("forge", made, *forged, beside="cp", output=output)


def _forward(tools: Tools, full: Input) -> Iterator[Job]:
    """Without a vmdesc, beside the script on the same machine's stream with the vmdesc that it needs."""
    made = without_vmdesc(full)
    yield from tools.analyze(made, read=full)
    for name in ("inspect", "show", "validate"):
        yield tools.job(name, made)
    yield tools.piped(made)


def _growth(tools: Tools, inputs: list[Input]) -> Iterator[Job]:
    """The same machine with more and more RAM, side by side."""
    for made in inputs:
        command = (*tools.msixtool, "inspect", str(made.path(tools.folder)))
        yield Job(GROWTH, f"inspect {made.name}", command, (made,))
