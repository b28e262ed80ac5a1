"""Signals that end a capture: once, and not its cleaning up.

Source: Python, asyncio (add_signal_handler, cancellation).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a capture in order."""


async def ended_in_order(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` so that a signal cancels it once; its cleaning up is not cut short by another.

    Raises KeyboardInterrupt(number) where one did.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    came: list[int] = []

    def stop(number: int) -> None:
        if not came:
            came.append(number)
            task.cancel()

    try:
        for number in _SIGNALS:
            if before[number] is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, stop, number)
    except (RuntimeError, ValueError):
        before.clear()  # Not in the main thread: signals are not ours.
    try:
        result = await task
        if came:  # A task that is at its end may be done in spite of it.
            raise KeyboardInterrupt(*came)
        return result
    except asyncio.CancelledError:
        raise KeyboardInterrupt(*came) from None
    finally:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)
