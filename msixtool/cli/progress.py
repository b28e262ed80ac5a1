"""Progress bars on standard error, for work that takes more than a second on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msixtool.cli.screen import asked

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

DELAY = 1.0
"""Seconds that pass before a bar is shown."""
INTERVAL = 0.25
"""Seconds that pass between two drawings of a bar that has no thread: each takes some milliseconds."""


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the bytes that are done and those there are (0: not known)."""
    bar = _ProgressBar(what)
    try:
        yield bar.update
    finally:
        bar.close()


@contextmanager
def count_bar(what: str, total: int) -> Iterator[CountBar]:
    """Yields a bar that counts things, `total` in all, and makes room for what is printed meanwhile."""
    bar = CountBar(what, total)
    try:
        yield bar
    finally:
        bar.make_room()


class _ProgressBar:
    """Shows nothing in a pipe, nor before DELAY has passed."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._wanted = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        if not self._wanted or asked.quiet or time.monotonic() - self._began < DELAY:
            return
        if self._progress is None or self._task is None:
            from rich.progress import DownloadColumn

            self._progress = _progress(DownloadColumn(binary_units=True))
            self._progress.start()
            self._task = self._progress.add_task(self._what, total=None)
        self._progress.update(self._task, completed=done, total=total or None)

    def close(self) -> None:
        self._wanted = False
        if self._progress is not None:
            self._progress.stop()


class CountBar:
    """Has no thread of its own (the program forks): it is drawn now and then when it is told of progress."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._began = time.monotonic()
        self._drawn = self._began - INTERVAL
        self._progress: Progress | None = None
        self._shown = False
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def update(self, done: int) -> None:
        """That many are done."""
        now = time.monotonic()
        if not self._wanted or asked.quiet or now - self._began < DELAY or now - self._drawn < INTERVAL:
            return
        self._drawn = now
        if self._progress is None:
            from rich.progress import MofNCompleteColumn

            self._progress = _progress(MofNCompleteColumn(), live=False)
            self._progress.add_task(self._what, total=self._total)
        self._progress.update(self._progress.task_ids[0], completed=done)
        if not self._shown:
            self._progress.start()
            self._shown = True
        self._progress.refresh()

    def make_room(self) -> None:
        """Take the bar away, as something is to be printed; it comes back below that."""
        if self._shown and self._progress is not None:
            self._progress.stop()
        self._shown = False


def _progress(amount: ProgressColumn, *, live: bool = True) -> Progress:
    """A bar with `amount` behind it; one that is not `live` has to be refreshed."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        amount,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=live,
        redirect_stdout=live,
        redirect_stderr=live,
    )
