"""Work on many things over several processes, whose results come in the order of the things.

Processes are forked and each is given one thing at a time, so that when one is killed (by the
kernel, out of memory) it is known on what, and the rest goes on. Results that come before their
turn are held, but no more than a bounded number of bytes: memory stays flat however many there are.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

AHEAD = 256
"""How many results may wait for the one whose turn it is."""
_HELD = 8 << 20
"""Bytes of results that may wait; then nothing new is begun."""
_INDEX = struct.Struct("=Q")
_COLLECTED_AFTER = 700
"""How many new objects the garbage collector of a process waits for, as is usual: what one thing leaves in
cycles is given back before the next is through, which costs less than new memory for each."""
_GUARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

Work = Callable[[int], Any]
"""Is given the number of a thing; the result is pickled. It must not raise."""


@dataclass(frozen=True, slots=True)
class Killed:
    """Instead of a result: the process that worked on it ended, by a signal or otherwise."""

    how: str


def results_in_order(count: int, work: Work, *, jobs: int) -> Iterator[Any]:
    """The results of `work` for 0 up to `count`, in that order; a `Killed` where there is none.

    `jobs` processes work at a time. They are ended with the generator: close it. To be used where
    `may_fork` says so.
    """
    pool = _Pool(work)
    ready: dict[int, bytes | Killed] = {}
    begun = held = 0
    try:
        for turn in range(count):
            while turn not in ready:
                while begun < count and (begun == turn or (begun - turn < AHEAD and held < _HELD)):
                    if not pool.give(begun, limit=min(jobs, count)):
                        break
                    begun += 1
                for index, result in pool.results():
                    ready[index] = result
                    held += _size(result)
            result = ready.pop(turn)
            held -= _size(result)
            yield result if isinstance(result, Killed) else pickle.loads(result)
    finally:
        pool.kill()


def _size(result: bytes | Killed) -> int:
    return 0 if isinstance(result, Killed) else len(result)


class _Pool:
    """The processes. The parent's ends of their pipes are here."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}
        """By the descriptor that the result comes from."""

    def give(self, index: int, *, limit: int) -> bool:
        """Have a process begin with `index`; False where all are busy."""
        while self._idle or len(self._busy) < limit:
            worker = self._idle.pop() if self._idle else self._started()
            if worker is None:
                return False
            if worker.begin(index):
                self._busy[worker.results] = worker
                return True
            self._end(worker)  # It was killed while it had nothing to do: nothing is lost.
        return False

    def results(self) -> Iterator[tuple[int, bytes | Killed]]:
        """Wait for results: what there is, with the numbers of the things."""
        poll = select.poll()
        for descriptor in self._busy:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll():
            worker = self._busy.pop(descriptor)
            result = worker.result()
            if result is None:
                yield worker.index, Killed(self._end(worker))
            else:
                self._idle.append(worker)
                yield worker.index, result

    def _started(self) -> _Worker | None:
        """A new process; None where the system has none to give and there are others."""
        try:
            with _signals_held():
                self._all.append(_Worker.start(self._work, self._all))
        except OSError:
            if not self._busy:
                raise
            return None
        return self._all[-1]

    def _end(self, worker: _Worker) -> str:
        how = worker.end()
        self._all.remove(worker)
        return how

    def kill(self) -> None:
        """End all processes at once."""
        for worker in self._all:
            worker.end()
        self._all, self._idle, self._busy = [], [], {}


@dataclass(slots=True)
class _Worker:
    """One process: what it is to do goes into `tasks`, what comes of it out of `results`."""

    pid: int
    tasks: int
    results: int
    index: int = 0
    _ended: bool = False

    @classmethod
    def start(cls, work: Work, others: list[_Worker]) -> _Worker:
        with ExitStack() as undo:
            task_end, tasks = _pipe(undo)
            results, result_end = _pipe(undo)
            pid = os.fork()
            undo.pop_all()
        if pid == 0:
            # The others see the end of their tasks only when nobody holds the other end any more.
            for descriptor in [tasks, results, *(end for other in others for end in other.ends)]:
                os.close(descriptor)
            _serve(work, task_end, result_end)
        os.close(task_end)
        os.close(result_end)
        return cls(pid, tasks, results)

    @property
    def ends(self) -> tuple[int, int]:
        """The parent's ends of the two pipes."""
        return self.tasks, self.results

    def begin(self, index: int) -> bool:
        """Hand a thing over; False where the process is gone."""
        self.index = index
        try:
            os.write(self.tasks, _INDEX.pack(index))
        except BrokenPipeError:
            return False
        return True

    def result(self) -> bytes | None:
        """The whole result; None where the process ended before it was whole."""
        head = _exactly(self.results, _INDEX.size)
        return None if head is None else _exactly(self.results, _INDEX.unpack(head)[0])

    def end(self) -> str:
        """End the process, if it has not ended; how it did. May be called again."""
        if self._ended:
            return ""
        self._ended = True
        for descriptor in self.ends:
            os.close(descriptor)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _serve(work: Work, tasks: int, results: int) -> None:
    """What a process does: one thing after another, until there are no more. Does not return."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent ends its processes.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _GUARDED)
        gc.freeze()  # What it was born with lives as long as it does.
        gc.set_threshold(_COLLECTED_AFTER)
        while (task := _exactly(tasks, _INDEX.size)) is not None:
            data = pickle.dumps(work(_INDEX.unpack(task)[0]), pickle.HIGHEST_PROTOCOL)
            _write(results, _INDEX.pack(len(data)))
            _write(results, data)
        code = 0
    except BrokenPipeError:
        code = 0  # The parent is gone.
    finally:
        os._exit(code)


def _pipe(undo: ExitStack) -> tuple[int, int]:
    """Both ends of a new pipe, to be closed where what follows fails."""
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _exactly(descriptor: int, length: int) -> bytes | None:
    """`length` bytes; None where the pipe ends before them."""
    pieces = []
    while length:
        piece = os.read(descriptor, min(length, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals come before or after, so that no process is forgotten, nor begins with our handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _GUARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def may_fork() -> bool:
    """Whether this process has one thread alone: a copy of several may wait forever for a lock."""
    return len(os.listdir("/proc/self/task")) == 1


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
