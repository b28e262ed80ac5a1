"""Signals that end a command: what it began is put in order before it goes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def end_in_order() -> Iterator[None]:
    """Within the block (or the function that it decorates) these signals raise KeyboardInterrupt(number).

    So files under a temporary name are taken away, and a QEMU that was started is ended. Only the
    first of them counts: a second must not cut that short. One that is ignored, as under nohup,
    stays so. Nothing is changed in a thread that is not the main one.
    """
    before: dict[signal.Signals, signal._HANDLER] = {}

    def end(number: int, _: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    try:
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler) and _handle(number, end):
                before[number] = handler
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: signal.Signals, handler: signal._HANDLER) -> bool:
    """Whether a signal could be given a handler: that is for the main thread alone."""
    try:
        signal.signal(number, handler)
    except ValueError:
        return False
    return True
