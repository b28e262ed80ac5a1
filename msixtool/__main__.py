"""`python -m msixtool`, and the console script."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

_SET_ASIDE_AFTER = 40_000
"""How many new objects are never looked through for garbage: all that is imported, and the first stream."""
_COLLECTED_AFTER = 3_000, 10, 40
"""How many new objects the garbage collector waits for from then on, where 700 are usual, and how rarely it
looks through all: most of what is read of a stream stays. With many streams one after another more would be
memory in vain."""


def main() -> None:
    """Run the command line and exit with its status; by the signal itself where one has ended it."""
    _have_streams()
    gc.set_threshold(_SET_ASIDE_AFTER)
    gc.callbacks.append(_set_aside)
    try:
        from msixtool.cli import run

        status = run()
    except KeyboardInterrupt:
        status = 130
    _forget_errors_unsaid()
    if status > 128:
        _die(status - 128)
    _leave(status)


def _set_aside(*_: object) -> None:
    """Before the first collection: what is there by now stays."""
    gc.callbacks.remove(_set_aside)
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def _have_streams() -> None:
    """Take the numbers of output streams that are closed, so that no file that is opened gets them.

    Writing to standard output fails then; what would be said on standard error is lost.
    """
    for number, name, mode in ((1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, mode), number)
            setattr(sys, name, os.fdopen(number, "w"))


def _forget_errors_unsaid() -> None:
    """Drop what standard error would not take (a full disk): Python would try again, and end with 120."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _leave(status: int) -> None:
    """End at once: Python would take down piece by piece what the system takes back as a whole."""
    atexit._run_exitfuncs()
    for out in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            out.flush()
    os._exit(status)


def _die(number: int) -> None:
    """End by a signal, as a shell expects it of what it interrupts: its loop ends then, too."""
    import signal

    sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
