"""`show --watch`: a VM look after look, on a terminal in place, else as lines of what has changed."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msixtool.cli.guard import below
from msixtool.cli.output import console, print_json, report
from msixtool.cli.pager import live
from msixtool.cli.screen import remark
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Look

Draw = Callable[["Console", "Look"], None]
"""Prints all of a look."""


def watch(looks: Iterator[Look], draw: Draw, every: float, *, as_json: bool) -> ExitStatus:
    """Show look after look until the VM has gone, which is raised, or ctrl-C ends it, which is no failure."""
    live()
    out = console()
    try:
        with end_in_order():
            if as_json:
                return _documents(looks)
            if not out.is_terminal or out.is_dumb_terminal:
                return _lines(out, looks, draw)
            return _in_place(out, looks, draw, every)
    except KeyboardInterrupt as ended:
        if ended.args[:1] != (signal.SIGINT,):
            raise
        return ExitStatus.DONE


def _documents(looks: Iterator[Look]) -> ExitStatus:
    for look in looks:
        print_json(look.document(), one_line=True)
        sys.stdout.flush()
    return ExitStatus.DONE


def _lines(out: Console, looks: Iterator[Look], draw: Draw) -> ExitStatus:
    """All of the first look, then a line for each device that has changed, with the time of day."""
    for look in looks:
        if look.since is None:
            _say(look)
            draw(out, look)
        for line in _changes(look):
            out.print(f"{time.strftime('%H:%M:%S')} {line}", soft_wrap=True)
        sys.stdout.flush()
    return ExitStatus.DONE


def _changes(look: Look) -> Iterator[str]:
    from msixtool.cli.diff_words import device_lines

    if look.since is not None:
        for line in device_lines(look.since.changes, [*look.since.sides[0], *look.since.sides[1]]):
            yield f"{line.name}: {'; '.join(line.clauses)}"


def _say(look: Look) -> None:
    for note in look.vm.notes:
        remark(note)
    report(look)


def _in_place(out: Console, looks: Iterator[Look], draw: Draw, every: float) -> ExitStatus:
    """Each look over the one before, on a screen of its own; the last one stays when that ends."""
    last = None
    try:
        with out.screen():
            for number, look in enumerate(looks):
                last = look
                with out.capture() as captured:
                    out.print(_heading(look, number, every), style="reverse")
                    draw(out, look)
                _paint(out, captured.get().splitlines())
    finally:
        if last is not None:
            draw(out, last)
            _say(last)
    return ExitStatus.DONE


def _heading(look: Look, number: int, every: float) -> str:
    from msixtool.words import plural

    stood = "" if not look.vm.paused_ms else f", the guest stood {look.vm.paused_ms:.1f} ms"
    changes = "" if look.since is None else f", {plural(len(look.since.changes), 'change')}"
    return f"{look.vm.name}  every {every:g} s, look {number + 1}{stood}{changes}  (ctrl-C ends)"


def _paint(out: Console, lines: list[str]) -> None:
    """Write over what is there, as far as the screen goes. What is captured is guarded already."""
    height = out.size.height
    if len(lines) > height:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1} more lines: --device chooses"]
    screen = below(sys.stdout)
    screen.write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
    screen.flush()
