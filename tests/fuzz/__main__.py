"""`python -m tests.fuzz`: mutated inputs for every reader, and for whole runs of the command."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import bases, coverage, report, worker
from tests.fuzz.outcome import Reader, Tally
from tests.fuzz.readers import READERS, shares


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Read mutated inputs with every reader of msixtool, in process, or run the whole command"
        " on mutated streams with --whole. Each input follows from reader, seed and index. Exit status 1"
        " where anything was found.",
        epilog="readers: " + ", ".join(READERS),
    )
    made.add_argument("--seed", type=int, default=1, help="the number that all chance comes from [1]")
    made.add_argument(
        "--count", type=int, default=10_000, metavar="N", help="inputs over all readers [10000]"
    )
    made.add_argument("--start", type=int, default=0, metavar="N", help="the index of the first input [0]")
    made.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="end each reader's run after so long (with --coverage: of CPU)",
    )
    made.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that read at a time [1]")
    made.add_argument("--reader", nargs="+", choices=READERS, metavar="NAME", help="these readers only")
    made.add_argument("--only", type=int, metavar="INDEX", help="this input alone, with what became of it")
    made.add_argument("--whole", action="store_true", help="run the whole command, in a forked process each")
    made.add_argument(
        "--exec", action="store_true", help="with --whole: start the installed command each time"
    )
    made.add_argument(
        "--coverage",
        action="store_true",
        help="have atheris choose inputs by the code that they reach (msixtool[fuzz]); ten minutes of CPU"
        " a reader unless --seconds",
    )
    made.add_argument(
        "--corpus", metavar="DIR", help="with --coverage: keep what reached more here, and go on"
    )
    made.add_argument("--log", metavar="FILE", help="append the table and the findings to this file")
    made.add_argument("--keep", metavar="DIR", help="put the inputs of findings into this folder")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 where anything was found."""
    asked = parser().parse_args(arguments)
    if asked.keep:
        os.makedirs(asked.keep, exist_ok=True)
    if not bases.CORPUS.is_dir():
        print("no corpus beside the repository: samples and recorded streams only", file=sys.stderr)
    if asked.whole or asked.exec:
        from tests.fuzz import whole

        if asked.only is not None:
            return whole.show(asked.seed, asked.only, by_exec=asked.exec)
        tallies = whole.run(asked)
    elif asked.coverage:
        tallies = _by_coverage(asked)
    elif asked.only is not None:
        return _only(READERS[(asked.reader or ["stream"])[0]], asked.seed, asked.only, asked.keep)
    else:
        tallies = _readers(asked)
    log = Log(asked.log)
    findings = [finding for tally in tallies.values() for finding in tally.findings]
    for finding in report.distinct(findings):
        log.say(str(finding))
    log.say(f"{sum(tally.count for tally in tallies.values())} inputs, {len(findings)} findings")
    return 1 if findings else 0


class Log:
    """Standard output, and a file where one is asked for."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def begin(self, seed: int) -> None:
        """When, on what and of what a run is."""
        self.say(f"\n{time.strftime('%Y-%m-%d %H:%M')}, commit {report.commit()}, seed {seed}")
        self.say(report.machine())

    def say(self, line: str) -> None:
        """One line, at once."""
        print(line, flush=True)
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line + "\n")


def _by_coverage(asked: argparse.Namespace) -> dict[str, Tally]:
    """Run readers under atheris one after another, and print what each came to."""
    tallies: dict[str, Tally] = {}
    log = Log(asked.log)
    log.begin(asked.seed)
    for name in asked.reader or coverage.READERS:
        seconds = asked.seconds or coverage.SECONDS
        tallies[name], reached = coverage.run(name, asked.seed, seconds, asked.keep, asked.corpus)
        log.say(f"{name}, {seconds:.0f} s: {reached}")
    log.say(report.table(report.row(name, tally) for name, tally in tallies.items()))
    return tallies


def _readers(asked: argparse.Namespace) -> dict[str, Tally]:
    """Run the readers one after another, and print a table of what came of each."""
    names = asked.reader or list(READERS)
    tallies: dict[str, Tally] = {}
    log = Log(asked.log)
    log.begin(asked.seed)
    for name, count in shares(names, asked.count).items():
        tallies[name] = _reader(READERS[name], asked, count)
        print(" | ".join(report.row(name, tallies[name])), flush=True)
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    total.slowest_index = -1
    log.say(
        report.table(
            [*(report.row(name, tally) for name, tally in tallies.items()), report.row("all", total)]
        )
    )
    digests = ", ".join(f"{name} {report.digest_of(READERS[name])}" for name in names)
    log.say(f"made from: {digests}")
    return tallies


def _reader(reader: Reader, asked: argparse.Namespace, count: int) -> Tally:
    """One reader over its share of the inputs, divided among the jobs."""
    parts = [range(asked.start + job, asked.start + count, asked.jobs) for job in range(asked.jobs)]
    if asked.jobs == 1:
        return worker.work(reader, asked.seed, parts[0], asked.keep, asked.seconds)
    whole = Tally()
    with ThreadPoolExecutor(asked.jobs) as pool:
        for tally in pool.map(
            lambda part: worker.work(reader, asked.seed, part, asked.keep, asked.seconds), parts
        ):
            whole.add(tally)
    return whole


def _only(reader: Reader, seed: int, index: int, keep: str | None) -> int:
    """Make one input, read it, and say how that went."""
    made = reader.make(worker.random_of(reader.name, seed, index))
    print(f"{reader.name} --seed {seed} --only {index}: {len(made.data)} bytes made from {made.base}")
    if keep:
        Path(keep, f"{reader.name}-{seed}-{index}").write_bytes(made.data)
        if made.other:
            Path(keep, f"{reader.name}-{seed}-{index}.other").write_bytes(made.other)
    worker.set_alarms()
    ran = worker.run_input(reader, made)
    print(f"{ran.outcome or ran.kind} in {1000 * ran.seconds:.1f} ms\n{ran.text}".rstrip())
    return 1 if ran.kind else 0


if __name__ == "__main__":
    sys.exit(main())
