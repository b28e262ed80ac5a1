"""QEMU versions as (major, minor) pairs, and those that machine types name."""

from __future__ import annotations

import re
from typing import NamedTuple

from msixtool.errors import UsageError

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


_MACHINE_VERSION = r"(?a)-(\d{1,4})\.(\d{1,4})$"
_VERSION = r"(?a)(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})*$"


def parse_version(text: str) -> Version:
    """`10.0` or `10.0.13` as (10, 0). Raises UsageError for anything else."""
    found = re.match(_VERSION, text.strip())
    if not found:
        raise UsageError("QEMU version", expected="one like 10.0", found=repr(text))
    return int(found[1]), int(found[2])


def format_version(version: Version | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def machine_version(machine: str | None) -> Version | None:
    """The version in a machine type's name (`pc-q35-7.2`), or None for one without."""
    found = re.search(_MACHINE_VERSION, machine or "")
    return (int(found[1]), int(found[2])) if found else None


def whole_version(text: str) -> tuple[int, ...]:
    """A QEMU version with all its parts, as releases of a stable branch differ too.

    Raises UsageError for anything that is no version.
    """
    parse_version(text)
    return tuple(map(int, text.strip().split(".")))


def noted_version(text: str | None) -> Version | None:
    """The version that a capture noted in a stream; None for none, or what is no version."""
    found = re.match(_VERSION, text or "")
    return (int(found[1]), int(found[2])) if found else None
