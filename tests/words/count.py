"""How many of the messages that a QEMU can print on the load path explain knows, by folder.

Not counted are the block layer, RDMA, COLO and the compressors of multifd that need hardware or libraries.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from msixtool.qemu.wordings import WORDINGS
from msixtool.tasks.explain.families import find_family
from tests.words.sources import filled, messages

_NOT_COUNTED = re.compile(
    r"^(?:block|replay)/|rdma|colo|multifd-(?:zlib|zstd|qpl|uadk|qatzip)|xen-block|nitro|cryptodev"
)


def known(text: str) -> bool:
    """Whether explain knows a message, filled in as QEMU prints it."""
    return find_family(text, named=True) is not None or any(each.pattern.search(text) for each in WORDINGS)


def count(tree: Path) -> dict[str, tuple[int, int]]:
    """By folder: how many messages are known, and how many there are."""
    found: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for message in messages(tree):
        if not _NOT_COUNTED.search(message.file):
            every[message.folder] += 1
            found[message.folder] += known(filled(message.text))
    return {folder: (found[folder], every[folder]) for folder in sorted(every)}


def unknown(tree: Path) -> list[str]:
    """The messages that are not known, each behind its file."""
    return [
        f"{each.file}: {each.text!r}"
        for each in messages(tree)
        if not _NOT_COUNTED.search(each.file) and not known(filled(each.text))
    ]
