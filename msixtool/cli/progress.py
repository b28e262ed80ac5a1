"""Progress bars on standard error, for work that takes more than a second on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

DELAY = 1.0
"""Seconds that pass before a bar is shown."""


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the bytes that are done and those there are (0: not known)."""
    bar = _Bar(what)
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
        bar.close()


class _Bar:
    """Shows nothing in a pipe, nor before DELAY has passed."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._wanted = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        if not self._wanted or time.monotonic() - self._began < DELAY:
            return
        if self._progress is None or self._task is None:
            self._progress = self._made()
            self._progress.start()
            self._task = self._progress.add_task(self._what, total=None)
        self._progress.update(self._task, completed=done, total=total or None)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _made(self) -> Progress:
        from rich.progress import DownloadColumn

        return _progress(DownloadColumn(binary_units=True))


class CountBar(_Bar):
    """Has no thread of its own (the program forks), and is drawn when it is told of progress."""

    def __init__(self, what: str, total: int) -> None:
        super().__init__(what)
        self._total = total
        self._drawn = 0.0

    def update(self, done: int, total: int = 0) -> None:
        """That many are done."""
        super().update(done, total or self._total)
        if self._progress is not None and time.monotonic() - self._drawn > 1 / 10:
            self._drawn = time.monotonic()
            self._progress.refresh()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is printed in this block stands above the bar."""
        if self._progress is None:
            yield
            return
        self._progress.stop()
        yield
        self._progress.start()

    def _made(self) -> Progress:
        from rich.progress import MofNCompleteColumn

        return _progress(MofNCompleteColumn(), live=False)


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
