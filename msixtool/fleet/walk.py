"""From the paths that a person gives to the files to be read: folders are walked, in a stable order.

Nothing is opened on the way but folders, so that a FIFO or a device in one of them cannot hang
anybody. What is named is always read, whatever it is; what is found is read where it is a regular
file that is not hidden.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msixtool.errors import InputError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to be read.

    `found` where it was found in a folder, and not named. `error` is set where it cannot even be
    tried: a folder that cannot be listed.
    """

    path: str
    found: bool = False
    error: InputError | None = None


@dataclass(slots=True)
class Walk:
    """What there is to read, and how much was left out and why."""

    inputs: list[FoundFile] = field(default_factory=list)
    hidden: int = 0
    """Files and folders whose names begin with a dot; such folders are not entered."""
    special: int = 0
    """FIFOs, sockets and devices: never opened."""
    links: int = 0
    """Symbolic links to folders: not followed, so that none is read twice or forever."""


def walk(paths: Iterable[str]) -> Walk:
    """The files that `paths` name, in the order given, each folder replaced by the files below it.

    A folder's files come sorted by name, what is in a subfolder at the subfolder's place. "-" is
    standard input, never a folder.
    """
    found = Walk()
    for path in paths:
        if path != "-" and os.path.isdir(path):
            _walk_folder(path, found)
        else:
            found.inputs.append(FoundFile(path))
    return found


def _walk_folder(folder: str, found: Walk) -> None:
    """All that is below `folder`, without recursion: folders may be nested deeply."""
    open_folders = [_entries(folder, found)]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif entry.name.startswith("."):
            found.hidden += 1
        elif entry.is_dir(follow_symlinks=False):
            open_folders.append(_entries(entry.path, found))
        else:
            _take(entry, found)


def _entries(folder: str, found: Walk) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name. One that cannot be listed becomes an input with an error."""
    try:
        with os.scandir(folder) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))
    except OSError as error:
        reason = InputError("the folder cannot be listed", path=folder, found=error.strerror)
        found.inputs.append(FoundFile(folder, found=True, error=reason))
        return iter(())


def _take(entry: os.DirEntry[str], found: Walk) -> None:
    """A file, or what a link leads to. One that leads nowhere is an input: opening it says why."""
    if not entry.is_symlink():
        if entry.is_file(follow_symlinks=False):
            found.inputs.append(FoundFile(entry.path, found=True))
        else:
            found.special += 1
    elif os.path.isdir(entry.path):
        found.links += 1
    elif os.path.exists(entry.path) and not os.path.isfile(entry.path):
        found.special += 1
    else:
        found.inputs.append(FoundFile(entry.path, found=True))
