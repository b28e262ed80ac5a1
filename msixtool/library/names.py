"""What there is to be asked for, by name: for who types it, and for who lets it be chosen."""

from __future__ import annotations

import os


def kind_names() -> list[str]:
    """The kinds of devices of which msixtool knows the MSI-X, as the idstr has them, sorted."""
    from msixtool.qemu.kinds import kinds

    return sorted(kind.section for kind in kinds() if kind.msix is not None)


def rule_names() -> list[str]:
    """The rules of `validate`, sorted."""
    from msixtool.tasks.rules.catalogue import RULES

    return sorted(RULES)


MAX_PACKED = 64 << 20
"""Bytes of a file that is no bare stream up to which a quick look reads it."""


def device_names(path: str, *, quick: bool = False) -> list[str]:
    """What the devices with MSI-X of a stream may be called: idstr, PCI address and kind of each.

    None for a `quick` look at what has to be unpacked first and has more than MAX_PACKED bytes: RAM of a bare
    stream is not read. Raises what `Dump.open` raises.
    """
    from msixtool.dump import OpenDump, spellings

    if quick and not _is_quick(path):
        return []
    with OpenDump.open(path) as dump:
        found = [name for device in dump.devices for name in spellings(device.name, device.instance)]
    return list(dict.fromkeys(name for name in found if "@" not in name))


def _is_quick(path: str) -> bool:
    from msixtool.containers.base import MAGIC

    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC or os.path.getsize(path) <= MAX_PACKED
