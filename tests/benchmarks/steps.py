"""The steps of `inspect FILE`, timed from inside: `python -I steps.py whole|reading FILE`.

A program of its own, so that each step is the first of its kind in a fresh interpreter. Prints the
seconds of each step: of `whole`, importing the command line and running the command; of `reading`,
importing the library, finding the sections and finding the devices in them.
"""

import os
import sys
import time
from itertools import pairwise


def whole(path: str) -> list[float]:
    """The moments between the steps of the command."""
    moments = [time.perf_counter()]
    from msixtool.cli import run

    moments.append(time.perf_counter())
    shown, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    run(["inspect", path])
    moments.append(time.perf_counter())
    os.dup2(shown, 1)
    return moments


def reading(path: str) -> list[float]:
    """The moments between the steps of the library."""
    moments = [time.perf_counter()]
    from msixtool import Dump

    moments.append(time.perf_counter())
    with Dump.open(path) as dump:
        _ = dump.index
        moments.append(time.perf_counter())
        _ = dump.devices
        moments.append(time.perf_counter())
    return moments


if __name__ == "__main__":
    found = {"whole": whole, "reading": reading}[sys.argv[1]](sys.argv[2])
    print(*(after - before for before, after in pairwise(found)))
