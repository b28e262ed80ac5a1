"""QEMU versions as (major, minor) pairs, and those that machine types name."""

from __future__ import annotations

import re

from msixtool.errors import UsageError

Version = tuple[int, int]

_MACHINE_VERSION = re.compile(r"-(\d+)\.(\d+)$")
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*$")


def parse_version(text: str) -> Version:
    """`10.0` or `10.0.13` as (10, 0). Raises UsageError for anything else."""
    found = _VERSION.match(text.strip())
    if not found:
        raise UsageError("QEMU version", expected="one like 10.0", found=repr(text))
    return int(found[1]), int(found[2])


def format_version(version: Version | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def machine_version(machine: str | None) -> Version | None:
    """The version in a machine type's name (`pc-q35-7.2`), or None for one without."""
    found = _MACHINE_VERSION.search(machine or "")
    return (int(found[1]), int(found[2])) if found else None
