"""What there is to be asked for, by name: for who types it, and for who lets it be chosen."""

from __future__ import annotations


def kind_names() -> list[str]:
    """The kinds of devices of which msixtool knows the MSI-X, as the idstr has them, sorted."""
    from msixtool.qemu.kinds import kinds

    return sorted(kind.section for kind in kinds() if kind.msix is not None)


def rule_names() -> list[str]:
    """The rules of `validate`, sorted."""
    from msixtool.tasks.rules.catalogue import RULES

    return sorted(RULES)


def device_names(path: str) -> list[str]:
    """What the devices with MSI-X of a stream may be called: idstr, PCI address and kind of each.

    Raises what `Dump.open` raises.
    """
    from msixtool.dump import Dump, spellings

    with Dump.open(path) as dump:
        found = [name for device in dump.devices for name in spellings(device.name, device.instance)]
    return list(dict.fromkeys(name for name in found if "@" not in name))
