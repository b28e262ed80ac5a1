"""Running inputs in a process of their own: watched, bounded in memory, and survived when it dies."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from types import FrameType

from msixtool.errors import MsixtoolError
from tests.fuzz.outcome import Finding, Input, MisreadError, Outcome, Reader, Tally

CPU_LIMIT = 2.0
"""Seconds of CPU that one input may take."""
WALL_LIMIT = 20.0
"""Seconds that may pass: what waits takes no CPU. Far more than CPU_LIMIT, for a machine that is shared."""
MEMORY_LIMIT = 200 << 20
"""Bytes that the process may have resident, msixtool and what inputs are made of included."""
LONGEST_ERROR = 4000
"""Characters of an error's one line."""


class Hang(BaseException):
    """An input took too long. No Exception, so that nothing on the way takes it for one of its own."""


def random_of(reader: str, seed: int, index: int) -> Random:
    """The source of chance of one input: the same three make the same input."""
    return Random(f"{reader}/{seed}/{index}")


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one input: an outcome, or else what went wrong."""

    outcome: Outcome | None
    seconds: float
    kind: str = ""
    text: str = ""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang(f"more than {CPU_LIMIT} s of CPU" if number == signal.SIGPROF else f"more than {WALL_LIMIT} s")


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Raise Hang in what takes too long."""
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)
    signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_input(reader: Reader, made: Input, *, watched: bool = True) -> Ran:
    """Read one input, and say how that went; without `watched` however long it takes."""
    began = time.process_time()
    outcome: Outcome | None = None
    kind = text = ""
    try:
        with _watched() if watched else contextlib.nullcontext():
            outcome = reader.read(made)
    except MisreadError as error:
        kind, text = "failure", str(error)
    except MsixtoolError as error:
        outcome = Outcome.REFUSED
        line = str(error)
        if "\n" in line or not line or len(line) > LONGEST_ERROR:
            kind, text, outcome = "error line", f"{len(line)} characters: {line[:400]!r}", None
    except Hang as error:
        kind, text = "hang", f"{traceback.format_exc()}\n{error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        kind, text = type(error).__name__, traceback.format_exc()
    seconds = time.process_time() - began
    if watched and not kind and seconds > CPU_LIMIT:
        kind, text, outcome = "slow", f"{seconds:.2f} s of CPU", None
    return Ran(outcome, seconds, kind, text)


def peak_memory() -> int:
    """The most that this process had resident, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Loop:
    """Inputs of one reader, one after another, in this process."""

    def __init__(self, reader: Reader, seed: int, keep: str | None) -> None:
        self.reader = reader
        self.seed = seed
        self.keep = keep
        self.tally = Tally()
        self._memory_told = False

    def run(self, index: int) -> None:
        """Make and read the input of this index."""
        made = self.reader.make(random_of(self.reader.name, self.seed, index))
        ran = run_input(self.reader, made)
        self.count(index, made, ran)

    def count(self, index: int, made: Input, ran: Ran) -> None:
        """Put into the tally what became of an input."""
        kind, text = ran.kind, ran.text
        memory = peak_memory()
        if memory > MEMORY_LIMIT and not self._memory_told and not kind:
            self._memory_told = True
            kind, text = "memory", f"{memory >> 20} MiB resident"
        self.tally.memory = max(self.tally.memory, memory)
        self.tally.seconds += ran.seconds
        if ran.seconds > self.tally.slowest:
            self.tally.slowest, self.tally.slowest_index = ran.seconds, index
        self.tally.outcomes[ran.outcome or "finding"] += 1
        if kind:
            self._found(index, made, kind, text)

    def _found(self, index: int, made: Input, kind: str, text: str) -> None:
        finding = Finding(self.reader.name, self.seed, index, made.base, kind, text)
        self.tally.findings.append(finding)
        keep_input(self.keep, finding, made)


def keep_input(folder: str | None, finding: Finding, made: Input) -> None:
    """Put the bytes of an input, and what went wrong with it, into a folder."""
    if folder is None:
        return
    stem = f"{folder}/{finding.reader}-{finding.seed}-{finding.index}"
    for suffix, data in (
        ("", made.data),
        (".other", made.other),
        (".txt", f"{finding}\n{finding.text}".encode()),
    ):
        if data:
            with open(stem + suffix, "wb") as file:
                file.write(data)


def prepare(reader: Reader) -> None:
    """Make what inputs are made from, bound the memory from there on, and set the alarms."""
    reader.make(random_of(reader.name, 0, 0))
    run_input(reader, reader.make(random_of(reader.name, 0, 0)))
    gc.collect()
    gc.freeze()
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT, resource.RLIM_INFINITY))


def set_alarms() -> None:
    """Have the alarms raise Hang in this process."""
    signal.signal(signal.SIGPROF, _alarm)
    signal.signal(signal.SIGALRM, _alarm)


def work(reader: Reader, seed: int, indexes: Iterable[int], keep: str | None, seconds: float | None) -> Tally:
    """Run inputs in child processes until all have run, or the time is over.

    A child that dies of an input (a crash in a library) is a finding, and another one goes on behind it.
    """
    tally = Tally()
    left = list(indexes)
    deadline = None if seconds is None else time.monotonic() + seconds
    while left:
        done, part, died = _child(reader, seed, left, keep, deadline)
        tally.add(part)
        if died is None:
            break
        index = left[done] if done < len(left) else left[-1]
        finding = Finding(reader.name, seed, index, "?", "crash", died)
        tally.findings.append(finding)
        tally.outcomes["finding"] += 1
        keep_input(keep, finding, reader.make(random_of(reader.name, seed, index)))
        left = left[done + 1 :]
    return tally


def _child(
    reader: Reader, seed: int, indexes: list[int], keep: str | None, deadline: float | None
) -> tuple[int, Tally, str | None]:
    """Run inputs in one child: how many were done, the tally, and how it died where it did."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    receiver, sender = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        code = 1
        try:
            _in_child(reader, seed, indexes, keep, deadline, shared, sender)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(sender)
    with open(receiver, "rb") as file:
        raw = file.read()
    _, status = os.waitpid(child, 0)
    (done,) = struct.unpack_from("Q", shared)
    if status == 0 and raw:
        return done, pickle.loads(raw), None
    tally: Tally = Tally()
    tally.outcomes["lost"] = done
    code = os.waitstatus_to_exitcode(status)
    return (
        done,
        tally,
        f"the process ended with {code}" if code >= 0 else f"the process died of signal {-code}",
    )


def _in_child(
    reader: Reader,
    seed: int,
    indexes: list[int],
    keep: str | None,
    deadline: float | None,
    shared: mmap.mmap,
    sender: int,
) -> None:
    set_alarms()
    prepare(reader)
    loop = Loop(reader, seed, keep)
    for done, index in enumerate(indexes):
        if deadline is not None and time.monotonic() > deadline:
            break
        struct.pack_into("Q", shared, 0, done)
        loop.run(index)
    with open(sender, "wb") as file:
        pickle.dump(loop.tally, file)
