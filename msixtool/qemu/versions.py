"""QEMU versions as (major, minor) pairs, and those that machine types name."""

from __future__ import annotations

from msixtool.errors import UsageError
from msixtool.kept import NamedTuple

Version = tuple[int, int]


class Lifetime(NamedTuple):
    """`absent` is the last release without it, `present` the first that has it; None for older than 5.2.
    `gone` is the first that no longer has it, if any."""

    absent: Version | None = None
    present: Version | None = None
    gone: Version | None = None

    def covers(self, version: Version) -> bool | None:
        """Whether a release has it; None between the two."""
        if self.gone is not None and version >= self.gone:
            return False
        if self.present is None or version >= self.present:
            return True
        return False if self.absent is None or version <= self.absent else None


_LONGEST = 4
"""Digits of a part of a version."""


def parse_version(text: str) -> Version:
    """`10.0` or `10.0.13` as (10, 0). Raises UsageError for anything else."""
    found = noted_version(text.strip())
    if found is None:
        raise UsageError("QEMU version", expected="one like 10.0", found=repr(text))
    return found


def format_version(version: Version | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def machine_version(machine: str | None) -> Version | None:
    """The version in a machine type's name (`pc-q35-7.2`), or None for one without."""
    _, dash, version = (machine or "").rpartition("-")
    return noted_version(version) if dash and version.count(".") == 1 else None


def whole_version(text: str) -> tuple[int, ...]:
    """A QEMU version with all its parts, as releases of a stable branch differ too.

    Raises UsageError for anything that is no version.
    """
    parse_version(text)
    return tuple(map(int, text.strip().split(".")))


def noted_version(text: str | None) -> Version | None:
    """The version that a capture noted in a stream; None for none, or what is no version."""
    # Every start asks: compiling a regular expression would take longer than all that is asked of the text.
    parts = (text or "").split(".")
    if len(parts) < 2 or not all(
        each.isascii() and each.isdecimal() and len(each) <= _LONGEST for each in parts
    ):
        return None
    return int(parts[0]), int(parts[1])
