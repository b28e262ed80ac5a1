"""USB controllers and devices.

Source: QEMU hw/usb/ (hcd-uhci.c, hcd-ehci-pci.c, hcd-xhci-pci.c, dev-*.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.qemu.kinds import Backend, DeviceKind, Options, ids, register_kinds, without_either
from msixtool.qemu.kinds.facts import (
    CAPABILITY_LIST,
    PLAIN,
    Advice,
    Msix,
    Probe,
    UsedAtLoad,
    give_same,
)

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

UHCI = {f"8086:{0x2934 + number:04x}": f"ich9-usb-uhci{number + 1}" for number in range(6)}
COMPANIONS = {"8086:293a": ("8086:2934", 3), "8086:293c": ("8086:2937", 3)}
"""An EHCI controller, and the ids of its first companion and how many there are: two ports each."""

_NEC = "1033:0194"


def _xhci(seen: Seen) -> Options:
    """`p2` and `p3`: the ports of either kind are counted together. As many of each is the default, but
    there are as many of one kind as the highest port that something is plugged into."""
    options: Options = {}
    ports = seen.value("ports")
    if isinstance(ports, list) and (len(ports) != 8 or seen.highest_port > 4):
        low = min(max(len(ports) - len(ports) // 2, seen.highest_port), len(ports))
        options |= {"p2": str(low), "p3": str(len(ports) - low)}
    return options | (without_either(seen) if ids(seen.config) == _NEC else {})


_EITHER = "Use qemu-xhci on both sides, or nec-usb-xhci on both."

register_kinds(
    DeviceKind(
        "xhci",
        {"": "qemu-xhci", _NEC: "nec-usb-xhci"},
        _xhci,
        msix=Msix(
            UsedAtLoad.NONE,
            vectors=16,
            needed_since=(7, 2),
            recovery=(
                "xhci marks its vectors used only after msix_load. The interrupter's next event raises the"
                " vector again; a driver that waits for this one alone sees its transfer time out."
            ),
        ),
        probes=(Probe(), Probe(device="nec-usb-xhci")),
        advice=Advice(
            give_same("p2", "p3", "slots"),
            fields={"msix": "Leave msix= of the USB controller at its default, on both sides."},
            registers={
                CAPABILITY_LIST: give_same("msi", "msix") + " nec-usb-xhci and qemu-xhci differ in it too.",
                "vendor ID": _EITHER,
                "device ID": _EITHER,
            },
        ),
    ),
    DeviceKind(
        "ehci", {"": "usb-ehci", "8086:293a": "ich9-usb-ehci1", "8086:293c": "ich9-usb-ehci2"}, probes=PLAIN
    ),
    DeviceKind(
        "uhci",
        {
            "8086:7020": "piix3-usb-uhci",
            "8086:7112": "piix4-usb-uhci",
            "1106:3038": "vt82c686b-usb-uhci",
            **UHCI,
        },
        probes=PLAIN,
    ),
    DeviceKind("ohci", {"": "pci-ohci"}, probes=PLAIN),
    DeviceKind("usb-audio", {"": "usb-audio"}, backend=Backend.AUDIODEV),
    DeviceKind("usb-braille", {"": "usb-braille"}, backend=Backend.CHARDEV),
    DeviceKind("usb-ccid", {"": "usb-ccid"}),
    DeviceKind("usb-host", {"": "usb-host"}),
    DeviceKind("usb-hub", {"": "usb-hub"}),
    DeviceKind("usb-kbd", {"": "usb-kbd"}),
    DeviceKind("usb-ptr", {"": "usb-tablet"}, note="a tablet or a mouse"),
    DeviceKind("usb-redir", {"": "usb-redir"}, backend=Backend.CHARDEV),
    DeviceKind("usb-serial", {"": "usb-serial"}, backend=Backend.CHARDEV),
    DeviceKind("usb-storage", {"": "usb-storage"}, backend=Backend.DRIVE),
    DeviceKind("ccid-card-passthru", {"": "ccid-card-passthru"}, backend=Backend.CHARDEV, alone=True),
)
