"""The elements of a libvirt domain's devices, each at its place.

A device becomes the element that libvirt has for it; properties for which it has no words are set by
qemu:override, and devices that it does not know by qemu:commandline.
Source: libvirt docs/formatdomain.rst, docs/drvqemu.rst, src/qemu/qemu_command.c.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from msixtool.tasks.cmdline.libvirt_devices import BRIDGES, LIBVIRT_DEVICES, NARROW, Shape
from msixtool.tasks.cmdline.words import Note, parsed

_BACKENDS = frozenset(
    {"drive", "netdev", "chardev", "audiodev", "rng", "fsdev", "memdev", "mount_tag", "tpmdev"}
)
"""Properties that name what libvirt makes itself."""
_ALIAS = "ua-"
_SINGLE = frozenset({"video", "watchdog", "memballoon", "panic", "tpm"})
"""DeviceElements of which there is one, but for displays that are not the first."""
_WORDS = frozenset({"id", "addr", "bus", "mac", "serial", "name", "masterbus", *_BACKENDS})
_NUMBERED_WORDS = frozenset({"x-speed", "x-width", "serial", "romfile"})
"""Numbers that are words to QEMU."""
_ON_OFF_AUTO = frozenset({"disable-legacy", "msi", "msix", "master"})
"""Switches that are words to QEMU."""


@dataclass
class DeviceElements:
    """Makes them for the options of a command, inside `<devices>`; `rest` is what QEMU is told as it is."""

    args: tuple[str, ...]
    devices: ElementTree.Element
    notes: dict[Note, None] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)
    """The index of each controller by its id on the command line."""
    models: dict[str, str] = field(default_factory=dict)
    """Devices by their ids on the command line."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many controllers there are of each kind."""
    overrides: dict[str, dict[str, str]] = field(default_factory=dict)
    """Properties by the alias of their device."""
    rest: list[str] = field(default_factory=list)
    disks: int = 0

    def __post_init__(self) -> None:
        options = list(pairs(self.args))
        self._disks = {
            d["id"]: d for option, v in options if option == "-drive" and "id" in (d := parsed(v)[1])
        }
        self._networks = {
            d["id"]: (k, d) for option, v in options if option == "-netdev" for k, d in [parsed(v)]
        }

    def note(self, option: str, message: str) -> None:
        self.notes.setdefault(Note(option, message))

    def add(self, value: str) -> None:
        """One -device."""
        model, options = parsed(value)
        shape = LIBVIRT_DEVICES.get(model)
        if not self._is_placed(model, options) or (model not in BRIDGES and not self._is_free(model, shape)):
            self._unknown(model, options)
            return
        if model in BRIDGES:
            self._bridge(model, options)
            return
        assert shape is not None
        element = self._shaped(shape, model, dict(options))
        if element is not None:
            self.devices.append(element)

    def _is_placed(self, model: str, options: dict[str, str]) -> bool:
        """Whether libvirt knows the bus, and lets such a device stand on it."""
        if model in LIBVIRT_DEVICES and LIBVIRT_DEVICES[model].plugged == "codec":
            return True
        bus = options.get("bus", "pci.0")
        if model == "pcie-pci-bridge" and bus == "pcie.0":
            return False
        return bus in ("pci.0", "pcie.0") or bus.removesuffix(".0") in self.indexes

    def _is_free(self, model: str, shape: Shape | None) -> bool:
        """Whether libvirt has an element for it, and takes one more of them."""
        if shape is None:
            return False
        first = self.devices.find(shape.tag) is None
        if model == "virtio-gpu-pci":
            return not first
        return first or shape.tag not in _SINGLE

    def _bridge(self, model: str, options: dict[str, str]) -> None:
        self.models[options["id"]] = model
        index = self._index("pci", options.pop("id"), 1)
        element = ElementTree.Element("controller", type="pci", index=str(index), model=BRIDGES[model])
        put(element, "model", name=model)
        target = {}
        for name, attribute in (
            ("chassis", "chassis"),
            ("port", "port"),
            ("hotplug", "hotplug"),
            ("bus_nr", "busNr"),
        ):
            if name in options:
                target[attribute] = options.pop(name)
        if model == "pci-bridge":
            target = {"chassisNr": target.pop("chassis", str(index))}
        if target:
            put(element, "target", **target)
        self._address(element, options)
        self._override(f"pci.{index}", options)
        self.devices.append(element)

    def _index(self, kind: str, own: str, first: int = 0) -> int:
        index = self.counts.get(kind, first)
        self.counts[kind] = index + 1
        self.indexes[own] = index
        return index

    def _address(self, element: ElementTree.Element, options: dict[str, str]) -> None:
        bus = options.pop("bus", "")
        if "addr" not in options:
            return
        slot, _, function = options.pop("addr").partition(".")
        place = {"bus": hex(self.indexes.get(bus, 0)), "slot": slot, "function": function or "0x0"}
        if "multifunction" in options:
            place["multifunction"] = options.pop("multifunction")
        put(element, "address", type="pci", domain="0x0000", **place)

    def _shaped(self, shape: Shape, model: str, options: dict[str, str]) -> ElementTree.Element | None:
        element = ElementTree.Element(shape.tag, dict(shape.attributes))
        own = options.pop("id", "")
        self.models[own] = model
        if shape.indexed is not None:
            element.set("index", str(self._index(shape.indexed, own)))
        backend = {name: options.pop(name) for name in _BACKENDS & options.keys()}
        self._inside(shape, element, options, backend)
        if shape.driver:
            self._driver(shape, element, options)
        if options.get("romfile") == "":
            del options["romfile"]
            put(element, "rom", enabled="no")
        if shape.plugged:
            if not self._plugged(shape, element, options):
                return None
        elif shape.pci:
            self._address(element, options)
        if options or shape.indexed is not None:
            alias = f"{_ALIAS}{own or f'{shape.tag}{len(self.overrides)}'}"
            put(element, "alias", name=alias)
            self._override(alias, options)
        return element

    def _inside(
        self, shape: Shape, element: ElementTree.Element, options: dict[str, str], backend: dict[str, str]
    ) -> None:
        """What is inside an element whatever its properties are."""
        generation = ""
        if options.get("disable-legacy") == "on" and options.get("disable-modern", "off") == "off":
            generation = "-non-transitional"
        elif options.get("disable-legacy") == "off" and options.get("disable-modern") == "off":
            generation = "-transitional"
        if shape.generations and generation:
            del options["disable-legacy"]
            options.pop("disable-modern", None)
        else:
            generation = ""
        if shape.tag == "disk":
            self._disk(shape, element, backend.get("drive", ""))
        elif shape.tag == "interface":
            self._network(element, backend.get("netdev", ""))
            if "mac" in options:
                put(element, "mac", address=options.pop("mac"))
        for child, attributes in shape.children:
            put(element, child, **attributes)
        if generation:
            self._generation(shape, element, generation)

    def _generation(self, shape: Shape, element: ElementTree.Element, generation: str) -> None:
        model = element.find("model") if shape.tag == "interface" else None
        if model is not None:
            model.set("type", f"virtio{generation}")
        else:
            element.set("model", f"{element.get('model', 'virtio')}{generation}")

    def _disk(self, shape: Shape, element: ElementTree.Element, drive: str) -> None:
        number = self.disks
        self.disks += 1
        if drive:
            put(element, "driver", name="qemu", type="raw")
            put(element, "source", file=f"/var/lib/libvirt/images/{drive}.img")
            size = self._disks.get(drive, {}).get("size", "1M")
            self.note("-drive", f"{drive}: put the guest's disk there, or an empty one of {size}")
        letters = f"{chr(97 + number // 26 - 1) if number >= 26 else ''}{chr(97 + number % 26)}"
        put(element, "target", dev=f"{shape.letters}{letters}", bus=shape.bus)

    def _network(self, element: ElementTree.Element, netdev: str) -> None:
        kind, options = self._networks.get(netdev, ("user", {}))
        element.set("type", "user" if kind == "user" else "ethernet")
        self.queues = options.get("queues")

    def _driver(self, shape: Shape, element: ElementTree.Element, options: dict[str, str]) -> None:
        attributes = {}
        for name, attribute in shape.driver.items():
            if name in options:
                attributes[attribute] = options.pop(name)
        if shape.tag == "interface":
            queues, self.queues = self.queues, None
            if queues is not None:
                attributes["queues"] = queues
                options.pop("mq", None)
                options.pop("vectors", None)
        if attributes:
            driver = element.find("driver")
            if driver is None:
                driver = put(element, "driver")
            for name, value in attributes.items():
                driver.set(name, value)

    def _plugged(self, shape: Shape, element: ElementTree.Element, options: dict[str, str]) -> bool:
        """The address on a bus that is not PCI."""
        bus = options.pop("bus", "").removesuffix(".0")
        index = str(self.indexes.get(bus, 0))
        if shape.plugged == "usb":
            put(element, "address", type="usb", bus=index, port=options.pop("port", "1"))
        elif shape.plugged == "drive":
            target, unit = options.pop("scsi-id", "0"), options.pop("lun", "0")
            options.pop("channel", None)
            if self.models.get(bus) in NARROW:
                target, unit = "0", target
            put(element, "address", type="drive", controller=index, bus="0", target=target, unit=unit)
        elif shape.plugged == "virtio-serial":
            port = options.pop("nr", "1")
            put(element, "address", type="virtio-serial", controller=index, bus="0", port=port)
        elif shape.plugged == "codec":
            sounds = self.devices.findall("sound")
            if sounds:
                sounds[-1].insert(0, element)
            return False
        return True

    def _override(self, alias: str, options: dict[str, str]) -> None:
        if options:
            self.overrides[alias] = dict(options)

    def _unknown(self, model: str, options: dict[str, str]) -> None:
        """A device that libvirt has no element for: QEMU is told of it as it is."""
        bus = options.get("bus", "").removesuffix(".0")
        if self.models.get(bus) in BRIDGES:
            options["bus"] = f"pci.{self.indexes[bus]}"
        elif bus in self.indexes:
            options["bus"] = f"{_ALIAS}{bus}.0"
        for name in sorted((_BACKENDS - {"mount_tag"}) & options.keys()):
            self.rest += self.backend(name, options[name])
        # As libvirt writes JSON for its own: QEMU makes devices of the other form before those.
        words = json.dumps({"driver": model} | {name: _value(model, name, options[name]) for name in options})
        self.rest += ["-device", words]
        self.note("-device", f"{model}: by qemu:commandline, as libvirt has no words for it")

    def backend(self, name: str, own: str) -> list[str]:
        """The words that make a backend."""
        for option, value in pairs(self.args):
            if option not in ("-device", "-numa", "-machine") and parsed(value)[1].get("id") == own:
                return [option, value]
        return []


def typed(name: str, value: str) -> dict[str, str]:
    """Attributes of a <qemu:property>: its type, and the value as that is written."""
    if value in ("on", "off") and name not in _ON_OFF_AUTO:
        return {"type": "bool", "value": "true" if value == "on" else "false"}
    if name in _NUMBERED_WORDS:
        return {"type": "string", "value": value}
    try:
        return {"type": "unsigned", "value": str(int(value, 0))}
    except ValueError:
        return {"type": "string", "value": value}


def _value(model: str, name: str, value: str) -> str | int | bool:
    """As JSON wants it: a place on PCI or USB is a word, whatever it looks like."""
    made = typed(name, value)
    if name in _WORDS or (name == "port" and model.startswith("usb-")):
        return value
    if made["type"] == "bool":
        return value == "on"
    return int(made["value"]) if made["type"] == "unsigned" else value


def pairs(args: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each option with its value."""
    words = [word for word in args if word != "-nodefaults"]
    yield from zip(words[::2], words[1::2], strict=True)


def put(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    """A new element at the end of `parent`."""
    made = ElementTree.SubElement(parent, tag, attributes)
    made.text = text
    return made
