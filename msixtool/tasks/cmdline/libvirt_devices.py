"""The elements that libvirt has for QEMU's devices.

Source: libvirt docs/formatdomain.rst, src/conf/domain_conf.c (names of models), src/qemu/qemu_command.c.
"""

from __future__ import annotations

from collections.abc import Mapping

from msixtool.kept import NamedTuple
from msixtool.qemu.kinds import Backend, kinds
from msixtool.qemu.kinds.facts import NOTHING

Attributes = Mapping[str, str]


class Shape(NamedTuple):
    """An element for a device: its tag and attributes, what is in it, and where its place is told."""

    tag: str
    attributes: Attributes = NOTHING
    children: tuple[tuple[str, Attributes], ...] = ()
    driver: Attributes = NOTHING
    """Attributes of <driver> by the properties that they set."""
    indexed: str | None = None
    """A controller, and with which others it is counted."""
    plugged: str = ""
    """The type of its address, where that is not of PCI."""
    pci: bool = True
    generations: bool = False
    """Whether its model says if it is a transitional device."""
    bus: str = ""
    letters: str = ""


_VIRTIO = {"packed": "packed", "iommu_platform": "iommu", "ats": "ats", "page-per-vq": "page_per_vq"}

BRIDGES = {
    "pcie-root-port": "pcie-root-port",
    "ioh3420": "pcie-root-port",
    "x3130-upstream": "pcie-switch-upstream-port",
    "xio3130-downstream": "pcie-switch-downstream-port",
    "pcie-pci-bridge": "pcie-to-pci-bridge",
    "i82801b11-bridge": "dmi-to-pci-bridge",
    "pci-bridge": "pci-bridge",
    "pxb-pcie": "pcie-expander-bus",
    "pxb": "pci-expander-bus",
}
"""Models of <controller type='pci'> by QEMU's devices."""


def _network(model: str, **facts: object) -> Shape:
    return Shape("interface", children=(("model", {"type": model}),), **facts)  # type: ignore[arg-type]


def _controller(kind: str, model: str, *, driver: Attributes = NOTHING, **facts: object) -> Shape:
    return Shape("controller", {"type": kind, "model": model}, driver=driver, indexed=kind, **facts)  # type: ignore[arg-type]


def _video(model: str) -> Shape:
    return Shape("video", children=(("model", {"type": model}),))


def _usb_input(kind: str) -> Shape:
    return Shape("input", {"type": kind, "bus": "usb"}, plugged="usb")


def _virtio_input(kind: str) -> Shape:
    return Shape("input", {"type": kind, "bus": "virtio"})


def _codec(kind: str) -> Shape:
    return Shape("codec", {"type": kind}, plugged="codec")


def _character(tag: str, **facts: object) -> Shape:
    return Shape(tag, {"type": "null"}, **facts)  # type: ignore[arg-type]


def _tpm(model: str) -> Shape:
    """libvirt starts its swtpm itself."""
    return Shape("tpm", {"model": model}, (("backend", {"type": "emulator", "version": "2.0"}),), pci=False)


_QUEUES = {"num_queues": "queues"} | _VIRTIO

NARROW = frozenset({"lsi53c895a", "am53c974", "dc390"})
"""SCSI controllers on whose bus the unit of libvirt's address is the target."""

LIBVIRT_DEVICES: Mapping[str, Shape] = {
    "virtio-net-pci": _network(
        "virtio",
        driver={"rx_queue_size": "rx_queue_size", "tx_queue_size": "tx_queue_size"} | _VIRTIO,
        generations=True,
    ),
    # libvirt hands the name of any other model on to QEMU as it is.
    **{
        name: _network(name)
        for kind in kinds()
        if kind.backend is Backend.NETDEV and not kind.is_virtio
        for name in kind.devices.values()
    },
    "virtio-blk-pci": Shape(
        "disk",
        {"type": "file", "device": "disk"},
        driver={"num-queues": "queues", "queue-size": "queue_size"} | _VIRTIO,
        generations=True,
        bus="virtio",
        letters="vd",
    ),
    "scsi-hd": Shape("disk", {"type": "file", "device": "disk"}, plugged="drive", bus="scsi", letters="sd"),
    "usb-storage": Shape("disk", {"type": "file", "device": "disk"}, plugged="usb", bus="usb", letters="sd"),
    "virtio-scsi-pci": _controller("scsi", "virtio-scsi", driver=_QUEUES),
    "lsi53c895a": _controller("scsi", "lsilogic"),
    "megasas": _controller("scsi", "lsisas1078"),
    "mptsas1068": _controller("scsi", "lsisas1068"),
    "pvscsi": _controller("scsi", "vmpvscsi"),
    "am53c974": _controller("scsi", "am53c974"),
    "dc390": _controller("scsi", "dc390"),
    "virtio-serial-pci": Shape(
        "controller",
        {"type": "virtio-serial"},
        driver=_VIRTIO,
        indexed="virtio-serial",
    ),
    "virtserialport": _character(
        "channel", children=(("target", {"type": "virtio"}),), plugged="virtio-serial"
    ),
    "virtio-balloon-pci": Shape("memballoon", {"model": "virtio"}, driver=_VIRTIO, generations=True),
    "virtio-rng-pci": Shape(
        "rng", {"model": "virtio"}, (("backend", {"model": "builtin"}),), driver=_VIRTIO, generations=True
    ),
    "virtio-gpu-pci": _video("virtio"),
    "virtio-vga": _video("virtio"),
    "VGA": _video("vga"),
    "cirrus-vga": _video("cirrus"),
    "vmware-svga": _video("vmvga"),
    "bochs-display": _video("bochs"),
    "virtio-keyboard-pci": _virtio_input("keyboard"),
    "virtio-mouse-pci": _virtio_input("mouse"),
    "virtio-tablet-pci": _virtio_input("tablet"),
    "qemu-xhci": _controller("usb", "qemu-xhci"),
    "nec-usb-xhci": _controller("usb", "nec-xhci"),
    "piix3-usb-uhci": _controller("usb", "piix3-uhci"),
    "piix4-usb-uhci": _controller("usb", "piix4-uhci"),
    "pci-ohci": _controller("usb", "pci-ohci"),
    "usb-ehci": _controller("usb", "ehci"),
    "usb-tablet": _usb_input("tablet"),
    "usb-mouse": _usb_input("mouse"),
    "usb-kbd": _usb_input("keyboard"),
    "usb-hub": Shape("hub", {"type": "usb"}, plugged="usb"),
    "intel-hda": Shape("sound", {"model": "ich6"}),
    "ich9-intel-hda": Shape("sound", {"model": "ich9"}),
    "AC97": Shape("sound", {"model": "ac97"}),
    "ES1370": Shape("sound", {"model": "es1370"}),
    "hda-duplex": _codec("duplex"),
    "hda-micro": _codec("micro"),
    "hda-output": _codec("output"),
    "i6300esb": Shape("watchdog", {"model": "i6300esb", "action": "none"}),
    "ib700": Shape("watchdog", {"model": "ib700", "action": "none"}, pci=False),
    "isa-serial": _character("serial", pci=False),
    "isa-parallel": _character("parallel", pci=False),
    "ich9-ahci": Shape("controller", {"type": "sata"}, indexed="sata"),
    "tpm-crb": _tpm("tpm-crb"),
    "tpm-tis": _tpm("tpm-tis"),
    "pvpanic": Shape("panic", {"model": "isa"}, pci=False),
}
"""By the name of the device on the command line."""
