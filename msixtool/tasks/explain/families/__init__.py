"""What QEMU, libvirt and management layers say, by families of messages that mean the same.

Source: the messages on the load path of QEMU 5.2, 7.2, 10.0 and 10.2 (tests/words takes them out of a source
tree and counts what is known), libvirt's src/qemu and public reports of failed migrations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter

from msixtool.tasks.explain.families.channels import CHANNELS
from msixtool.tasks.explain.families.family import CONSEQUENCE, ECHO, UNSENT, Family, Template, compiled, key
from msixtool.tasks.explain.families.machines import MACHINES
from msixtool.tasks.explain.families.management import MANAGEMENT
from msixtool.tasks.explain.families.memory import OF_MEMORY
from msixtool.tasks.explain.families.saving import DEVICES_SAVED, NOT_BEGUN, SAVING
from msixtool.tasks.explain.families.storage import STORAGE
from msixtool.tasks.explain.families.stream import OF_STREAM
from msixtool.tasks.explain.families.vfio import VFIO
from msixtool.tasks.explain.families.virtio import OF_VIRTIO

__all__ = ["CONSEQUENCE", "ECHO", "FAMILIES", "UNSENT", "find_family"]

FAMILIES: tuple[Family, ...] = (
    *DEVICES_SAVED,
    *NOT_BEGUN,
    *MACHINES,
    *VFIO,
    *OF_VIRTIO,
    *STORAGE,
    *OF_MEMORY,
    *CHANNELS,
    *SAVING,
    *OF_STREAM,
    *MANAGEMENT,
)
"""In the order in which they are tried."""

_BY_KEY = compiled(FAMILIES)
_WORDS = re.compile(r"[A-Za-z]{3,}")


def find_family(text: str, *, named: bool) -> tuple[Template, re.Match[str]] | None:
    """The first template that a message is of, and where in it; `named`: QEMU's name stands before it."""
    for template in sorted(_candidates(text), key=attrgetter("place")):
        if template.weak and not named:
            continue
        match = template.pattern.search(text)
        if match is not None:
            return template, match
    return None


def _candidates(text: str) -> Iterator[Template]:
    for word in {key(word) for word in _WORDS.findall(text)}:
        yield from _BY_KEY.get(word, ())
