"""The words in which QEMU says that a migration failed, from 2.0 to 11.1, as data.

Source: the messages in QEMU's migration/, hw/pci/pci.c, hw/virtio/ and the devices' own files; the
strings in Debian's QEMU 5.2, 7.2, 10.0 and 11.1, and what these said when streams were loaded
that they refuse.
"""

from __future__ import annotations

from msixtool.qemu.wordings.devices import DEVICES
from msixtool.qemu.wordings.frame import FRAME
from msixtool.qemu.wordings.outside import OUTSIDE
from msixtool.qemu.wordings.ram import RAM
from msixtool.qemu.wordings.stream import STREAM
from msixtool.qemu.wordings.wording import Role, Wording

__all__ = ["WITH_HINT", "WORDINGS", "Role", "Wording"]

WORDINGS: tuple[Wording, ...] = (*FRAME, *STREAM, *RAM, *DEVICES, *OUTSIDE)

WITH_HINT: dict[bytes, list[Wording]] = {}
"""The wordings by their hint: what to look for in a log. A part that holds none of these holds no message."""
for _wording in WORDINGS:
    WITH_HINT.setdefault(_wording.hint.encode(), []).append(_wording)
