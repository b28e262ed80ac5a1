"""The examples of a page of docs, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

_BLOCK = re.compile(r"^```\n(\$ [\s\S]*?)^```$", re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def check_examples(page: str, folder: Path, count: int) -> None:
    """Run the commands of docs/`page` in `folder`, one after another: each must print what it shows.

    There are `count` of them. What ends in a line with … may go on after it.
    """
    (folder / "samples").symlink_to(REPOSITORY / "samples")
    text = (REPOSITORY / "docs" / page).read_text()
    examples = [example for block in _BLOCK.findall(text) for example in _COMMAND.findall(block)]
    assert len(examples) == count
    for command, shown in examples:
        script = f'msixtool() {{ "{sys.executable}" -m msixtool "$@"; }}; {command}'
        run = subprocess.run(
            ["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.returncode < 2, run.stderr) == (True, ""), command
        if shown.endswith("…\n"):
            assert run.stdout.startswith(shown.removesuffix("…\n")), command
        else:
            assert run.stdout == shown, command
