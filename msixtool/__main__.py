"""`python -m msixtool`, and the console script."""

from __future__ import annotations

import sys

from msixtool.cli import run


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(run())


if __name__ == "__main__":
    main()
