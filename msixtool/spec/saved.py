"""Saved states: what `save` writes, read back as devices that came from no stream.

The raw vmstate says nothing of its device: neither name nor capability. A SPEC (`save --text`) has
the name, and Message Control and bus mastering where it says them.
"""

from __future__ import annotations

import os

from msixtool.containers.file import read_whole
from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.dump import matches
from msixtool.errors import NotAStreamError, UsageError
from msixtool.formats import msix as fmt
from msixtool.formats import pci
from msixtool.msix.state import MsixState
from msixtool.qemu.profiles import check_kind
from msixtool.spec.read import MAX_SIZE, parse_spec
from msixtool.spec.values import DeviceSpec, new_control, new_state
from msixtool.stream import items
from msixtool.stream.items import Item

NAMELESS = "device"
"""What the device of a raw vmstate is called."""


def read_saved(path: str) -> list[MsixDevice]:
    """The devices of a saved state: one of a raw vmstate, those that a SPEC describes in full.

    Of a device without configuration space `capability` and `config` are None; one whose SPEC says
    whether it is enabled has a capability, whose places are unknown and given as BAR 0, offset 0.

    Raises InputError where the file cannot be read, NotAStreamError where it is neither, UsageError,
    naming the key, for a SPEC that leaves the number of vectors open.
    """
    data = read_whole(path, MAX_SIZE)
    if _is_text(data):
        spec = parse_spec(data, path=path)
        return [_described(device) for device in spec.devices]
    vectors = fmt.vectors_of_size(len(data))
    if not vectors or vectors > fmt.MAX_VECTORS:
        raise NotAStreamError(
            "no saved state",
            path=path,
            expected="16·n + ceil(n/8) bytes, or a SPEC",
            found=f"{len(data)} bytes",
        )
    return [device_of(MsixState.from_vmstate(data, vectors), NAMELESS)]


def choose_saved(
    path: str, error: NotAStreamError, *, kind: str | None = None, device: str | None = None
) -> tuple[list[MsixDevice], int]:
    """The devices of a saved state that `device` matches, and its size in bytes; `kind` is a raw vmstate's.

    `error` says why the file is no stream, and is raised where it is no saved state either. Raises
    UsageError where no device matches, and as `read_saved` does.
    """
    if not os.path.isfile(path):  # standard input, or a pipe: what came out of it is gone
        raise error
    if kind is not None:
        check_kind(kind)
    try:
        found = read_saved(path)
    except NotAStreamError:
        raise error from None
    if not found:
        raise UsageError("the SPEC has no devices", path=path)
    if kind is not None and found[0].name == NAMELESS:
        found = [device_of(found[0].state, kind)]
    chosen = [each for each in found if device is None or matches(device, each.name, each.instance)]
    if not chosen:
        raise UsageError(f"no device of the saved state matches {device!r}", path=path)
    return chosen, os.path.getsize(path)


def _is_text(data: bytes) -> bool:
    """Whether it can be a SPEC: text that names devices."""
    return b"\0" not in data and b"devices" in data


def device_of(
    state: MsixState,
    name: str,
    *,
    instance: int = 0,
    control: int | None = None,
    bus_master: bool | None = None,
) -> MsixDevice:
    """A state that came from no stream, as the device that documents and texts are made of."""
    item = Item(items.FULL, 0, 0, idstr=name, instance_id=instance)
    nowhere = BarPlace(0, 0)
    capability = None if control is None else MsixCapability(0, control, nowhere, nowhere)
    config = None
    if bus_master is not None:
        command = int(pci.Command.BUS_MASTER) if bus_master else 0
        config = ConfigSpace(
            bytes(pci.COMMAND.offset) + command.to_bytes(pci.CONFIG_SIZE - pci.COMMAND.offset, "little")
        )
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
