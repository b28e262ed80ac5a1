"""A stream of a machine that was never started, in a file that stays."""

from __future__ import annotations

import shutil
from pathlib import Path

from msixtool.tasks.compat.qemu_target import fresh_stream


def save_fresh(qemu: str, words: str, path: Path) -> None:
    """Start a QEMU with these words, paused, and write its stream to `path`."""
    with fresh_stream([qemu, "-nodefaults", "-display", "none", *words.split()]) as stream:
        shutil.copy(stream, path)
