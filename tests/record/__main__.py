"""`python -m tests.record QEMU…`: record each QEMU (a binary, or a wrapper of one) for the package.

Writes `msixtool/qemu/recorded/RELEASE.json`; what changed is for you to look at: git diff.
"""

from __future__ import annotations

import sys

from tests.record.record import FOLDER, record, text_of

if not sys.argv[1:]:
    sys.exit(f"usage: {__doc__}")
for binary in sys.argv[1:]:
    made = record(binary)
    path = FOLDER / f"{made['release']}.json"
    path.write_text(text_of(made), "utf-8")
    print(path)
