"""The examples of a page of docs, run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

_BLOCK = re.compile(r"^```\n(\$ [\s\S]*?)^```$", re.MULTILINE)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_SCRIPT = re.compile(r"^```python\n# (\S+\.py)\n([\s\S]*?)^```$", re.MULTILINE)


def check_examples(page: str, folder: Path, count: int, *, errors: bool = False) -> None:
    """Run the commands of docs/`page` in `folder`, one after another: each must print what it shows.

    There are `count` of them. Where a line ends in … any text may stand. Python blocks that begin
    with a name are the scripts that the commands run. With `errors` the page shows standard error too,
    and statuses are free; without, there is none. Commands that need jq are left out where it is not.
    """
    (folder / "samples").symlink_to(REPOSITORY / "samples")
    text = (REPOSITORY / "docs" / page).read_text()
    for name, script in _SCRIPT.findall(text):
        (folder / name).write_text(script)
    examples = [example for block in _BLOCK.findall(text) for example in _COMMAND.findall(block)]
    assert len(examples) == count
    programs = (
        f'msixtool() {{ "{sys.executable}" -m msixtool "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; '
    )
    for command, shown in examples:
        if "jq " in command and shutil.which("jq") is None:
            continue
        run = subprocess.run(
            ["sh", "-c", programs + command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        assert errors or (run.returncode < 2, run.stderr) == (True, ""), command
        pattern = r"[\s\S]*".join(map(re.escape, shown.split("…\n")))
        assert re.fullmatch(pattern, run.stdout), f"{command}\n{run.stdout}"
