"""Scripts of guest and device actions: the answer of `replay`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from msixtool.documents import Document
from msixtool.msix.versions import NEWEST
from msixtool.qemu.versions import whole_version
from msixtool.tasks.replay.player import Step, play
from msixtool.tasks.replay.script import Script, parse_script, read_script
from msixtool.words import plural


@dataclass(frozen=True, slots=True, repr=False)
class Replay:
    """A script that can be played: each iteration plays it anew, step by step."""

    script: Script
    qemu_version: tuple[int, ...] = NEWEST

    def __iter__(self) -> Iterator[Step]:
        return play(self.script, self.qemu_version)

    @property
    def ok(self) -> bool:
        """Whether all that is expected holds, and nothing is refused unexpectedly: plays it to its end."""
        return not self.failures

    @property
    def failures(self) -> list[Step]:
        """The steps that went wrong: plays it to its end."""
        return [step for step in self if not step.ok]

    def document(self) -> list[Document]:
        """The JSON lines of the contract, one for each line of the script: plays it to its end."""
        return [step.to_json() for step in self]

    def __repr__(self) -> str:
        return f"<Replay of {self.script.name[-60:]!r}: {plural(len(self.script.statements), 'line')}>"


def replay(
    script: str | os.PathLike[str] | None = None, *, text: str | None = None, qemu_version: str | None = None
) -> Replay:
    """A script, from a file ("-": standard input) or as `text`, ready to be played on the model of MSI-X.

    `qemu_version` is the QEMU to behave as where the script does not say, by default the newest known.
    Raises InputError where it cannot be read, UsageError for a line that is wrong.
    """
    version = whole_version(qemu_version) if qemu_version else NEWEST
    read = read_script(os.fspath(script)) if script is not None else parse_script(text or "")
    return Replay(read, version)
