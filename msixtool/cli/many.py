"""Several inputs, or folders of them: answered by several processes, printed in the order given.

A command answers one file as it would alone, in a process of its own: what it prints is kept and
printed here when its turn comes. So the order is that of the inputs whichever is ready first.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TextIO

from msixtool.cli import TRACEBACK
from msixtool.cli.guard import below, guard
from msixtool.cli.options import is_folder
from msixtool.cli.progress import count_bar
from msixtool.cli.screen import asked, remark, warn
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus
from msixtool.cli.summary import Summary
from msixtool.errors import MsixtoolError, NotAStreamError
from msixtool.fleet.pool import Killed, available_cores, may_fork, results_in_order
from msixtool.fleet.walk import FoundFile, Walk, walk
from msixtool.words import plural

NAMED = 3
"""How many of the files that are no streams are named."""


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """What a command has to tell of a stream besides what it printed."""

    status: ExitStatus
    damaged: bool = False
    facts: Any = None
    """For the row and the totals of its summary, where there is one."""
    row: Any = None
    """What a page is to keep of it, where there is one."""
    domain: str | None = None
    """libvirt's name of the VM, where a save image tells it."""


class Fate(Enum):
    """What became of an input."""

    READ = "read"
    NO_STREAM = "no stream"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InputAnswer:
    """What came of one input."""

    fate: Fate
    seen: StreamOutcome
    out: str = ""
    err: str = ""


def run_many(
    files: Sequence[str],
    one: Callable[[str], StreamOutcome],
    *,
    jobs: int | None = None,
    summary: Summary | None = None,
    inline: bool = False,
    rows: list[Any] | None = None,
) -> ExitStatus:
    """Give every file to `one`, and print what it printed in the order of the files.

    What cannot be read is named, and the rest goes on; of the statuses the gravest counts. What is
    no stream is left out where it was found in a folder. With a `summary` a table of one row a
    stream is printed; `rows` takes what a page keeps of each stream. With `--only` those are printed that are
    failing (their status is not 0) or damaged; all count. `jobs` processes work at a
    time, by default one for each core; `inline`: this one does it all, where the work cannot be shared,
    as it does where it has other threads (of a target that is read over the network, or a program's own).
    """
    found = walk(files)
    report = _Report(found, summary)
    answer = partial(_answer, one, found.inputs)
    count = len(found.inputs)
    if inline or not may_fork():
        answers: Iterator[Any] = (answer(index) for index in range(count))
    else:
        answers = results_in_order(count, answer, jobs=jobs or available_cores())
    with end_in_order(), count_bar("streams", count) as bar, closing(answers):  # type: ignore[type-var]
        if summary is not None:
            summary.begin([source.path for source in found.inputs], _only_folder(files))
        for number, (source, result) in enumerate(zip(found.inputs, answers, strict=True), 1):
            given = _lost(source, result) if isinstance(result, Killed) else result
            if given.err or sys.stdout.isatty():
                bar.make_room()
            report.add(source, given)
            if rows is not None and given.seen.row is not None and report.shows(given.seen):
                rows.append(given.seen.row)
            bar.update(number)
    return report.end(files)


def _only_folder(files: Sequence[str]) -> str | None:
    """The folder that all inputs are in, where nothing else was given."""
    return files[0] if len(files) == 1 and is_folder(files[0]) else None


