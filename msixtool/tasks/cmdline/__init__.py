"""`cmdline`: the QEMU command line that a stream loads into, as far as the stream tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from msixtool.dump import OpenDump
from msixtool.errors import InputError
from msixtool.qemu.history import oldest_machine
from msixtool.qemu.kinds import Backend
from msixtool.qemu.kinds.virtio import EARLY
from msixtool.qemu.processors import switched_on
from msixtool.qemu.versions import Version, machine_version
from msixtool.tasks.cmdline import machine as machines
from msixtool.tasks.cmdline.backends import Backends
from msixtool.tasks.cmdline.boards import PC, board_of
from msixtool.tasks.cmdline.machine import FullSections
from msixtool.tasks.cmdline.others import Others
from msixtool.tasks.cmdline.pci import PciTree, ports_first
from msixtool.tasks.cmdline.seen import SeenDevice
from msixtool.tasks.cmdline.words import Note, Words, joined, shell_text, size_text

_DEFAULT_VERSION = (7, 2)
_UPSTREAM = re.compile(r"pc-(?:i440fx|q35)-[0-9]+\.[0-9]+(?:\.[0-9]+)?")
_COUNTED_APICS = (2, 6)
"""Up to this machine type APICs have instance ids in the order in which they were made, not their own."""
_RESET_EIP = 0xFFF0
MOST_DEVICES = 4096
"""The most sections that are put on a command line; real streams have a few hundred."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command: `args` as in the document, without the program. `firmware` is the size of one that is
    not QEMU's own and has to be brought along; None where QEMU's own will do."""

    program: str
    args: tuple[str, ...]
    notes: tuple[Note, ...]
    version: Version
    firmware: int | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    """The ids of devices by the paths of their sections."""
    buses: Mapping[str, str] = field(default_factory=dict)
    """PCI buses by the path of what they are behind."""

    def __repr__(self) -> str:
        return f"<CommandLine {self.program[:60]!r}: {len(self.args)} words, {len(self.notes)} notes>"

    def shell(self) -> str:
        """For a POSIX shell, an option a line."""
        return shell_text(self.program, list(self.args))


def command_line(
    dump: OpenDump,
    *,
    version: Version | None = None,
    program: str | None = None,
    bios: str | None = None,
    like: Version | None = None,
) -> CommandLine:
    """The command line for a stream.

    `version` is the QEMU that takes it, by default the oldest that can have written the stream; `bios`
    the file of a firmware that is not QEMU's own; with `like` the machine type is the nearest one that such a
    QEMU has, where it does not have the stream's. Raises InputError for a stream without machine type.
    """
    if dump.index.machine is None and like is None:
        raise InputError(
            "the stream does not say its machine type",
            path=dump.path,
            expected="a configuration section",
        )
    version = like or version or dump.writer.min or _DEFAULT_VERSION
    return _Maker(dump, version, bios, like=like).make(program)


class _Maker:
    def __init__(
        self, dump: OpenDump, version: Version, bios: str | None, *, like: Version | None = None
    ) -> None:
        self.like = like
        self.dump = dump
        self.version = version
        self.bios = bios
        self.words = Words()
        self.sections = FullSections.of(dump)
        self.q35 = "mch" in self.sections.kinds
        self.machine = self._machine_type()
        machine = machine_version(self.machine)
        self.devices = [
            SeenDevice(dump, item, version, machine)
            for items in self.sections.by_name.values()
            for item in items
        ]
        self.devices.sort(key=lambda device: device.item.offset)
        blocks = {name: block.used_length for name, block in dump.blocks.items()}
        self.backends = Backends(self.words, frozenset(self.sections.by_name), dump.index.blocks)
        self.board = board_of(self.sections)
        self.shown = self.board.shown(self.sections)
        self.tree = PciTree(self.words, self.backends, self.q35 or self._is_virt(), blocks)
        self.tree.isa = "apic" in self.sections.kinds
        self.firmware: int | None = None

    def make(self, program: str | None) -> CommandLine:
        machine = dict(self.shown.options)
        if self.machine.startswith("pc"):
            machine = machines.machine_options(self.sections, self.version, self.q35)
        elif self.machine == "microvm":
            machine = machines.microvm_options(self.sections, self.version)
        power = self._power()
        self._processors(power)
        self._firmware()
        if self.dump.index.uuid is not None:
            self.words.add("-uuid", str(UUID(bytes=self.dump.index.uuid)))
        if "kvmclock" in self.sections.kinds:
            self.words.add("-accel", "kvm")
            self.words.note("-accel", "the stream has KVM's sections: nothing else loads it")
        early = self.words.args
        self.words.args = []
        self._devices()
        devices, self.words.args = self.words.args, []
        dimms = machines.add_memory(self.words, machine, self.sections, power, self.backends.taken)
        memory, self.words.args = self.words.args, devices
        machines.add_dimms(self.words, dimms)
        head = ["-nodefaults", "-machine", joined(self.machine, machine)]
        args = [*head, *early[1:], *memory, *devices]
        return CommandLine(
            program or self.board.program,
            tuple(args),
            tuple(self.words.notes),
            self.version,
            self.firmware,
            self.tree.ids,
            self.tree.buses,
        )

    def _is_virt(self) -> bool:
        """Whether it is a machine without a past, whose root bus is PCI Express."""
        return "virt" in self.machine or self.machine == "microvm"

    def _machine_type(self) -> str:
        """The stream's own, or with `like` the nearest that such a QEMU has."""
        own = self.dump.index.machine
        if self.like is None:
            return str(own)
        version, oldest = machine_version(own), oldest_machine(self.like)
        if own is not None and version is not None and _UPSTREAM.fullmatch(own):
            if (oldest is None or version >= oldest) and version <= self.like:
                return own
            near = min(max(version, oldest or version), self.like)
        else:
            near = self.like
        made = f"pc-{'q35' if self.q35 else 'i440fx'}-{near[0]}.{near[1]}"
        self.words.note("-machine", f"{made} instead of {own}: QEMU refuses a stream of another machine type")
        return made

    def _power(self) -> machines.Power:
        for device in self.devices:
            if device.kind in ("piix4_pm", "ICH9LPC"):
                return machines.power_of(device.value)
        return machines.Power(None, None)

    def _processors(self, power: machines.Power) -> None:
        machine = machine_version(self.machine)
        counted = machine is not None and machine <= _COUNTED_APICS
        ids = [] if counted else self.sections.instances("apic")
        possible = power.cpus or self.shown.cpus
        found = machines.topology(ids or self.sections.instances("cpu_common"), possible)
        smp = dict(found.smp)
        self.words.add("-smp", joined(smp.pop(""), smp))
        if not found.fits:
            self.words.note("-smp", "no topology was found that has the APIC ids of the stream")
        for socket, core, thread in found.plugged:
            where = {"socket-id": str(socket), "core-id": str(core), "thread-id": str(thread)}
            if self.version >= (4, 1):
                where = {"socket-id": str(socket), "die-id": "0"} | where
            self.words.add("-device", joined("qemu64-x86_64-cpu", where))
        if self.shown.cpu is not None:
            self.words.add("-cpu", self.shown.cpu)
            self.words.note("-cpu", f"{self.shown.cpu}, by its registers; its features may have been others")
        elif self.board is not PC:
            self.words.note("-cpu", "the CPU model is not in the stream")
        elif self._has_run():
            used = ", ".join(switched_on(self._cpu.value)) if self._cpu is not None else ""
            self.words.note(
                "-cpu",
                "the CPU model is not in the stream: the guest has run, and may need the one it had"
                + (f"; it has switched on {used}" if used else ""),
            )

    def _has_run(self) -> bool:
        """Whether the first CPU has left the place where an x86 CPU starts; undecided counts as so."""
        return self._cpu is None or self._cpu.value("env.eip") != _RESET_EIP

    @cached_property
    def _cpu(self) -> SeenDevice | None:
        """The first CPU."""
        return next((device for device in self.devices if device.kind == "cpu"), None)

    def _firmware(self) -> None:
        size = self.tree.blocks.get("pc.bios")
        if self.bios is not None:
            self.words.add("-bios", self.bios)
        elif size is not None and size != machines.SEABIOS:
            self.firmware = size
            self.words.note(
                "-bios", f"the firmware was {size_text(size)} long ({size} bytes), not QEMU's own"
            )
        for unit in range(2):
            flash = self.tree.blocks.get(f"system.flash{unit}")
            if flash:
                options = {"if": "pflash", "unit": str(unit), "driver": "null-co", "size": size_text(flash)}
                self.words.add("-drive", joined("", options | {"read-zeroes": "on"}))
                self.words.note(
                    "-drive", f"flash {unit}: what is in it beyond the stream's copy is not known"
                )

    def _devices(self) -> None:
        if len(self.devices) > MOST_DEVICES:
            self.words.note("-device", f"only {MOST_DEVICES} of {len(self.devices)} sections were looked at")
        devices = self.devices[:MOST_DEVICES]
        if "iommu-intel" in self.sections.kinds:
            self.words.add("-device", "intel-iommu")
        on_pci = ports_first([device for device in devices if device.is_pci])
        others = Others(self.tree, frozenset(self.sections.by_name))
        self.tree.add_host_bridges([d.value("buid") for d in devices if d.kind == "spapr_pci"])
        self.tree.add_expanders(on_pci)
        behind = self._port_paths(on_pci)
        ports = [device for device in on_pci if device.path in behind]
        for device in ports:
            self.tree.add(device)
        done = {id(device) for device in ports}
        early = [d for d in on_pci if d.kind == "ehci"]
        for device in [*early, *devices]:
            if id(device) in done:
                continue
            done.add(id(device))
            if device.is_pci and device.kind != EARLY:
                self.tree.add(device)
                others.behind(device)
            else:
                others.add(device)
        self.tree.add_unseen({device.path for device in on_pci})
        if self.tree.isa:
            self.tree.add_empty_expanders(len(self.sections.by_name.get("PCIHost", ())))
        slirp = len(self.sections.by_name.get("slirp", ()))
        for _ in range(max(0, slirp - self.backends.networks)):
            self.backends.of(Backend.NETDEV)
        if "audio" in self.sections.kinds and "-audiodev" not in self.words.args:
            self.backends.of(Backend.AUDIODEV)

    def _port_paths(self, on_pci: list[SeenDevice]) -> set[str]:
        from msixtool.qemu.kinds import device_kind

        return {d.path for d in on_pci if (kind := device_kind(d.kind)) is not None and kind.port}
