"""`python -m tests.referee TREE…`: plays on the model and on each tree's msix.c (--operations, --seed)."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.referee.build import build, release
from tests.referee.play import Game

parser = argparse.ArgumentParser(prog="python -m tests.referee", description=__doc__)
parser.add_argument("trees", nargs="+", type=Path, metavar="TREE", help="QEMU source tree")
parser.add_argument("--operations", type=int, default=2_000_000, metavar="N", help="how many (%(default)s)")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
for tree in options.trees:
    with tempfile.TemporaryDirectory() as folder:
        version = release(tree)
        Game(build(tree, Path(folder)), version, options.seed).play(options.operations)
        print(f"{'.'.join(map(str, version))}: {options.operations} operations without a difference")
