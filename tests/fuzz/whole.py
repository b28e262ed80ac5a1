"""Whole runs of the command, each in a process of its own.

Forked from one that has imported everything (what a run costs then is the run), or with --exec
started as a shell would start it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.fuzz import commands, report, worker
from tests.fuzz.commands import Asked, Files
from tests.fuzz.outcome import Finding, Tally

NAME = "whole"
"""What stands for a reader in the source of chance, and in findings."""
KILL_AFTER = 60
"""Seconds after which a run is ended."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: its exit status (negative: a signal), what it printed, and what it took."""

    status: int
    out: bytes
    err: bytes
    left: Files
    cpu: float
    wall: float
    memory: int


def prepare() -> None:
    """Import what the commands need, before anything is forked."""
    from importlib import import_module

    from msixtool.cli import COMMANDS, run

    for name in COMMANDS:
        import_module(f"msixtool.cli.{name}")
    for index in range(40):
        asked = commands.make(worker.random_of(NAME, 0, index))
        with _folder(asked) as folder:
            here = os.getcwd()
            os.chdir(folder)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                run(asked.words)
            os.chdir(here)
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _folder(asked: Asked) -> Iterator[str]:
    """A folder with the files of a run."""
    with tempfile.TemporaryDirectory(prefix="msixtool-fuzz-", dir=_SHM) as folder:
        for name, data in asked.files.items():
            Path(folder, name).write_bytes(data)
        yield folder


_SHM = "/dev/shm" if os.path.isdir("/dev/shm") else None


def command_line() -> list[str]:
    """The installed command."""
    installed = shutil.which("msixtool")
    return [installed] if installed else [sys.executable, "-m", "msixtool"]


def execute(asked: Asked, *, by_exec: bool) -> Ran:
    """Run the command once."""
    line = command_line() if by_exec else None
    with _folder(asked) as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(asked, folder, out.fileno(), err.fileno(), line)
        _, status, used = os.wait4(child, 0)
        wall = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        left = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return Ran(
            os.waitstatus_to_exitcode(status),
            out.read(),
            err.read(),
            left,
            used.ru_utime + used.ru_stime,
            wall,
            used.ru_maxrss * 1024,
        )


def _become(asked: Asked, folder: str, out: int, err: int, line: list[str] | None) -> NoReturn:
    """In the child: be the command, with strict UTF-8 on standard output as in most people's shells."""
    status = 125
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(KILL_AFTER)
        if line is not None:
            environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "TERM": "dumb"}
            os.execve(line[0], [*line, *asked.words], environment)
        sys.stdin = io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), encoding="utf-8", errors="strict")
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), encoding="utf-8", errors="backslashreplace")
        from msixtool.cli import run

        status = run(asked.words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def judge(asked: Asked, ran: Ran) -> list[str]:
    """All that a run did and must not do."""
    found = commands.faults(asked, ran.status, ran.out, ran.err, ran.left)
    if ran.cpu > worker.CPU_LIMIT:
        found.append(f"{ran.cpu:.2f} s of CPU")
    elif ran.wall > worker.WALL_LIMIT:
        found.append(f"{ran.wall:.2f} s")
    if ran.memory > worker.MEMORY_LIMIT:
        found.append(f"{ran.memory >> 20} MiB resident")
    return found


def run(asked: argparse.Namespace) -> dict[str, Tally]:
    """So many runs, by the commands' names."""
    prepare()
    tallies = {name: Tally() for name in commands.COMMANDS}
    began = time.monotonic()
    for index in _indexes(asked, began):
        made = commands.make(worker.random_of(NAME, asked.seed, index))
        ran = execute(made, by_exec=asked.exec)
        found = judge(made, ran)
        if index % 1000 == 999:
            print(f"{index + 1 - asked.start} runs in {time.monotonic() - began:.0f} s", flush=True)
        _count(tallies[made.command], index, ran, found)
        if found:
            text = "; ".join(found) + "\n" + ran.err.decode("utf-8", "replace")
            finding = Finding(NAME, asked.seed, index, f"{' '.join(made.words)}, {made.base}", found[0], text)
            tallies[made.command].findings.append(finding)
            print(f"{finding}: {'; '.join(found)[:300]}", flush=True)
            _keep(asked.keep, index, made, finding)
    _print(asked, tallies, time.monotonic() - began)
    return tallies


def _indexes(asked: argparse.Namespace, began: float) -> Iterable[int]:
    for index in range(asked.start, asked.start + asked.count):
        if asked.seconds is not None and time.monotonic() - began > asked.seconds:
            return
        yield index


def _count(tally: Tally, index: int, ran: Ran, found: list[str]) -> None:
    tally.outcomes["finding" if found else f"status {ran.status}"] += 1
    tally.seconds += ran.cpu
    tally.memory = max(tally.memory, ran.memory)
    if ran.cpu > tally.slowest:
        tally.slowest, tally.slowest_index = ran.cpu, index


def _keep(folder: str | None, index: int, made: Asked, finding: Finding) -> None:
    if folder is not None:
        for name, data in made.files.items():
            Path(folder, f"{NAME}-{finding.seed}-{index}.{name}").write_bytes(data)
        Path(folder, f"{NAME}-{finding.seed}-{index}.txt").write_text(f"{finding}\n{finding.text}")


_HEAD = ("command", "runs", "status 0", "status 1", "status 2", "findings", "slowest ms", "peak MiB", "CPU s")


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    statuses = [tally.outcomes[f"status {status}"] for status in range(3)]
    findings = tally.outcomes["finding"]
    return (
        name,
        str(sum(statuses) + findings),
        *map(str, statuses),
        str(findings),
        f"{1000 * tally.slowest:.0f}" + (f" (#{tally.slowest_index})" if tally.slowest_index >= 0 else ""),
        str(tally.memory >> 20),
        f"{tally.seconds:.0f}",
    )


def _print(asked: argparse.Namespace, tallies: dict[str, Tally], seconds: float) -> None:
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    total.slowest_index = -1
    rows = [*(_row(name, tally) for name, tally in tallies.items()), _row("all", total)]
    way = "started as " + " ".join(command_line()) if asked.exec else "forked"
    when = f"{time.strftime('%Y-%m-%d %H:%M')}, commit {report.commit()}, seed {asked.seed}"
    text = f"\n{when}, {way}, {seconds:.0f} s\n{report.machine()}\n{report.table(rows, _HEAD)}"
    print(text, flush=True)
    if asked.log:
        with open(asked.log, "a", encoding="utf-8") as file:
            file.write(text + "\n")


def show(seed: int, index: int, *, by_exec: bool) -> int:
    """One run with all that it printed; 1 where it did what it must not."""
    made = commands.make(worker.random_of(NAME, seed, index))
    print(f"msixtool {' '.join(made.words)}   ({made.base}; {', '.join(made.files)})")
    ran = execute(made, by_exec=by_exec)
    print(ran.out.decode("utf-8", "replace")[:4000], ran.err.decode("utf-8", "replace")[:4000], sep="\n")
    found = judge(made, ran)
    took = f"{1000 * ran.wall:.0f} ms, {ran.memory >> 20} MiB"
    print(f"status {ran.status} in {took}: {'; '.join(found) or 'fine'}")
    return 1 if found else 0
