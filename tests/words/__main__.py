"""`python -m tests.words TREE…`: for each QEMU source tree what explain knows, by folder; `-v`
names the rest."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.words.count import count, unknown

trees = [Path(argument) for argument in sys.argv[1:] if argument != "-v"]
if not trees:
    sys.exit(f"usage: {__doc__}")
for tree in trees:
    folders = count(tree)
    total = tuple(map(sum, zip(*folders.values(), strict=True)))
    for folder, (found, every) in [*folders.items(), ("all", total)]:
        print(f"{folder:<20}{found:>5} of {every:>5}  {100 * found / every:5.1f} %")
    if "-v" in sys.argv:
        print(*unknown(tree), sep="\n")
