"""What is not on PCI: USB, SCSI, codecs, serial ports of virtio, and the devices of slow buses.

Source: QEMU hw/usb/bus.c (usb_get_dev_path), hw/scsi/scsi-bus.c (scsibus_get_dev_path: channel, id, lun),
hw/virtio/virtio-mmio.c (virtio_mmio_bus_get_dev_path); sections without a path are counted in the order in
which their devices are made.
"""

from __future__ import annotations

import re

from msixtool.formats.idstr import Idstr
from msixtool.qemu.kinds import ISA, Backend, device_kind
from msixtool.tasks.cmdline.pci import PciTree
from msixtool.tasks.cmdline.seen import MMIO_PATH, PCI_PATH, VIO_PATH, SeenDevice
from msixtool.tasks.cmdline.words import joined

_ON_USB = re.compile(rf"({PCI_PATH.pattern}|)/?([0-9]+(?:\.[0-9]+)*)")
_ON_SCSI = re.compile(r"(.+)/([0-9]+):([0-9]+):([0-9]+)")
_TRANSPORTS = ((0xFEB00000, 0x200), (0x0A000000, 0x200), (0x10001000, 0x1000))
"""Where virtio's transports without PCI begin, and how far apart: on microvm, Arm's and RISC-V's virt."""
_BUILT_IN = frozenset({"ps2kbd", "ps2mouse", "pckbd", "vmmouse", "port92"})
_OF_DISPLAYS = "i2c-ddc"
_MOST_PORTS = 511


