"""How long msixtool takes, and how much memory: `python -m tests.benchmarks`.

Makes its own inputs with an installed QEMU (kept in --inputs, else thrown away), runs every command
as a whole process several times, in turns with QEMU's scripts/analyze-migration.py where that does
the same, and prints one table and the figures to reach. docs/benchmarks.md says how to get the script.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

from tests.benchmarks import figures, machine, report, where
from tests.benchmarks.inputs import make, missing_room
from tests.benchmarks.jobs import GROWTH, START, Tools, groups
from tests.benchmarks.measure import Job, Results, measure, read_through
from tests.live.guest import GuestError, find_qemu


def parse() -> argparse.Namespace:
    """The command line."""
    script = os.environ.get("MSIXTOOL_ANALYZE_MIGRATION") or None
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each command [5]")
    parser.add_argument("--inputs", type=Path, help="folder to keep the inputs in [a temporary one]")
    parser.add_argument(
        "--small", action="store_true", help="leave out 4 and 8 GiB, which need 40 GiB of disk"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="only what matches a glob of 'INPUT: COMMAND', as '8 GiB*: inspect'; may be given again",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=script,
        help="QEMU's scripts/analyze-migration.py [$MSIXTOOL_ANALYZE_MIGRATION]",
    )
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="the Python of both, whose msixtool is measured, such as that of another venv [this one]",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this page too")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: expected 1 or more")
    if options.reference is not None and not options.reference.is_file():
        parser.error(f"{options.reference}: no such file")
    if find_qemu() is None:
        parser.error("no qemu-system-x86_64 is installed (MSIXTOOL_QEMU names another)")
    return options


def main() -> int:
    """Make the inputs, measure, print; 1 where a figure is not reached, 2 where a command fails."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="msixtool-bench-", dir="/var/tmp") as scratch:
        folder = (options.inputs or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        reference = options.reference.absolute() if options.reference else None
        tools = Tools(options.python.absolute(), reference, folder)
        if not machine.is_of_this_checkout(tools.python):
            print(
                f"{tools.python}: its msixtool is another than this checkout's: install it again",
                file=sys.stderr,
            )
            return 2
        chosen = [_choose(group, options.only) for group in groups(tools, large=not options.small)]
        try:
            return _run([group for group in chosen if group], tools, options)
        except (GuestError, OSError, ValueError, subprocess.CalledProcessError) as error:
            _say("")
            print(f"{error}: {getattr(error, 'stderr', '')}", file=sys.stderr)
            return 2


def _run(chosen: list[list[Job]], tools: Tools, options: argparse.Namespace) -> int:
    inputs = list(dict.fromkeys(each for group in chosen for job in group for each in job.reads))
    missing = missing_room(inputs, tools.folder)
    if missing:
        print(
            f"{tools.folder}: {missing >> 20} MiB more of disk needed (--small needs less)", file=sys.stderr
        )
        return 2
    for each in inputs:
        _say(f"making {each.name}")
        make(each, tools.folder)
    begin, load = machine.moment(), machine.load_average()
    results, jobs = Results(), list[Job]()
    for group in chosen:
        read_through({each.path(tools.folder) for job in group for each in job.reads})
        results |= measure(group, _runs(group, options.runs), _say)
        jobs += group
    sheets = [] if options.only else [_where(tools, options)]
    _say("")
    outcomes = figures.outcomes(results, jobs)
    sheets = [report.figures(outcomes), report.measurements(results, jobs), *sheets]
    facts = machine.facts(tools, options.runs, begin, load)
    report.show(list(reversed(sheets)), facts)
    if options.markdown is not None:
        report.write(options.markdown, report.markdown(sheets, facts))
    return 0 if all(each.reached for each in outcomes) else 1


def _runs(group: list[Job], wanted: int) -> int:
    """How often: copies of 4 and 8 GiB wait for the disk; what is short and compared closely is cheap."""
    if any(job.output and each.ram > 1024 for job in group for each in job.reads):
        return min(wanted, 3)
    return 3 * wanted if group[0].input in (START, GROWTH) else wanted


def _where(tools: Tools, options: argparse.Namespace) -> report.Sheet:
    made = where.inputs(large=not options.small)
    taken = where.steps_of(tools, made, options.runs, _say)
    return report.where([each.name for each in made], where.STEPS, taken)


def _choose(group: list[Job], patterns: list[str] | None) -> list[Job]:
    """The jobs that match a pattern, and those that they stand beside."""
    if not patterns:
        return group
    wanted = [job for job in group if any(fnmatch(f"{job.input}: {job.name}", each) for each in patterns)]
    keys = {job.key for job in wanted} | {(job.input, job.beside) for job in wanted}
    return [job for job in group if job.key in keys]


def _say(words: str) -> None:
    """What is going on now, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
