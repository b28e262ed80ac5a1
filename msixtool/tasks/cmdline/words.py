"""The words of a command line, and how a shell is given them.

Source: QEMU util/qemu-option.c (commas in values are doubled), POSIX 2.2 (quoting).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from msixtool.errors import visible

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Note:
    """A choice that the stream does not tell. `option` is as in the command."""

    option: str
    message: str


@dataclass
class Words:
    """A command line in the making."""

    args: list[str] = field(default_factory=lambda: ["-nodefaults"])
    notes: dict[Note, None] = field(default_factory=dict)
    """Each once, in order."""
    ids: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, option: str, *value: str) -> None:
        """An option with its value, or without."""
        self.args += [option, *value]

    def note(self, option: str, message: str) -> None:
        """Say once of an option what is not known about it."""
        self.notes.setdefault(Note(option, visible(message)))

    def id(self, stem: str) -> str:
        """A name that nothing else has."""
        while True:
            number = self.counts.get(stem, 0)
            self.counts[stem] = number + 1
            name = f"{stem}{number}"
            if name not in self.ids:
                self.ids.add(name)
                return name


def is_id(text: str) -> bool:
    """Whether QEMU takes it for an id."""
    return _ID.fullmatch(text) is not None


def joined(first: str, options: Mapping[str, str]) -> str:
    """`first,name=value,…` with the commas in values doubled."""
    parts = [first] if first else []
    return ",".join(parts + [f"{name}={value.replace(',', ',,')}" for name, value in options.items()])


def parsed(value: str) -> tuple[str, dict[str, str]]:
    """What `joined` made: the first word, and the options."""
    parts = [part.replace("\0", ",") for part in value.replace(",,", "\0").split(",")]
    first = "" if "=" in parts[0] else parts.pop(0)
    return first, dict(part.partition("=")[::2] for part in parts)


def size_text(size: int) -> str:
    """`24M`, `64K` or bytes."""
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def shell_text(program: str, args: list[str]) -> str:
    """One option a line, each word quoted as a POSIX shell wants it."""
    lines = [shlex.quote(program)]
    for word in args:
        if word.startswith("-"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines)
