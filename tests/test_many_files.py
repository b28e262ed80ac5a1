"""docs/many-files.md: its commands, and its scripts, print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.examples import check_examples


def test_the_page_shows_what_commands_and_scripts_print(tmp_path: Path) -> None:
    pytest.importorskip("dask")
    check_examples("many-files.md", tmp_path, 11, errors=True)
