"""What a stream is: the answer of `inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msixtool.documents import Document, inspect_document
from msixtool.library.answer import OfOne
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.documents import Origin
    from msixtool.dump import OpenDump


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Inspection(OfOne):
    """What a stream is and holds. `dump` has it all as values: `index`, `devices`, `writer`, `snapshots`."""

    origin: Origin
    dump: OpenDump

    def document(self) -> Document:
        """`msixtool.inspect/1`."""
        return inspect_document(self.origin, self.dump)

    def summary(self) -> str:
        index, devices = self.dump.index, plural(len(self.dump.devices), "device")
        return f"{index.machine or 'no machine type'}, {plural(len(index.items), 'section')}, {devices}"
