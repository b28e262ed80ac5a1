"""The vectors of devices: the answer of `show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msixtool.documents import Document, show_document
from msixtool.library.answer import OfOne
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.devices.device import MsixDevice
    from msixtool.documents import Origin


@dataclass(frozen=True, slots=True, repr=False)
class Vectors(OfOne):
    """Each vector of some devices: `device.state.entries` is the table, `device.state.pba` the bytes behind.

    `x86` says whether addresses and data are messages of a PC; `in_stream` is not so for a saved state.
    """

    origin: Origin
    devices: tuple[MsixDevice, ...]
    x86: bool
    in_stream: bool = True

    def document(self) -> Document:
        """`msixtool.show/1`."""
        return show_document(self.origin, self.devices)

    def summary(self) -> str:
        vectors = sum(device.vectors for device in self.devices)
        return f"{plural(len(self.devices), 'device')}, {plural(vectors, 'vector')}"
