"""PCI devices of a command line, each at its place: the tree of buses that the idstrs tell of.

Source: QEMU hw/pci/pci.c (pcibus_get_dev_path), hw/pci-bridge/pci_expander_bridge.c (the root bus of an
expander has its number in the path; an expander has no section).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msixtool.formats import pci
from msixtool.formats.idstr import Idstr
from msixtool.qemu.kinds import DeviceKind, device_kind, kind_of
from msixtool.qemu.kinds.usb import COMPANIONS, UHCI
from msixtool.tasks.cmdline.backends import Backends
from msixtool.tasks.cmdline.seen import PCI_PATH, SeenDevice
from msixtool.tasks.cmdline.words import Words, joined

_ROOT = "0000:00"
_HOST_BRIDGE, _HOST_BRIDGES = 0x800000020000000, 31
"""The address of the first host bridge of pseries, which the machine has, and how many more there may be."""
_BUILT_IN = {True: ("00.0", "1f.0", "1f.2", "1f.3"), False: ("00.0", "01.0", "01.1", "01.3")}
"""Functions of the root bus that the chipset has: of q35, of i440FX."""
_MULTIFUNCTION = 0x80
_MOST_EXPANDERS = 32
_EXPANDER_BUS, _EXPANDER_BUSES = 0xF0, 8
"""The bus number of the first expander whose own is not known, and how many each may have."""
_UNSEEN = {"ati-vga.rom": "ati-vga"}
"""Devices without a section by what their ROM is called."""


@dataclass
class PciTree:
    """Buses by the path of what they are behind, and the devices that are on them."""

    words: Words
    backends: Backends
    q35: bool
    blocks: dict[str, int]
    isa: bool = True
    """Whether the machine has the slow buses of a PC, whose devices have sections without a path."""
    buses: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """Of devices that something may be plugged into, by their paths."""
    express: set[str] = field(default_factory=set)
    """Paths behind which there is a PCI Express bus."""
    expanders: set[int] = field(default_factory=set)
    """The bus numbers of those that were made."""
    chassis: int = 0
    present: dict[str, SeenDevice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buses[_ROOT] = "pcie.0" if self.q35 else "pci.0"
        self.buses[f"pci@{_HOST_BRIDGE:x}"] = "pci.0"

    def built_in(self, device: SeenDevice) -> bool:
        """Whether the machine has this function anyway."""
        name = device.item.named
        own = self.isa and name.bus == _ROOT and name.address in _BUILT_IN[self.q35]
        return own or kind_of(name).integrated

    def add_expanders(self, devices: list[SeenDevice]) -> None:
        """The expander of each root bus that is not the machine's own."""
        self.present = {device.path: device for device in devices}
        for device in devices:
            found = PCI_PATH.fullmatch(device.path)
            assert found is not None
            hops = found[2][1:].split(":")
            root = found[1]
            if root in self.buses or len(hops) < 2 or f"{root}:{hops[0]}" in self.buses:
                continue
            if len(self.expanders) >= _MOST_EXPANDERS:
                continue
            number = int(root.rpartition(":")[2], 16)
            self.expanders.add(number)
            path, name = f"{root}:{hops[0]}", self.words.id("pxb")
            options = {"id": name, "bus_nr": str(number), "bus": self.buses[_ROOT]}
            options["addr"] = _address(hops[0])
            self.words.add("-device", joined("pxb-pcie" if self.q35 else "pxb", options))
            self.buses[path] = name
            if not self.q35:  # its bridge comes with it, and the bus behind that is what one plugs into
                self.buses[f"{path}:00.0"] = name

    def add_host_bridges(self, addresses: list[object]) -> None:
        """Those of pseries beside the first, by their addresses."""
        for address in addresses:
            index = address - _HOST_BRIDGE if isinstance(address, int) else 0
            if not 0 < index <= _HOST_BRIDGES or f"pci@{address:x}" in self.buses:
                continue
            name = self.words.id("phb")
            self.words.add("-device", joined("spapr-pci-host-bridge", {"index": str(index), "id": name}))
            self.buses[f"pci@{address:x}"] = f"{name}.0"

    def add(self, device: SeenDevice) -> None:
        """One device with a section."""
        if self.built_in(device):
            self.ids[device.path] = ""
            return
        if not self.q35 and device.kind == "pci_bridge" and device.path in self.buses:
            return
        kind = device_kind(device.kind)
        parent = device.item.named.bus
        device.behind_port = parent in self.express
        name = None if kind is None else kind.device(device)
        if kind is None or name is None:
            self.words.note("-device", f"{device.item.idstr}: which device has such a section is not known")
            return
        bus = self.buses.get(parent)
        if bus is None:
            self.words.note("-device", f"{device.item.idstr}: there is no bus {parent} in the stream")
            return
        own = self.words.id("port" if kind.port else "dev")
        options = {"id": own, "bus": bus} | self._place(device)
        options |= self._numbers(device, kind) | kind.options(device) | self._rom(device, kind)
        options |= self._companion(device)
        options |= self.backends.of(kind.backend, device)
        name = self._transitional(device, name)
        if name == "am53c974" and f"{device.path}/eeprom" in self.backends.names:
            name = "dc390"
        self.words.add("-device", joined(name, options))
        for said in (kind.note, kind.doubt(device), _without_msix(device, kind)):
            if said:
                self.words.note("-device", f"{device.item.idstr}: {said}")
        self.ids[device.path] = own
        if kind.port:
            self.buses[device.path] = own
            if device.capability(pci.CapabilityId.EXPRESS) is not None and device.kind != "pcie-pci-bridge":
                self.express.add(device.path)

    def add_unseen(self, paths: set[str]) -> None:
        """Devices that have RAM blocks and no section."""
        for block in list(self.blocks):
            named = Idstr(block)
            path = named.path
            if path in paths or PCI_PATH.fullmatch(path) is None or named.bus not in self.buses:
                continue
            name = _UNSEEN.get(named.kind) or ("ati-vga" if named.kind == "vga.vram" else None)
            if name is None:
                continue
            paths.add(path)
            options = {
                "id": self.words.id("dev"),
                "bus": self.buses[named.bus],
                "addr": _address(named.address),
            }
            if f"{path}/{name}.rom" not in self.blocks:
                options["romfile"] = ""
            memory = self.blocks.get(f"{path}/vga.vram")
            if memory is not None and memory != 16 << 20:
                options["vgamem_mb"] = str(memory >> 20)
            self.words.add("-device", joined(name, options))
            self.words.note("-device", f"{path}: {name}, by its RAM blocks: it has no section")

    def _place(self, device: SeenDevice) -> dict[str, str]:
        options = {"addr": _address(device.item.named.address)}
        if device.config and pci.HEADER_TYPE.value(device.config) & _MULTIFUNCTION:
            options["multifunction"] = "on"
        return options

    def _numbers(self, device: SeenDevice, kind: DeviceKind) -> dict[str, str]:
        if not kind.numbered:
            return {}
        self.chassis += 1
        return {"chassis": str(self.chassis)}

    def _rom(self, device: SeenDevice, kind: DeviceKind) -> dict[str, str]:
        if not kind.rom or any(b.startswith(f"{device.path}/") and ".rom" in b for b in self.blocks):
            return {}
        if any(b.startswith(f"{device.path}/") and b.endswith("-transitional") for b in self.blocks):
            return {}
        return {"romfile": ""}

    def _transitional(self, device: SeenDevice, name: str) -> str:
        """A type that only its ROM's name tells from the one of the same state."""
        for suffix in ("-transitional", "-non-transitional"):
            if f"{device.path}/{name}{suffix}.rom" in self.blocks:
                return name + suffix
        return name

    def add_empty_expanders(self, hosts: int) -> None:
        """Expanders behind which there is nothing: each has a host bridge, as the machine has one."""
        made = len(self.expanders)
        for number in range(made, min(hosts - 1, _MOST_EXPANDERS)):
            free = next(bus for bus in range(_EXPANDER_BUS, 0, -_EXPANDER_BUSES) if bus not in self.expanders)
            self.expanders.add(free)
            options = {"id": self.words.id("pxb"), "bus_nr": str(free), "bus": self.buses[_ROOT]}
            name = "pxb-pcie" if self.q35 else "pxb"
            self.words.add("-device", joined(name, options))
            self.words.note(
                "-device", f"PCIHost@{number + 1}: an expander, of PCI Express or CXL; where does not show"
            )

    def _companion(self, device: SeenDevice) -> dict[str, str]:
        """A UHCI that shares the ports of an EHCI in its slot, as ICH9 has them."""
        name = f"8086:{pci.DEVICE_ID.value(device.config):04x}"
        if device.kind != "uhci" or name not in UHCI:
            return {}
        for path, other in self.present.items():
            if other.kind != "ehci" or path.rpartition(".")[0] != device.path.rpartition(".")[0]:
                continue
            first, count = COMPANIONS.get(f"8086:{pci.DEVICE_ID.value(other.config):04x}", ("", 0))
            number = int(name[5:], 16) - int(first[5:] or "0", 16)
            if 0 <= number < count and path in self.ids:
                return {"masterbus": f"{self.ids[path]}.0", "firstport": str(2 * number)}
        return {}


def _without_msix(device: SeenDevice, kind: DeviceKind) -> str | None:
    since = None if kind.msix is None else kind.msix.needed_since
    if since is None or device.version < since or device.capability(pci.CapabilityId.MSIX) is not None:
        return None
    return f"it had no MSI-X, and QEMU aborts when it loads such a one (since {since[0]}.{since[1]})"


def ports_first(devices: list[SeenDevice]) -> list[SeenDevice]:
    """Ports before what is behind them, and EHCI before its companions; otherwise as in the stream."""
    ports = [d for d in devices if (kind := device_kind(d.kind)) is not None and kind.port]
    ports.sort(key=lambda device: device.path.count(":"))
    rest = [device for device in devices if device not in ports]
    return ports + [d for d in rest if d.kind == "ehci"] + [d for d in rest if d.kind != "ehci"]


def _address(hop: str) -> str:
    slot, function = hop.split(".")
    return hex(int(slot, 16)) + (f".{hex(int(function))}" if function != "0" else "")
