"""Saved states: what `save` writes, read back as devices that came from no stream.

The raw vmstate says nothing of its device: neither name nor capability. A SPEC (`save --text`) has
the name, and Message Control and bus mastering where it says them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from msixtool.containers.file import read_whole
from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.dump import matches
from msixtool.errors import NotAStreamError, UsageError
from msixtool.formats import msix as fmt, pci
from msixtool.formats.qevm import ItemType
from msixtool.msix.state import MsixState
from msixtool.qemu.kinds import check_kind
from msixtool.spec.read import MAX_SIZE, parse_spec
from msixtool.spec.values import DeviceSpec, Spec, new_control, new_state
from msixtool.stream.items import Item

NAMELESS = "device"
"""What the device of a raw vmstate is called."""


@dataclass(frozen=True)
class SavedFile:
    """A file of `size` bytes that is no stream: a SPEC, or one device's state (`kind` None: not said)."""

    path: str
    size: int
    spec: Spec | None = None
    state: MsixState | None = None
    kind: str | None = None

    @classmethod
    def read(
        cls,
        path: str,
        error: NotAStreamError | None = None,
        *,
        kind: str | None = None,
        vectors: int | None = None,
    ) -> Self:
        """Read what `save` wrote, or a SPEC; `kind` and `vectors` say what a raw vmstate must be of.

        `error` says why the file is no stream, and is raised where it is no saved state either. Raises
        InputError where it cannot be read, NotAStreamError where it is none, UsageError for a kind that is
        not known, another number of vectors, and for what a SPEC must not say.
        """
        if error is not None and not os.path.isfile(path):  # what came out of a pipe is gone
            raise error
        if kind is not None:
            check_kind(kind)
        data = read_whole(path, MAX_SIZE)
        if b"\0" not in data and b"devices" in data:
            return cls(path, len(data), parse_spec(data, path=path), kind=kind)
        count = fmt.vectors_of_size(len(data))
        if not count or count > fmt.MAX_VECTORS:
            raise _no_state(path, len(data), error)
        if vectors not in (None, count):
            found = f"{count} by its size"
            raise UsageError("saved state", path=path, expected=f"{vectors} vectors", found=found)
        return cls(path, len(data), state=MsixState.from_vmstate(data, count), kind=kind)

    @cached_property
    def devices(self) -> list[MsixDevice]:
        """One of a raw vmstate, those that a SPEC describes in full.

        Of a device without configuration space `capability` and `config` are None; one whose SPEC says
        whether it is enabled has a capability, whose places are unknown and given as BAR 0, offset 0.

        Raises UsageError for a SPEC without devices, or, naming the key, where the number of vectors is open.
        """
        if self.state is not None:
            return [device_of(self.state, self.kind or NAMELESS)]
        assert self.spec is not None
        if not self.spec.devices:
            raise UsageError("SPEC", path=self.path, expected="a device", found="none")
        return [_described(device) for device in self.spec.devices]

    def select(self, pattern: str | None) -> list[MsixDevice]:
        """The devices that `pattern` names; all for None. Raises UsageError where none does."""
        found = [
            each for each in self.devices if pattern is None or matches(pattern, each.name, each.instance)
        ]
        if not found:
            raise UsageError(f"no device of the saved state matches {pattern!r}", path=self.path)
        return found


def _no_state(path: str, size: int, error: NotAStreamError | None) -> NotAStreamError:
    """What is said of a file that is no saved state, nor a stream where `error` says so."""
    shape = "16·n + ceil(n/8) bytes, or a SPEC"
    if error is None:
        return NotAStreamError("no saved state", path=path, expected=shape, found=f"{size} bytes")
    if size <= fmt.vmstate_size(fmt.MAX_VECTORS):
        error.expected = f"{error.expected}, a saved state of {shape}"
    return error


def device_of(
    state: MsixState,
    name: str,
    *,
    instance: int = 0,
    control: int | None = None,
    bus_master: bool | None = None,
) -> MsixDevice:
    """A state that came from no stream, as the device that documents and texts are made of."""
    item = Item(ItemType.SECTION_FULL, 0, 0, idstr=name, instance_id=instance)
    nowhere = BarPlace(0, 0)
    capability = None if control is None else MsixCapability(0, control, nowhere, nowhere)
    config = None
    if bus_master is not None:
        command = int(pci.CommandBits.BUS_MASTER) if bus_master else 0
        head = bytes(pci.COMMAND_REGISTER.offset) + pci.COMMAND_REGISTER.packed(command)
        config = ConfigSpace(head.ljust(pci.CONFIG_SIZE, b"\0"))
    return MsixDevice(item, 0, state, config, capability=capability)


def _described(spec: DeviceSpec) -> MsixDevice:
    says_control = spec.enabled is not None or spec.capability.enabled is not None
    says_control = says_control or spec.capability.control is not None
    return device_of(
        new_state(spec),
        spec.name,
        instance=spec.instance or 0,
        control=new_control(spec) if says_control else None,
        bus_master=spec.bus_master,
    )