class _Kept(io.StringIO):
    """What a command prints, kept; to the command it is like the stream that it will go to."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _answer(one: Callable[[str], StreamOutcome], inputs: Sequence[FoundFile], index: int) -> InputAnswer:
    """What `one` says of an input, whatever it raises."""
    # A bar of its own would stand in the way of the one that counts the inputs.
    out, err = _Kept(sys.stdout.isatty()), _Kept(terminal=False)
    with redirect_stdout(guard(out, silent=asked.quiet)), redirect_stderr(err):
        fate, seen = _tried(one, inputs[index])
    return InputAnswer(fate, seen, out.getvalue(), err.getvalue())


def _tried(one: Callable[[str], StreamOutcome], source: FoundFile) -> tuple[Fate, StreamOutcome]:
    failed = StreamOutcome(ExitStatus.USAGE)
    try:
        if source.error is not None:
            raise source.error
        return Fate.READ, one(source.path)
    except NotAStreamError as error:
        if source.found:
            return Fate.NO_STREAM, StreamOutcome(ExitStatus.DONE)
        warn(str(error.at(path=source.path)))
    except MsixtoolError as error:
        warn(str(error.at(path=source.path)))
    except OSError as error:
        warn(f"{source.path}: {error.strerror or error}")
    except MemoryError:
        warn(f"{source.path}: there is not enough memory to read it")
    except Exception as error:
        if TRACEBACK in sys.argv:
            import traceback

            traceback.print_exc()
        warn(f"{source.path}: defect: {type(error).__name__}: {error} (please report it, with {TRACEBACK})")
        failed = StreamOutcome(ExitStatus.DEFECT)
    return Fate.FAILED, failed


def _lost(source: FoundFile, killed: Killed) -> InputAnswer:
    """The answer of a process that was killed on the way."""
    err = _Kept(terminal=False)
    with redirect_stderr(err):
        warn(f"{source.path}: the process that read it was {killed.how}: perhaps memory ran out")
    return InputAnswer(Fate.FAILED, StreamOutcome(ExitStatus.USAGE), err=err.getvalue())


@dataclass
class _Report:
    """Prints answers as they come, and counts them."""

    found: Walk
    summary: Summary | None
    status: ExitStatus = ExitStatus.DONE
    read: int = 0
    damaged: int = 0
    failed: int = 0
    no_stream: int = 0
    named: list[str] = field(default_factory=list)
    headed: bool = False
    left: int = 0
    """Streams that `--only` leaves out."""

    def shows(self, seen: StreamOutcome) -> bool:
        """Whether a stream is among those that are wanted."""
        return {None: True, "failing": bool(seen.status), "damaged": seen.damaged}[asked.only]

    def add(self, source: FoundFile, answer: InputAnswer) -> None:
        """Print what one input gave."""
        seen = answer.seen
        self.status = max(self.status, seen.status)
        self.read += answer.fate is Fate.READ
        self.damaged += seen.damaged
        self.failed += answer.fate is Fate.FAILED
        if answer.fate is Fate.NO_STREAM:
            self.no_stream += 1
            self.named += [source.path] if self.no_stream <= NAMED else []
        shown = answer.fate is not Fate.READ or self.shows(seen)
        if asked.format == "csv":
            _put(below(sys.stdout), self._rows(answer.out, shown))
        elif shown:
            _put(below(sys.stdout), answer.out)
        if not shown:
            self.left += 1
            return
        if self.summary is not None and answer.fate is Fate.READ:
            self.summary.add(source.path, seen.facts, seen.domain)
        sys.stdout.flush()
        _put(sys.stderr, answer.err)

    def _rows(self, text: str, shown: bool) -> str:
        """The rows, if they are `shown`; the first time their heading, whether any is."""
        heading, newline, rows = text.partition("\n")
        first = bool(heading) and not self.headed
        self.headed = self.headed or first
        return (heading + newline if first else "") + (rows if shown else "")

    def end(self, files: Sequence[str]) -> ExitStatus:
        """Print the totals, and what was left out; the status of the whole."""
        left_out = self._left_out()
        if self.summary is not None and self.read:
            self.summary.end(self._totals())
            sys.stdout.flush()
        if left_out:
            remark(f"left out: {left_out}")
        if not self.read and not self.failed:
            warn(f"{', '.join(files)}: no stream in this directory")
            return ExitStatus.USAGE
        return self.status

    def _totals(self) -> str:
        totals = [plural(self.read, "stream")]
        totals += [f"{self.left} not shown"] if self.left else []
        totals += [f"{self.damaged} damaged"] if self.damaged else []
        totals += [f"{plural(self.failed, 'file')} not read"] if self.failed else []
        return ", ".join(totals)

    def _left_out(self) -> str:
        """What is not among the answers, in words."""
        names = ", ".join(self.named)
        more = ", …" if self.no_stream > len(self.named) else ""
        kinds = [
            (self.no_stream, f"no stream ({names}{more})"),
            (self.found.hidden, "hidden"),
            (self.found.special, "FIFO, socket or device"),
            (self.found.links, "link to a folder"),
        ]
        return "; ".join(f"{count} {words}" for count, words in kinds if count)


def _put(stream: TextIO, text: str) -> None:
    if text:
        stream.write(text)
