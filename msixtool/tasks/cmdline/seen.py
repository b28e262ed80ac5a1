"""A section as the kinds of devices look at it: configuration space, fields, RAM blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msixtool.devices import virtio_layout
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.virtio import config_size
from msixtool.dump import Dump
from msixtool.errors import MsixtoolError
from msixtool.formats import pci
from msixtool.qemu.kinds.seen import VirtioSeen
from msixtool.qemu.versions import Version
from msixtool.stream.description import objects
from msixtool.stream.items import Item
from msixtool.tasks.fields import MAX_SECTION, description_of, read_section

_HOP = r"[0-9a-f]{2}\.[0-7]"
PCI_PATH = re.compile(rf"([0-9a-f]{{4}}):([0-9a-f]{{2}})((?::{_HOP})+)")
"""Domain, number of the root bus, and a hop for each bus down to the device."""

_AT_REST = 16
"""Bytes of a section that a PCIDevice takes besides configuration space: version and four levels."""


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
                at = ringsize.body + 4 * index
                size = int.from_bytes(self.layout.data[at : at + 4], "big") or size
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

    dump: Dump
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
        data = self.dump.source.read(self.item.data_offset, min(self.length, pci.EXPRESS_CONFIG_SIZE + 4))
        size = _config_length(description_of(self.dump, self.item)) or config_size(data[4:])
        return data[4 : 4 + size]

    @cached_property
    def _space(self) -> ConfigSpace:
        return ConfigSpace(self.config)

    @cached_property
    def virtio(self) -> VirtioSeen | None:
        if not self.is_pci or self.length > MAX_SECTION:
            return None
        data = self.dump.source.read(self.item.data_offset, self.length)
        layout = virtio_layout.read(data, self.kind)
        return None if layout is None else Virtio(layout)

    @property
    def highest_port(self) -> int:
        own = f"{self.path}/"
        names = (str(item.idstr) for item in self.dump.index.full_sections())
        used = (
            name.removeprefix(own).partition("/")[0].partition(".")[0]
            for name in names
            if name.startswith(own)
        )
        return max((int(port) for port in used if port.isdecimal() and len(port) < 4), default=0)

    def capability(self, number: int) -> int | None:
        return self._space.find(number)

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
        description = description_of(self.dump, self.item) or {}
        found = [each for each in objects(description, "fields") if each.get("name") == name]
        if not found:
            return None
        markers = [each for each in found if each.get("type") in ("ptr-marker", "nullptr")]
        return sum(_length(each) for each in markers or found)

    def tail(self, count: int) -> bytes:
        description = description_of(self.dump, self.item) or {}
        sizes = [each.get("size") for each in objects(description, "fields") if each.get("type") == "virtio"]
        if not sizes or not isinstance(sizes[0], int) or not 0 <= sizes[0] <= self.length:
            return b""
        return self.dump.source.read(self.item.data_offset + sizes[0], min(count, self.length - sizes[0]))

    def beside(self, section: str, path: str) -> object:
        name = f"{self.path}/{section}"
        found = (item for item in self.dump.index.full_sections() if item.idstr == name)
        item = next(found, None)
        return None if item is None else SeenDevice(self.dump, item, self.version, self.machine).value(path)

    def block(self, name: str) -> int | None:
        blocks = {block.idstr: block.used_length for block in self.dump.index.blocks}
        # Machine types before 2.12 gave a display's memory no path.
        return blocks.get(f"{self.path}/{name}", blocks.get(name))


def _config_length(described: dict[str, Any] | None, depth: int = 8) -> int | None:
    """Bytes of configuration space by the vmdesc: some have 4096 on any bus."""
    for each in objects(described or {}, "fields"):
        if each.get("type") == "pci config":
            return pci.EXPRESS_CONFIG_SIZE if each.get("size") == pci.EXPRESS_CONFIG_SIZE else None
        inner = each.get("struct", each)
        if depth and isinstance(inner, dict) and "fields" in inner:
            found = _config_length(inner, depth - 1)
            if found:
                return found
    return None


def _length(described: dict[str, Any]) -> int:
    length = described.get("array_len", 1)
    return length if isinstance(length, int) else 1


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
