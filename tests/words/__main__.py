"""`python -m tests.words [-v] [TREE…]`: what explain knows of QEMU source trees, by folder.

Without a TREE: of the releases on record. `-v` names the rest; `--record RELEASE=TREE…` records anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.words.count import count, count_broad, unknown
from tests.words.record import record, recorded
from tests.words.sources import messages

arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
if "--record" in sys.argv:
    trees = dict(argument.split("=", 1) for argument in arguments)
    record({release: messages(Path(tree)) for release, tree in trees.items()})
    sys.exit()
found = {tree: messages(Path(tree)) for tree in arguments} or recorded()
for name, said in found.items():
    folders = count(said)
    total = tuple(map(sum, zip(*folders.values(), strict=True)))
    print(name)
    for folder, (known, every) in [*folders.items(), ("all", total)]:
        print(f"{folder:<20}{known:>5} of {every:>5}  {100 * known / every:5.1f} %")
    print(f"{'by few words':<20}{count_broad(said):>5}")
    if "-v" in sys.argv:
        print(*unknown(said), sep="\n")
