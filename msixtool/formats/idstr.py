"""The name of a section: the path of its device on its bus, a slash, and the kind of device.

Source: QEMU migration/savevm.c, vmstate_register_with_alias_id (the device's path, where its bus gives one,
before the name of the vmsd).
"""

from __future__ import annotations

import re

_PCI_PATH = re.compile(r":[0-9a-f]{2}\.[0-7]\Z")
"""How the path of a device on a PCI bus ends: slot and function."""


def kind_of_section(idstr: str) -> str:
    """The part of an idstr after the last slash."""
    return idstr.rpartition("/")[2]


class Idstr(str):
    """An idstr, or the name of a RAM block, which is made in the same way."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The part before the last slash: the device's path on its bus. Empty for none."""
        return self.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """The part after the last slash."""
        return kind_of_section(self)

    @property
    def bus(self) -> str:
        """The path of the PCI bus that its device is on: the hops of the path but the last."""
        return self.path.rpartition(":")[0]

    @property
    def address(self) -> str:
        """Slot and function of its device on that bus, as `1f.2`: the last hop of the path."""
        return self.path.rpartition(":")[2]

    @property
    def may_be_on_pci(self) -> bool:
        """Whether its device is on a PCI bus, as far as the path says it: one without a path may be."""
        return not self.path or bool(_PCI_PATH.search(self.path))

    @property
    def is_behind_port(self) -> bool:
        """Whether its device is on a bus behind a bridge or port."""
        return self.path.count(".") > 1
