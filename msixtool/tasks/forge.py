"""Forging: what a SPEC makes of a stream, as the ranges of bytes that change and nothing else.

Fields are set first, then what is asked of devices lies over them: the broader first, the narrower
wins. Where the number of vectors changes, capability, table, pending bits, their places, a BAR of
their own and the vmdesc follow.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.devices.locate import read_device
from msixtool.devices.places import places_of
from msixtool.dump import OpenDump, matches
from msixtool.errors import MsixtoolError, UsageError, with_instance
from msixtool.formats import build, msix, pci
from msixtool.formats.idstr import Idstr
from msixtool.formats.virtio import NO_VECTOR, VECTOR
from msixtool.msix.state import MsixState
from msixtool.spec.values import DeviceSpec, PlaceSpec, Spec, apply_control, apply_spec
from msixtool.stream.items import Item
from msixtool.stream.rewrite import Overlay, Replacement, in_order
from msixtool.tasks import forge_layout
from msixtool.tasks.forge_fields import set_fields
from msixtool.tasks.forge_new import fixed_vectors
from msixtool.tasks.forge_raise import raise_interrupts
from msixtool.tasks.forge_sizes import resized_description, resized_packages

_LISTED = 12


@dataclass(slots=True)
class Plan:
    """What is to change: disjoint ranges of the stream in order, and what is worth a word besides."""

    replacements: list[Replacement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(dump: OpenDump, spec: Spec) -> Plan:
    """What `spec` makes of the stream of `dump`. Nothing is written.

    Raises UsageError, naming the key, where the SPEC asks for what is not there or cannot be.
    """
    try:
        return _Forge(dump).run(spec)
    except MsixtoolError as error:
        raise error.at(path=spec.path or dump.path) from None


class _Forge:
    """One stream on its way to another."""

    def __init__(self, dump: OpenDump) -> None:
        self.dump = dump
        self.overlay = Overlay(dump.source)
        self.notes: list[str] = []
        self._resized: list[Replacement] = []
        self._growth: dict[int, tuple[Item, int]] = {}

    def run(self, spec: Spec) -> Plan:
        set_fields(self.overlay, self.dump, spec.fields)
        seen: set[int] = set()
        for each in spec.devices:
            item = _find(self.dump, each).item
            if item.offset in seen:
                raise UsageError(each.named("name"), expected="each device once", found=each.name)
            seen.add(item.offset)
            self._device(each, item)
        self.notes += raise_interrupts(self.overlay, self.dump, spec.raised)
        return Plan(in_order(self._replacements()), self.notes)

    def _replacements(self) -> Iterator[Replacement]:
        yield from self._resized
        resized = in_order(self._resized)
        starts = [each.start for each in resized]
        for change in self.overlay.changes():
            first = max(0, bisect_right(starts, change.start) - 1)
            yield from _outside(change, resized[first : bisect_left(starts, change.end)])
        if self._growth:
            yield from resized_packages(self.dump.index, self.dump.source, self._growth)
            yield from resized_description(self.dump.index, self._growth)

    def _device(self, spec: DeviceSpec, item: Item) -> None:
        device = read_device(self.overlay, item, self.dump.index)
        if device is None:
            raise UsageError(f"{spec.named('name')}: the fields leave no MSI-X state", device=item.idstr)
        state = apply_spec(spec, device.state)
        self._capability(spec, device)
        self._bus_master(spec, device)
        _set_users(self.overlay, spec, device, state.vectors)
        if state.vectors == device.vectors:
            self.overlay.patch(device.offset, state.to_vmstate())
        else:
            self._resize(spec, device, state)

    def _capability(self, spec: DeviceSpec, device: MsixDevice) -> None:
        """Message Control and the places of table and pending bits."""
        capability = device.capability
        resizes = spec.vectors is not None and spec.vectors != device.vectors
        if not (spec.touches_control or resizes):
            return
        if capability is None or device.config_offset is None:
            if spec.touches_control:
                raise _no_config(spec, device, "capability")
            return
        if spec.capability.offset not in (None, capability.offset):
            raise UsageError(
                f"{spec.named('capability.offset')}: a capability is not moved",
                expected=capability.offset,
                found=spec.capability.offset,
            )
        at = device.config_offset + capability.offset
        control = apply_control(spec, capability.control, device.vectors)
        self.overlay.patch(at + msix.CONTROL.offset, msix.CONTROL.packed(control))
        table, pba = self._places(spec, device, capability) if resizes else (capability.table, capability.pba)
        asked = spec.capability
        for register, place, wanted in ((msix.TABLE, table, asked.table), (msix.PBA, pba, asked.pba)):
            self.overlay.patch(at + register.offset, register.packed(_place_word(place, wanted)))

    def _places(
        self, spec: DeviceSpec, device: MsixDevice, capability: MsixCapability
    ) -> tuple[BarPlace, BarPlace]:
        """Where table and pending bits go for the new number of vectors."""
        assert spec.vectors is not None
        asked = spec.capability
        if asked.table != PlaceSpec() or asked.pba != PlaceSpec():
            return capability.table, capability.pba
        try:
            present = forge_layout.places(device.kind, capability, device.vectors, device.vectors)
            places = forge_layout.places(device.kind, capability, device.vectors, spec.vectors)
        except UsageError as error:
            error.what = f"{spec.named('vectors')}: {error.what}"
            raise
        if places.bar_size is not None and places.bar_size > (present.bar_size or 0):
            self._place_bar(spec, device, places.table.bar, places.bar_size)
        return places.table, places.pba

    def _place_bar(self, spec: DeviceSpec, device: MsixDevice, index: int, size: int) -> None:
        """Move the BAR where there is no room for its new size, or its address is not aligned to it."""
        assert device.config is not None
        assert device.config_offset is not None
        bar = next((bar for bar in forge_layout.memory_bars(device.config) if bar.number == index), None)
        if bar is None:
            return
        own = device.config_offset, self._own_bar(device)
        others = [address for place, address in self._bars.items() if place != own]
        above = self._spaces_at.get(_bridge_path(device.name), ())
        window = next(filter(None, map(forge_layout.memory_window, above)), None)
        address = forge_layout.room_for(bar, size, others, window)
        if address is None:
            raise UsageError(
                f"{spec.named('vectors')}: {spec.vectors} vectors take {size:#x} bytes in BAR {index}",
                expected="room for them near its address",
                found=f"none at {bar.address:#x}",
            )
        if address == bar.address:
            return
        register = pci.Register(device.config_offset + bar.register, bar.size)
        word = bar.word & ~bar.address | address
        self.overlay.patch(register.offset, register.packed(word))
        self._bars[device.config_offset, index] = address
        self.notes.append(
            f"{device.name}: BAR {index} moved from {bar.address:#x} to {address:#x}: "
            f"{spec.vectors} vectors take {size:#x} bytes there"
        )

    @cached_property
    def _bars(self) -> dict[tuple[int, int], int]:
        """The address of each memory BAR, as changed so far, by the offset of its space and its number."""
        return {
            (offset, bar.number): bar.address
            for _, offset, space in self._config_spaces
            for bar in forge_layout.memory_bars(space)
        }

    @cached_property
    def _spaces_at(self) -> dict[str | None, list[ConfigSpace]]:
        """The configuration spaces by the paths of their devices."""
        found: dict[str | None, list[ConfigSpace]] = {}
        for item, _, space in self._config_spaces:
            found.setdefault(item.named.path, []).append(space)
        return found

    @staticmethod
    def _own_bar(device: MsixDevice) -> int | None:
        return None if device.capability is None else device.capability.table.bar

    @cached_property
    def _config_spaces(self) -> list[tuple[Item, int, ConfigSpace]]:
        """Section, offset and configuration space of every PCI device, as they are when a BAR first moves."""
        found = []
        for item in self.dump.index.full_sections():
            places = places_of(self.overlay, item)
            if places.config is not None:
                offset = item.data_offset + places.config
                found.append((item, offset, ConfigSpace(self.overlay.read(offset, places.config_size))))
        return found

    def _bus_master(self, spec: DeviceSpec, device: MsixDevice) -> None:
        if spec.bus_master is None:
            return
        if device.config is None or device.config_offset is None:
            raise _no_config(spec, device, "bus_master")
        at = device.config_offset + pci.COMMAND_REGISTER.offset
        command = pci.COMMAND_REGISTER.value(self.overlay.read(device.config_offset, pci.HEADER_SIZE))
        command = command & ~pci.CommandBits.BUS_MASTER | pci.CommandBits.BUS_MASTER * spec.bus_master
        self.overlay.patch(at, pci.COMMAND_REGISTER.packed(command))

    def _resize(self, spec: DeviceSpec, device: MsixDevice, state: MsixState) -> None:
        """Another number of vectors: the section grows or shrinks, and the vmdesc with it."""
        _check_users(spec, device, state.vectors)
        index = self.dump.index
        if index.mapped_ram and any(
            block.pages_offset and block.pages_offset > device.offset + self.dump.base_offset
            for block in index.blocks
        ):
            raise UsageError(
                f"{spec.named('vectors')}: another size would move pages that mapped-ram keeps in place",
                expected=device.vectors,
                found=state.vectors,
            )
        fixed = fixed_vectors(device.kind)
        if fixed not in (None, state.vectors):
            self.notes.append(
                f"{device.name}: {device.kind} has always {fixed} vectors: QEMU refuses {state.vectors}"
            )
        data = state.to_vmstate()
        self._resized.append(Replacement(device.offset, device.offset + device.length, data))
        self._growth[device.item.offset] = device.item, len(data) - device.length


def _find(dump: OpenDump, spec: DeviceSpec) -> MsixDevice:
    """The one device that a SPEC names: by its whole idstr, else as `--device` does."""
    named = dump.devices_named.get(spec.name)
    if named is None:
        named = [device for device in dump.devices if matches(spec.name, device.name, device.instance)]
    if not dump.devices:
        raise UsageError(f"{spec.named('name')}: no device with MSI-X in the stream")
    found = [device for device in named if spec.instance in (None, device.instance)]
    if len(found) == 1:
        return found[0]
    listed = [with_instance(each.name, each.instance) for each in found or named or dump.devices]
    names = ", ".join(listed[:_LISTED]) + (f" and {len(listed) - _LISTED} more" if listed[_LISTED:] else "")
    wanted = spec.name[:200] if spec.instance is None else f"{spec.name[:200]}@{spec.instance}"
    what = f"several devices with MSI-X are {wanted}" if found else f"no device with MSI-X is {wanted}"
    if found and spec.name == "*":
        what = "several devices have MSI-X"
    raise UsageError(f"{spec.named('name')}: {what}", expected=f"one of {names}")


def _set_users(overlay: Overlay, spec: DeviceSpec, device: MsixDevice, vectors: int) -> None:
    """Give configuration changes and queues of a virtio device the vectors that are asked."""
    virtio = device.virtio
    if virtio is None:
        if spec.config_vector is not None or spec.queue_vectors:
            raise UsageError(f"{spec.named('name')}: {device.name} is no virtio device that can be read")
        return
    blob = device.offset - virtio.msix_offset
    asked = [("--config-vector", blob + virtio.config_vector_offset, spec.config_vector)]
    for queue, vector in spec.queue_vectors:
        if queue >= len(virtio.queues):
            raise UsageError("--queue-vector", expected=f"a queue below {len(virtio.queues)}", found=queue)
        asked.append(("--queue-vector", blob + virtio.queue_offset(queue, "vector"), vector))
    for option, at, wanted in asked:
        if wanted is not None:
            if wanted >= vectors and wanted != NO_VECTOR:
                raise UsageError(option, expected=f"a vector from 0 to {vectors - 1}, or none", found=wanted)
            overlay.patch(at, build(VECTOR, wanted, what=option))


def _check_users(spec: DeviceSpec, device: MsixDevice, vectors: int) -> None:
    """Refuse to take away a vector that a virtio device uses: QEMU would refuse the stream."""
    config = device.config_vector if spec.config_vector is None else spec.config_vector
    users = [("configuration changes", "--config-vector none", config)]
    asked = dict(spec.queue_vectors)
    users += [
        (f"queue {number}", f"--queue-vector {number}=none", asked.get(number, vector))
        for number, vector in enumerate(device.queue_vectors)
    ]
    used = [(who, way, vector) for who, way, vector in users if vector is not None and vector != NO_VECTOR]
    lost = [(who, way, vector) for who, way, vector in used if vector >= vectors]
    if lost:
        who, way, vector = lost[0]
        others = f" (and {len(lost) - 1} more like it)" if len(lost) > 1 else ""
        raise UsageError(
            f"{spec.named('vectors')}: vector {vector} is that of {who} of {device.name}{others}",
            expected=f"{max(v for _, _, v in lost) + 1} vectors or more, or {way}",
            found=vectors,
        )


def _no_config(spec: DeviceSpec, device: MsixDevice, key: str) -> UsageError:
    return UsageError(f"{spec.named(key)}: the stream does not hold the configuration space of {device.name}")


def _place_word(place: BarPlace, asked: PlaceSpec) -> int:
    """A Table or PBA register of the capability."""
    bar = place.bar if asked.bar is None else asked.bar
    offset = place.offset if asked.offset is None else asked.offset
    return offset | bar


def _bridge_path(name: str) -> str | None:
    """The device path of the bridge above a device, or None for one on a root bus."""
    path = Idstr(name).path
    above = path.rpartition(":")[0]
    return above if "." in above else None


def _outside(change: Replacement, ranges: Iterable[Replacement]) -> Iterator[Replacement]:
    """The parts of a change that keep their place beside what changes in size, in order."""
    start = change.start
    for each in ranges:
        if each.end <= start or change.end <= each.start:
            continue
        if start < each.start:
            yield Replacement(
                start, each.start, change.data[start - change.start : each.start - change.start]
            )
        start = max(start, each.end)
    if start < change.end:
        yield Replacement(start, change.end, change.data[start - change.start :])
