"""A section as the kinds of devices look at it: configuration space, fields, RAM blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msixtool.devices import virtio_layout
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.places import places_of
from msixtool.devices.virtio import config_size
from msixtool.dump import OpenDump
from msixtool.errors import FormatError, MsixtoolError
from msixtool.formats import capabilities, parse, pci, sizeof, virtio as fmt, vmstate
from msixtool.formats.qevm import ItemType
from msixtool.qemu.kinds.seen import VirtioSeen
from msixtool.qemu.versions import Version
from msixtool.stream.items import Item
from msixtool.tasks.fields import MAX_SECTION, read_section, section_layout

_HOP = r"[0-9a-f]{2}\.[0-7]"
PCI_PATH = re.compile(rf"([0-9a-f]{{4}}:[0-9a-f]{{2}}|pci@[0-9a-f]{{1,16}})((?::{_HOP})+)")
"""The root bus, and a hop for each bus down to the device. A root is its domain and number, on pseries
the address of its host bridge."""
VIO_PATH = re.compile(r"[a-z-]+@([0-9a-f]{8})")
"""The address of a device on pseries' own bus."""
MMIO_PATH = re.compile(r"virtio-mmio@([0-9a-f]{16})")
"""The address of a virtio transport that is not on PCI."""


@dataclass(frozen=True)
class Virtio:
    """`VirtioSeen` of a blob."""

    layout: virtio_layout.VirtioLayout

    @property
    def vectors(self) -> int:
        return self.layout.state.vectors

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        ringsize = self.layout.subsection("virtio/ringsize")
        sizes = []
        for index, queue in enumerate(self.layout.state.queues):
            size = queue.num
            if ringsize is not None:
                at = ringsize.body + sizeof(fmt.RING_SIZE) * index
                size = parse(fmt.RING_SIZE, self.layout.data[at:], what="virtio/ringsize") or size
            sizes.append(size)
        return tuple(sizes)

    @property
    def features(self) -> int:
        return self.layout.features

    @property
    def device_config(self) -> bytes:
        return bytes(self.layout.state.core.config)

    def has(self, subsection: str) -> bool:
        return self.layout.subsection(subsection) is not None

    def own(self, name: str) -> object:
        part = self.layout.own
        if part is None or part.value is None:
            return None
        found: Any = part.value
        for step in name.split("/"):
            found = None if found is None else found.get(step)
        return found


@dataclass
class SeenDevice:
    """`Seen` of a section. `path` is the part of the idstr before its last slash."""

    dump: OpenDump
    item: Item
    version: Version
    machine: Version | None
    behind_port: bool = False
    _values: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        return self.item.named.path

    @property
    def kind(self) -> str:
        return self.item.named.kind

    @property
    def is_pci(self) -> bool:
        return PCI_PATH.fullmatch(self.path) is not None

    @property
    def length(self) -> int:
        return self.item.data_length

    @cached_property
    def config(self) -> bytes:
        if not self.is_pci or self.length < pci.device_vmstate_size(pci.CONFIG_SIZE):
            return b""
        data = self.dump.source.read(
            self.item.data_offset, min(self.length, pci.CONFIG_OFFSET + pci.EXPRESS_CONFIG_SIZE)
        )
        try:
            size = places_of(self.dump.source, self.item).config_size
        except FormatError:
            size = 0
        config = data[pci.CONFIG_OFFSET :]
        return config[: size if size == pci.EXPRESS_CONFIG_SIZE else config_size(config)]

    @cached_property
    def _space(self) -> ConfigSpace:
        return ConfigSpace(self.config)

    @cached_property
    def virtio(self) -> VirtioSeen | None:
        on_mmio = MMIO_PATH.fullmatch(self.path) is not None
        if not (self.is_pci or on_mmio) or self.length > MAX_SECTION:
            return None
        data = self.dump.source.read(self.item.data_offset, self.length)
        layout = virtio_layout.read_blob(data, self.kind, on_mmio=on_mmio)
        return None if layout is None else Virtio(layout)

    @property
    def highest_port(self) -> int:
        own = len(self.path) + 1
        names = self.dump.names_below(self.path)
        used = (name[own:].partition("/")[0].partition(".")[0] for name in names)
        return max((int(port) for port in used if port.isdecimal() and len(port) < 4), default=0)

    def capability(self, number: int) -> int | None:
        return self._space.find(number)

    def register(self, capability: int, name: str) -> int | None:
        at = self.capability(capability)
        schema = capabilities.SCHEMAS[capability]
        return None if at is None else capabilities.capability_value(schema, name, self.config, at)

    def capabilities(self, number: int) -> Iterator[int]:
        return (each.offset for each in self._space.capabilities if each.id == number)

    def extended(self, number: int) -> int | None:
        found = (each.offset for each in self._space.extended_capabilities if each.id == number)
        return next(found, None)

    def value(self, path: str) -> object:
        if self._values is None:
            try:
                self._values = read_section(self.dump, self.item).values()
            except MsixtoolError:
                self._values = {}
        return _member(self._values, path.split("/"))

    def elements(self, name: str) -> int | None:
        layout = section_layout(self.dump, self.item)
        found = [each for each in layout.known_fields if each.name == name] if layout is not None else []
        markers = [each for each in found if each.type in vmstate.NULL_TYPES]
        return sum(each.elements for each in markers or found) if found else None

    def tail(self, count: int) -> bytes:
        layout = section_layout(self.dump, self.item)
        fields = layout.known_fields if layout is not None else ()
        end = next((each.size for each in fields if each.type == vmstate.VIRTIO_BLOB), None)
        if end is None or end > self.length:
            return b""
        return self.dump.source.read(self.item.data_offset + end, min(count, self.length - end))

    def beside(self, section: str, path: str) -> object:
        found = self.dump.by_name.get(f"{self.path}/{section}", ())
        item = next((item for item in found if item.type == ItemType.SECTION_FULL), None)
        return None if item is None else SeenDevice(self.dump, item, self.version, self.machine).value(path)

    def block(self, name: str) -> int | None:
        blocks = self.dump.blocks
        # Machine types before 2.12 gave a display's memory no path.
        found = blocks.get(f"{self.path}/{name}", blocks.get(name))
        return None if found is None else found.used_length


def _member(values: object, path: list[str]) -> object:
    """What is at `path`, at any depth below: nesting has changed between releases, names have not."""
    if not isinstance(values, dict):
        return None
    if path[0] in values:
        found = values[path[0]]
        return found if len(path) == 1 else _member(found, path[1:])
    for inner in values.values():
        found = _member(inner, path)
        if found is not None:
            return found
    return None
