#!/usr/bin/env python3
"""Record the rare streams again with the QEMU programs at hand.

    python tests/data/rare/make.py [--qemu BIN] [--out DIR] [--force] [NAME…]

Each is written to DIR/NAME-VERSION.mig.xz, with the version of the QEMU that made it. The recipes
are those of tests/live/rare.py; README.md says what each file is.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.live.guest import GuestError  # noqa: E402
from tests.live.rare import RECIPES, X86, Recipe, version_of  # noqa: E402


def record(recipe: Recipe, binary: str, out: Path, *, force: bool) -> str:
    """Make one stream; a line that says what became of it. Raises GuestError where QEMU cannot."""
    version = version_of(binary)
    if not recipe.since <= version <= recipe.until:
        raise GuestError(f"not with QEMU {version[0]}.{version[1]}")
    packed = lzma.compress(recipe.make(binary), preset=9 | lzma.PRESET_EXTREME)
    path = out / f"{recipe.name}-{version[0]}.{version[1]}.mig.xz"
    with path.open("wb" if force else "xb") as file:
        file.write(packed)
    return f"| `{path.name}` | {len(packed)} | `{hashlib.sha256(packed).hexdigest()}` |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Record the rare streams again.")
    parser.add_argument("--qemu", metavar="BIN", help=f"instead of {X86}")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(__file__).parent)
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(RECIPES))
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"no such stream: {', '.join(sorted(unknown))}")
    failed = False
    for name in options.names or RECIPES:
        recipe = RECIPES[name]
        binary = options.qemu if options.qemu and recipe.program == X86 else recipe.binary()
        try:
            if binary is None:
                raise GuestError(f"{recipe.program} is not installed")
            print(record(recipe, binary, options.out, force=options.force))
        except (GuestError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
