"""How many of the messages that a QEMU can print on the load path explain knows, by folder.

Not counted are the block layer, RDMA, COLO and the compressors of multifd that need hardware or libraries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from msixtool.qemu.wordings import WORDINGS
from msixtool.tasks.explain.families import find_family
from tests.words.sources import Message, filled

_NOT_COUNTED = re.compile(
    r"^(?:block|replay)/|rdma|colo|multifd-(?:zlib|zstd|qpl|uadk|qatzip)|xen-block|nitro|cryptodev"
)


def known(text: str) -> bool:
    """Whether explain knows a message, filled in as QEMU prints it."""
    return find_family(text, named=True) is not None or any(each.pattern.search(text) for each in WORDINGS)


BROAD_BELOW = 15
"""A template with fewer letters fits other messages as well: what it knows is counted apart."""


def broad(text: str) -> bool:
    """Whether a message is known by a few words of it alone."""
    if any(each.pattern.search(text) for each in WORDINGS):
        return False
    found = find_family(text, named=True)
    return found is not None and found[0].letters < BROAD_BELOW


def count_broad(messages: Iterable[Message]) -> int:
    """How many of the messages that are known are so by a few words alone."""
    return sum(broad(filled(each.text)) for each in messages if not _NOT_COUNTED.search(each.file))


def count(messages: Iterable[Message]) -> dict[str, tuple[int, int]]:
    """By folder: how many messages are known, and how many there are."""
    found: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for message in messages:
        if not _NOT_COUNTED.search(message.file):
            every[message.folder] += 1
            found[message.folder] += known(filled(message.text))
    return {folder: (found[folder], every[folder]) for folder in sorted(every)}


def unknown(messages: Iterable[Message]) -> list[str]:
    """The messages that are not known, each behind its file."""
    return [
        f"{each.file}: {each.text!r}"
        for each in messages
        if not _NOT_COUNTED.search(each.file) and not known(filled(each.text))
    ]
