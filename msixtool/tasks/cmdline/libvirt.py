"""`cmdline --libvirt`: the same machine as a libvirt domain.

Machine, memory and CPUs, and around the elements of its devices what QEMU is told as it is.
Source: libvirt docs/formatdomain.rst, docs/drvqemu.rst, src/qemu/qemu_command.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from xml.etree import ElementTree

from msixtool.tasks.cmdline import CommandLine
from msixtool.tasks.cmdline.libvirt_elements import DeviceElements, pairs, put, typed
from msixtool.tasks.cmdline.words import Note, parsed

_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_FEATURES = {"smm": "smm", "vmport": "vmport"}
_TIMERS = {"hpet": "hpet"}
_MAIN = "pc.ram"
_NODES = "ram-node"
"""What libvirt calls main memory, and that of NUMA nodes, with the number of each."""


def domain_of(command: CommandLine, name: str) -> tuple[str, CommandLine]:
    """The XML of a domain, and the command with notes on what libvirt cannot say.

    `name` is what the domain is called, as far as libvirt takes it.
    """
    made = _Domain(command)
    text = made.text(_NAME.sub("-", PurePath(name).name).strip("-.") or "stream")
    # libvirt starts the swtpm of a domain itself.
    own = Note("-tpmdev", "libvirt takes a TPM where swtpm and its swtpm_setup are installed")
    told = dict.fromkeys(own if note.option == "-tpmdev" else note for note in command.notes)
    return text, replace(command, notes=(*told, *made.elements.notes))


@dataclass
class _Domain:
    command: CommandLine

    def __post_init__(self) -> None:
        self.devices = ElementTree.Element("devices")
        self.elements = DeviceElements(self.command.args, self.devices)

    def text(self, name: str) -> str:
        options = list(pairs(self.command.args))
        values = dict(options)
        kvm = values.get("-accel") == "kvm"
        self.root = ElementTree.Element("domain", {"type": "kvm" if kvm else "qemu"})
        put(self.root, "name", name)
        if "-uuid" in values:
            put(self.root, "uuid", values["-uuid"])
        self._memory(values["-m"], "-numa" in values)
        self._cpus(values["-smp"], [parsed(value)[1] for option, value in options if option == "-numa"])
        self._machine(*parsed(values["-machine"]), values.get("-bios"))
        if "q35" in values["-machine"]:
            self.elements.counts["sata"] = 1  # the chipset's own is the first
        self.root.append(self.devices)
        put(self.devices, "emulator", _emulator(self.command.program))
        for option, value in options:
            if option == "-device":
                self.elements.add(value)
            elif option == "-object":
                self._object(value)
        self._without_device(options)
        self._defaults()
        self._qemu()
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode")

    def _note(self, option: str, message: str) -> None:
        self.elements.note(option, message)

    def _memory(self, value: str, numa: bool) -> None:
        _, options = parsed(value)
        if "maxmem" in options and numa:
            most = put(self.root, "maxMemory", str(_kib(options["maxmem"])), unit="KiB")
            most.set("slots", options["slots"])
        elif "maxmem" in options:
            words = f"slots={options['slots']},maxmem={options['maxmem']}"
            self.elements.rest += ["-m", words]
            self._note("-m", f"{words}: by qemu:commandline, as libvirt wants a NUMA node for it")
        put(self.root, "memory", str(_kib(options["size"])), unit="KiB")

    def _cpus(self, value: str, nodes: list[dict[str, str]]) -> None:
        first, options = parsed(value)
        most = options.get("maxcpus", first)
        vcpu = put(self.root, "vcpu", most, placement="static")
        if most != first:
            vcpu.set("current", first)
        self.cpu = ElementTree.Element("cpu")
        if "sockets" in options:
            topology = {key: options[key] for key in ("sockets", "cores", "threads")}
            put(self.cpu, "topology", **topology)
        if nodes:
            numa = put(self.cpu, "numa")
            sizes = self._sizes()
            for number, node in enumerate(nodes):
                if node.get("memdev") != f"{_NODES}{number}":
                    self._note(
                        "-numa",
                        f"libvirt calls it {_NODES}{number}, the stream {node.get('memdev')}:"
                        " this domain cannot load it",
                    )
                size = sizes.get(node.get("memdev", ""), 0)
                cell = put(numa, "cell", id=node.get("nodeid", "0"), memory=str(size >> 10), unit="KiB")
                if "cpus" in node:
                    cell.set("cpus", node["cpus"])

    def _sizes(self) -> dict[str | None, int]:
        """Bytes of each object by its id."""
        objects = (parsed(value)[1] for option, value in pairs(self.command.args) if option == "-object")
        return {each.get("id"): _bytes(each.get("size", "0")) for each in objects}

    def _machine(self, machine: str, options: dict[str, str], bios: str | None) -> None:
        system = put(self.root, "os")
        arch = self.command.program.rpartition("-")[2]
        put(system, "type", "hvm", arch=arch if arch.isidentifier() else "x86_64", machine=machine)
        if bios is not None:
            put(system, "loader", bios, readonly="yes", type="rom")
        features = put(self.root, "features")
        if options.pop("acpi", "on") == "on":
            put(features, "acpi")
        self.features = features
        for name, element in _FEATURES.items():
            if name in options:
                put(features, element, state=options.pop(name))
        self.root.append(self.cpu)
        clock = put(self.root, "clock", offset="utc")
        for name, element in _TIMERS.items():
            if name in options:
                put(clock, "timer", name=element, present="no" if options.pop(name) == "off" else "yes")
        backend = options.pop("memory-backend", None)
        if backend not in (None, _MAIN):
            self.elements.rest += self.elements.backend("memdev", str(backend))
            options["memory-backend"] = backend
        if options:
            words = ",".join(f"{name}={value}" for name, value in options.items())
            self.elements.rest += ["-machine", words]
            self._note("-machine", f"{words}: by qemu:commandline, as libvirt has no words for it")

    def _object(self, value: str) -> None:
        kind, options = parsed(value)
        if kind == "memory-backend-ram" and options.get("id") in self._claimed():
            self.elements.rest += ["-object", value]

    def _claimed(self) -> set[str]:
        """Backends of devices that go to qemu:commandline."""
        return {
            options["memdev"]
            for option, value in pairs(tuple(self.elements.rest))
            if option == "-device" and "memdev" in (options := parsed(value)[1])
        }

    def _defaults(self) -> None:
        """What libvirt would add of itself is told not to."""
        if not any(each.get("type") == "usb" for each in self.devices.iter("controller")):
            put(self.devices, "controller", type="usb", index="0", model="none")
        if self.devices.find("memballoon") is None:
            put(self.devices, "memballoon", model="none")

    def _without_device(self, options: list[tuple[str, str]]) -> None:
        """Backends that belong to no device: QEMU is told of them as they are."""
        used = {parsed(value)[1].get("netdev") for option, value in options if option == "-device"}
        for option, value in options:
            own = parsed(value)[1]
            if option == "-netdev" and own["id"] not in used:
                self.elements.rest += [option, value]
            elif option == "-drive" and own.get("if") == "pflash":
                self.elements.rest += [option, value]
                self._note(
                    option, "flash: empty; put the guest's own firmware and variables into <os> instead"
                )

    def _qemu(self) -> None:
        if not self.elements.rest and not self.elements.overrides:
            return
        self.root.set("xmlns:qemu", _NAMESPACE)
        if self.elements.rest:
            line = put(self.root, "qemu:commandline")
            for word in self.elements.rest:
                put(line, "qemu:arg", value=word)
        if self.elements.overrides:
            override = put(self.root, "qemu:override")
            for alias, properties in self.elements.overrides.items():
                frontend = put(put(override, "qemu:device", alias=alias), "qemu:frontend")
                for name, value in properties.items():
                    put(frontend, "qemu:property", name=name, **typed(name, value))


def _bytes(text: str) -> int:
    return int(text[:-1]) * _SIZES[text[-1]] if text[-1:] in _SIZES else int(text or "0")


def _kib(text: str) -> int:
    return -(-_bytes(text) >> 10)


def _emulator(program: str) -> str:
    return program if program.startswith("/") else f"/usr/bin/{program}"
