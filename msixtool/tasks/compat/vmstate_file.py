"""A file that QEMU wrote for `-dump-vmstate`: whether it is one, and what is in it.

What stands in it is formats/dump_vmstate.py's.
"""

from __future__ import annotations

from pathlib import Path

from msixtool.containers.file import read_whole
from msixtool.errors import FormatError
from msixtool.formats import dump_vmstate
from msixtool.formats.dump_vmstate import Vmstates


def is_vmstate_file(path: str) -> bool:
    """Whether a file looks like one of these: a JSON object that begins with the machine type."""
    try:
        with Path(path).open("rb") as file:
            return dump_vmstate.MACHINE_KEY.encode() in file.read(256)
    except OSError:
        return False


def read_vmstate_file(path: str) -> Vmstates:
    """Read a file that -dump-vmstate wrote. Raises InputError where it cannot be read, FormatError where it
    is none."""
    try:
        return dump_vmstate.vmstates_of(read_whole(path, dump_vmstate.MAX_SIZE))
    except FormatError as error:
        raise error.at(path=path) from None
