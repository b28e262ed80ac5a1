"""Scripts for the tests of replay, and what comes of playing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.tasks.replay.player import Step, play
from msixtool.tasks.replay.script import parse_script

DEVICE = """
init 4 table=3:0x0 pba=3:0x2000 cap=0xa0
use all
entry 0 0x100000 0xd0 0
entry 1 0x100010 0xd1 0
entry 2 0x100020 0xd2 1
bus-master on
enable
"""
"""Four used vectors at work: 0 and 1 are live, 2 is masked, 3 as a reset leaves it."""


def played(text: str, folder: Path | str = "", qemu_version: QemuVersion = NEWEST) -> list[Step]:
    """Play a script to its end."""
    return list(play(parse_script(text, folder=str(folder)), qemu_version))


def last(*lines: str, before: str = DEVICE, folder: Path | str = "") -> Step:
    """Play these lines behind `before`; what became of the last of them."""
    return played("\n".join([before, *lines]), folder)[-1]


def happened(step: Step) -> list[str]:
    """The events of a step as a script names them."""
    numbers = [getattr(event, "vector", None) for event in step.events]
    return [
        event.event if number is None else f"{event.event}:{number}"
        for event, number in zip(step.events, numbers, strict=True)
    ]


def failures(steps: Sequence[Step]) -> list[tuple[str, str | None]]:
    """The lines that failed, and why."""
    return [(step.action, step.failure) for step in steps if not step.ok]
