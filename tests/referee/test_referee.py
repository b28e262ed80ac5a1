"""The model does what QEMU's own hw/pci/msix.c does, on random operations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.referee.build import build, compiler, release
from tests.referee.play import Game

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
OPERATIONS = 20_000
"""A short game; `python -m tests.referee TREE` plays two million."""


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
@pytest.mark.skipif(compiler() is None, reason="no C compiler")
@pytest.mark.parametrize("seed", [1, 2])
def test_the_model_and_qemu_do_the_same(tmp_path: Path, seed: int) -> None:
    for tree in TREES:
        folder = tmp_path / tree.name
        folder.mkdir()
        Game(build(tree, folder), release(tree), seed).play(OPERATIONS)
