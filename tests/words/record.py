"""The messages of QEMU's releases on record: one a line with the releases that have it and its file.

Taken by `python -m tests.words --record` out of Debian's sources (tests/data/words.md says which).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.conftest import REPOSITORY
from tests.words.sources import Message

RECORD = REPOSITORY / "tests" / "data" / "words.tsv"


def record(found: Mapping[str, Sequence[Message]]) -> None:
    """Write the messages of each release."""
    releases: dict[Message, list[str]] = {}
    for release, messages in found.items():
        for message in messages:
            releases.setdefault(message, []).append(release)
    lines = [
        f"{','.join(names)}\t{message.file}\t{message.text.encode('unicode_escape').decode()}\n"
        for message, names in releases.items()
    ]
    RECORD.write_text("".join(sorted(lines, key=lambda line: line.split("\t")[1:])))


def recorded() -> dict[str, list[Message]]:
    """The messages of each release on record, the releases in their order."""
    found: dict[str, list[Message]] = {}
    for line in RECORD.read_text().splitlines():
        names, file, text = line.split("\t")
        for name in names.split(","):
            found.setdefault(name, []).append(Message(file, text.encode().decode("unicode_escape")))
    return dict(sorted(found.items(), key=lambda entry: [int(part) for part in entry[0].split(".")]))
