"""`cmdline --libvirt`: the same machine as a libvirt domain.

Each device of the command line becomes the element that libvirt has for it, at the same place; properties for
which it has no words are set by qemu:override, and devices that it does not know by qemu:commandline.
Source: libvirt docs/formatdomain.rst, docs/drvqemu.rst, src/qemu/qemu_command.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from xml.etree import ElementTree

from msixtool.tasks.cmdline import CommandLine
from msixtool.tasks.cmdline.libvirt_devices import BRIDGES, DEVICES, NARROW, Shape
from msixtool.tasks.cmdline.words import Note, parsed

_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_BACKENDS = frozenset({"drive", "netdev", "chardev", "audiodev", "rng", "fsdev", "memdev", "mount_tag"})
"""Properties that name what libvirt makes itself."""
_FEATURES = {"smm": "smm", "vmport": "vmport"}
_TIMERS = {"hpet": "hpet"}
_ALIAS = "ua-"
_MAIN = "pc.ram"
_NODES = "ram-node"
"""What libvirt calls main memory, and that of NUMA nodes, with the number of each."""
_SINGLE = frozenset({"video", "watchdog", "memballoon", "panic"})
"""Elements of which there is one, but for displays that are not the first."""
_WORDS = frozenset({"id", "addr", "bus", "mac", "serial", "name", "masterbus", *_BACKENDS})
_NUMBERED_WORDS = frozenset({"x-speed", "x-width", "serial", "romfile"})
"""Numbers that are words to QEMU."""
_ON_OFF_AUTO = frozenset({"disable-legacy", "msi", "msix", "master"})
"""Switches that are words to QEMU."""


def domain_of(command: CommandLine, name: str) -> tuple[str, CommandLine]:
    """The XML of a domain, and the command with notes on what libvirt cannot say.

    `name` is what the domain is called, as far as libvirt takes it.
    """
    made = _Domain(command)
    text = made.text(_NAME.sub("-", PurePath(name).name).strip("-.") or "stream")
    return text, replace(command, notes=(*command.notes, *made.notes))


@dataclass
class _Domain:
    command: CommandLine
    notes: dict[Note, None] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)
    """The index of each controller by its id on the command line."""
    models: dict[str, str] = field(default_factory=dict)
    """Devices by their ids on the command line."""
    counts: dict[str, int] = field(default_factory=dict)
    overrides: dict[str, dict[str, str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    disks: int = 0

    def text(self, name: str) -> str:
        options = list(_pairs(self.command.args))
        values = dict(options)
        kvm = values.get("-accel") == "kvm"
        self.root = ElementTree.Element("domain", {"type": "kvm" if kvm else "qemu"})
        _add(self.root, "name", name)
        if "-uuid" in values:
            _add(self.root, "uuid", values["-uuid"])
        self._memory(values["-m"], "-numa" in values)
        self._cpus(values["-smp"], [parsed(value)[1] for option, value in options if option == "-numa"])
        self._machine(*parsed(values["-machine"]), values.get("-bios"))
        if "q35" in values["-machine"]:
            self.counts["sata"] = 1  # the chipset's own is the first
        self.devices = _add(self.root, "devices")
        _add(self.devices, "emulator", _emulator(self.command.program))
        self._disks = {
            d["id"]: d for option, v in options if option == "-drive" and "id" in (d := parsed(v)[1])
        }
        self._networks = {
            d["id"]: (k, d) for option, v in options if option == "-netdev" for k, d in [parsed(v)]
        }
        for option, value in options:
            if option == "-device":
                self._device(value)
            elif option == "-object":
                self._object(value)
        self._defaults(options)
        self._qemu()
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode")

    def _note(self, option: str, message: str) -> None:
        self.notes.setdefault(Note(option, message))

    def _memory(self, value: str, numa: bool) -> None:
        _, options = parsed(value)
        if "maxmem" in options and numa:
            most = _add(self.root, "maxMemory", str(_kib(options["maxmem"])), unit="KiB")
            most.set("slots", options["slots"])
        elif "maxmem" in options:
            words = f"slots={options['slots']},maxmem={options['maxmem']}"
            self.rest += ["-m", words]
            self._note("-m", f"{words}: by qemu:commandline, as libvirt wants a NUMA node for it")
        _add(self.root, "memory", str(_kib(options["size"])), unit="KiB")

    def _cpus(self, value: str, nodes: list[dict[str, str]]) -> None:
        first, options = parsed(value)
        most = options.get("maxcpus", first)
        vcpu = _add(self.root, "vcpu", most, placement="static")
        if most != first:
            vcpu.set("current", first)
        self.cpu = ElementTree.Element("cpu")
        if "sockets" in options:
            topology = {key: options[key] for key in ("sockets", "cores", "threads")}
            _add(self.cpu, "topology", **topology)
        if nodes:
            numa = _add(self.cpu, "numa")
            for number, node in enumerate(nodes):
                if node.get("memdev") != f"{_NODES}{number}":
                    self._note(
                        "-numa",
                        f"libvirt calls it {_NODES}{number}, the stream {node.get('memdev')}:"
                        " this domain cannot load it",
                    )
                size = self._size_of(node.get("memdev", ""))
                cell = _add(numa, "cell", id=node.get("nodeid", "0"), memory=str(size >> 10), unit="KiB")
                if "cpus" in node:
                    cell.set("cpus", node["cpus"])

    def _size_of(self, backend: str) -> int:
        objects = (parsed(value)[1] for option, value in _pairs(self.command.args) if option == "-object")
        return next((_bytes(o.get("size", "0")) for o in objects if o.get("id") == backend), 0)

    def _machine(self, machine: str, options: dict[str, str], bios: str | None) -> None:
        system = _add(self.root, "os")
        arch = self.command.program.rpartition("-")[2]
        _add(system, "type", "hvm", arch=arch if arch.isidentifier() else "x86_64", machine=machine)
        if bios is not None:
            _add(system, "loader", bios, readonly="yes", type="rom")
        features = _add(self.root, "features")
        if options.pop("acpi", "on") == "on":
            _add(features, "acpi")
        self.features = features
        for name, element in _FEATURES.items():
            if name in options:
                _add(features, element, state=options.pop(name))
        self.root.append(self.cpu)
        clock = _add(self.root, "clock", offset="utc")
        for name, element in _TIMERS.items():
            if name in options:
                _add(clock, "timer", name=element, present="no" if options.pop(name) == "off" else "yes")
        backend = options.pop("memory-backend", None)
        if backend not in (None, _MAIN):
            self.rest += self._backend("memdev", str(backend))
            options["memory-backend"] = backend
        if options:
            words = ",".join(f"{name}={value}" for name, value in options.items())
            self.rest += ["-machine", words]
            self._note("-machine", f"{words}: by qemu:commandline, as libvirt has no words for it")

    def _object(self, value: str) -> None:
        kind, options = parsed(value)
        if kind == "memory-backend-ram" and options.get("id") in self._claimed():
            self.rest += ["-object", value]

    def _claimed(self) -> set[str]:
        """Backends of devices that go to qemu:commandline."""
        return {
            options["memdev"]
            for option, value in _pairs(tuple(self.rest))
            if option == "-device" and "memdev" in (options := parsed(value)[1])
        }

    def _device(self, value: str) -> None:
        model, options = parsed(value)
        shape = DEVICES.get(model)
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
        if model in DEVICES and DEVICES[model].plugged == "codec":
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
        _add(element, "model", name=model)
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
            _add(element, "target", **target)
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
        _add(element, "address", type="pci", domain="0x0000", **place)

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
            _add(element, "rom", enabled="no")
        if shape.plugged:
            if not self._plugged(shape, element, options):
                return None
        elif shape.pci:
            self._address(element, options)
        if options or shape.indexed is not None:
            alias = f"{_ALIAS}{own or f'{shape.tag}{len(self.overrides)}'}"
            _add(element, "alias", name=alias)
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
                _add(element, "mac", address=options.pop("mac"))
        for child, attributes in shape.children:
            _add(element, child, **attributes)
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
            _add(element, "driver", name="qemu", type="raw")
            _add(element, "source", file=f"/var/lib/libvirt/images/{drive}.img")
            size = self._disks.get(drive, {}).get("size", "1M")
            self._note("-drive", f"{drive}: put the guest's disk there, or an empty one of {size}")
        letters = f"{chr(97 + number // 26 - 1) if number >= 26 else ''}{chr(97 + number % 26)}"
        _add(element, "target", dev=f"{shape.letters}{letters}", bus=shape.bus)

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
                driver = _add(element, "driver")
            for name, value in attributes.items():
                driver.set(name, value)

    def _plugged(self, shape: Shape, element: ElementTree.Element, options: dict[str, str]) -> bool:
        """The address on a bus that is not PCI."""
        bus = options.pop("bus", "").removesuffix(".0")
        index = str(self.indexes.get(bus, 0))
        if shape.plugged == "usb":
            _add(element, "address", type="usb", bus=index, port=options.pop("port", "1"))
        elif shape.plugged == "drive":
            target, unit = options.pop("scsi-id", "0"), options.pop("lun", "0")
            options.pop("channel", None)
            if self.models.get(bus) in NARROW:
                target, unit = "0", target
            _add(element, "address", type="drive", controller=index, bus="0", target=target, unit=unit)
        elif shape.plugged == "virtio-serial":
            port = options.pop("nr", "1")
            _add(element, "address", type="virtio-serial", controller=index, bus="0", port=port)
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
            self.rest += self._backend(name, options[name])
        # As libvirt writes JSON for its own: QEMU makes devices of the other form before those.
        words = json.dumps({"driver": model} | {name: _value(model, name, options[name]) for name in options})
        self.rest += ["-device", words]
        self._note("-device", f"{model}: by qemu:commandline, as libvirt has no words for it")

    def _backend(self, name: str, own: str) -> list[str]:
        """The words that make a backend."""
        for option, value in _pairs(self.command.args):
            if option not in ("-device", "-numa", "-machine") and parsed(value)[1].get("id") == own:
                return [option, value]
        return []

    def _defaults(self, options: list[tuple[str, str]]) -> None:
        """What libvirt would add of itself is told not to."""
        if not any(each.get("type") == "usb" for each in self.devices.iter("controller")):
            _add(self.devices, "controller", type="usb", index="0", model="none")
        if self.devices.find("memballoon") is None:
            _add(self.devices, "memballoon", model="none")
        drives = [parsed(value)[1] for option, value in options if option == "-drive"]
        if any(drive.get("if") == "pflash" for drive in drives):
            self._note("-drive", "flash: put the guest's own firmware and variables into <os>")

    def _qemu(self) -> None:
        if not self.rest and not self.overrides:
            return
        self.root.set("xmlns:qemu", _NAMESPACE)
        if self.rest:
            line = _add(self.root, "qemu:commandline")
            for word in self.rest:
                _add(line, "qemu:arg", value=word)
        if self.overrides:
            override = _add(self.root, "qemu:override")
            for alias, properties in self.overrides.items():
                frontend = _add(_add(override, "qemu:device", alias=alias), "qemu:frontend")
                for name, value in properties.items():
                    _add(frontend, "qemu:property", name=name, **_typed(name, value))


def _typed(name: str, value: str) -> dict[str, str]:
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
    typed = _typed(name, value)
    if name in _WORDS or (name == "port" and model.startswith("usb-")):
        return value
    if typed["type"] == "bool":
        return value == "on"
    return int(typed["value"]) if typed["type"] == "unsigned" else value


def _pairs(args: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each option with its value."""
    words = [word for word in args if word != "-nodefaults"]
    yield from zip(words[::2], words[1::2], strict=True)


def _add(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    made = ElementTree.SubElement(parent, tag, attributes)
    made.text = text
    return made


def _bytes(text: str) -> int:
    return int(text[:-1]) * _SIZES[text[-1]] if text[-1:] in _SIZES else int(text or "0")


def _kib(text: str) -> int:
    return -(-_bytes(text) >> 10)


def _emulator(program: str) -> str:
    return program if program.startswith("/") else f"/usr/bin/{program}"