class Others:
    """Adds them to the words of `tree` as they come in the stream."""

    def __init__(self, tree: PciTree, sections: frozenset[str]) -> None:
        self.tree = tree
        self.words = tree.words
        self.names = sections
        self.hda = ""
        self.fdc = 0
        own = {Idstr(name).path for name in sections}
        displays = {Idstr(block).path for block in tree.blocks if Idstr(block).kind == "vga.vram"}
        self.displays = len(displays - own)
        """Displays without a section: each brings a device of its own for the monitor's data (ati-vga)."""

    def behind(self, device: SeenDevice) -> None:
        """What belongs to a PCI device that has just been added."""
        if device.kind == "intel-hda":
            self.hda = self.tree.ids.get(device.path, "")
        if device.virtio is not None:
            self._ports(device)

    def add(self, device: SeenDevice) -> None:
        """A section that is no PCI function's."""
        if _ON_SCSI.fullmatch(device.path):
            self._scsi(device)
        elif device.path and _ON_USB.fullmatch(device.path):
            self._usb(device)
        elif MMIO_PATH.fullmatch(device.path):
            self._mmio(device)
            self.behind(device)
        elif VIO_PATH.fullmatch(device.path):
            self._vio(device)
        elif device.kind == "hda-audio":
            self._codec(device)
        elif device.kind == "fdc":
            self._floppy()
        elif device.kind == "ipmi-bmc-sim":
            self.tree.backends.add_bmc()
        elif not device.path and self.tree.isa:
            self._alone(device)

    def _mmio(self, device: SeenDevice) -> None:
        """A virtio device without PCI, on the transport that has its address."""
        found = MMIO_PATH.fullmatch(device.path)
        assert found is not None
        address, kind = int(found[1], 16), device_kind(device.kind)
        start, apart = next(
            ((start, apart) for start, apart in _TRANSPORTS if 0 <= address - start < 32 * apart),
            (address, 1),
        )
        name = None if kind is None else kind.devices.get("")
        if name is None:
            self.words.note("-device", f"{device.item.idstr}: which device has such a section is not known")
            return
        assert kind is not None
        bus = f"virtio-mmio-bus.{(address - start) // apart}"
        self.tree.ids[device.path] = own = self.words.id("dev")
        options = {"id": own, "bus": bus} | kind.options(device)
        options |= self.tree.backends.of(kind.backend, device)
        self.words.add("-device", joined(name.replace("-pci", "-device"), options))

    def _vio(self, device: SeenDevice) -> None:
        """A device on pseries' own bus."""
        kind, found = device_kind(device.kind), VIO_PATH.fullmatch(device.path)
        assert found is not None
        if kind is None:
            return
        self.tree.ids[device.path] = own = self.words.id("dev")
        options = {"id": own, "reg": f"0x{found[1]}"} | self.tree.backends.of(kind.backend)
        self.words.add("-device", joined(str(kind.device(device)), options))

    def _alone(self, device: SeenDevice) -> None:
        """One on ISA, or on no bus."""
        kind = device_kind(device.kind)
        if kind is None or not kind.alone:
            return
        if device.kind == _OF_DISPLAYS and self.displays:
            self.displays -= 1
            return
        name = kind.devices.get(ISA) or kind.device(device)
        self.words.add("-device", joined(str(name), self.tree.backends.of(kind.backend)))
        if kind.note:
            self.words.note("-device", f"{device.item.idstr}: {kind.note}")

    def _floppy(self) -> None:
        """The first controller of an i440FX comes with the machine."""
        self.fdc += 1
        if self.tree.q35 or self.fdc > 1:
            self.words.add("-device", joined("isa-fdc", {"id": self.words.id("fdc")}))
        self.words.note("-device", "a floppy disk in its drive does not show in the stream")

    def _codec(self, device: SeenDevice) -> None:
        kind = device_kind("hda-audio")
        assert kind is not None
        options = {"bus": f"{self.hda}.0"} if self.hda else {}
        options |= self.tree.backends.of(Backend.AUDIODEV)
        self.words.add("-device", joined(str(kind.device(device)), options))

    def _scsi(self, device: SeenDevice) -> None:
        found = _ON_SCSI.fullmatch(device.path)
        assert found is not None
        host, channel, target, lun = found.groups()
        if f"{host}/usb-storage" in self.names:
            return  # it comes with the disk on USB
        bus = self.tree.ids.get(host)
        if not bus:
            self.words.note("-device", f"{device.item.idstr}: its controller is not in the stream")
            return
        options = {"bus": f"{bus}.0"} | ({"channel": channel} if channel != "0" else {})
        options |= {"scsi-id": target, "lun": lun} | self.tree.backends.of(Backend.DRIVE)
        self.words.add("-device", joined("scsi-hd", options))
        self.words.note("-device", f"{device.item.idstr}: a disk or a CD; the stream does not tell")

    def _usb(self, device: SeenDevice) -> None:
        kind = device_kind(device.kind)
        host, _, port = device.path.rpartition("/")
        if kind is None or not self.tree.ids.get(host):
            self.words.note("-device", f"{device.item.idstr}: which USB device that is is not known")
            return
        own = self.words.id("usb")
        options = {"id": own, "bus": f"{self.tree.ids[host]}.0", "port": port}
        name = str(kind.device(device))
        if name == "usb-storage" and f"{device.path}/0:0:0/scsi-disk" not in self.names:
            name = "usb-bot"
        else:
            options |= self.tree.backends.of(kind.backend)
        self.tree.ids[device.path] = own
        self.words.add("-device", joined(name, options))
        if kind.note:
            self.words.note("-device", f"{device.item.idstr}: {kind.note}")

    def _ports(self, device: SeenDevice) -> None:
        assert device.virtio is not None
        bus = self.tree.ids.get(device.path)
        words = device.virtio.own("ports_map")
        if not bus or not isinstance(words, list):
            return
        numbers = [32 * i + bit for i, word in enumerate(words) for bit in range(32) if int(word) >> bit & 1]
        for number in numbers[:_MOST_PORTS]:
            if number == 0 and not self._port_zero(device):
                continue
            name = "virtconsole" if number == 0 else "virtserialport"
            options = {"bus": f"{bus}.0", "nr": str(number)} | self.tree.backends.of(Backend.CHARDEV)
            self.words.add("-device", joined(name, options))
            self.words.note("-device", f"port {number} of {device.item.idstr}: its name is not in the stream")

    def _port_zero(self, device: SeenDevice) -> bool:
        """Port 0 is set aside, and shows as active, without being there; where it is there it has a row."""
        assert device.virtio is not None
        active = device.virtio.own("nr_active_ports")
        ports = device.virtio.own("ports")
        return bool(active) and any(getattr(port, "id", None) == 0 for port in ports or ())  # type: ignore[attr-defined]
