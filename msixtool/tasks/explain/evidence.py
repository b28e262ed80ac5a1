"""What the stream itself says of a failure: the section that a log names, and its configuration space."""

from __future__ import annotations

from functools import cached_property

from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.device import kind_of
from msixtool.dump import Dump
from msixtool.errors import FormatError
from msixtool.formats import pci
from msixtool.qemu.config_places import Layout
from msixtool.stream import description as vmdesc
from msixtool.stream import items as kinds
from msixtool.stream.items import Item
from msixtool.tasks.finding import Code, Finding
from msixtool.tasks.refusals import refusals


class Evidence:
    """A stream that QEMU refused, or one of the same VM."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump

    def section(self, idstr: str, instance: int | None = None) -> Item | None:
        """The section of this name, and of this instance_id where one is given."""
        return next(
            (
                item
                for item in self.dump.index.items
                if item.type in (kinds.START, kinds.FULL)
                and item.idstr == idstr
                and instance in (None, item.instance_id)
            ),
            None,
        )

    def config(self, idstr: str) -> bytes | None:
        """The configuration space in a section, 256 or 4096 bytes; None where it has none."""
        item = self.section(idstr)
        return None if item is None else self._config(item)

    def with_byte(self, offset: int, value: int) -> list[str]:
        """The sections whose configuration space has this byte at this offset."""
        return [name for name, config in self._configs if config[offset : offset + 1] == bytes([value])]

    def refusal(self, section: str, code: Code) -> Finding | None:
        """What in the stream itself makes every QEMU refuse this section, by `code`."""
        return next(
            (found for found in self._refusals if (found.section, found.code) == (section, code)), None
        )

    @cached_property
    def _refusals(self) -> list[Finding]:
        return refusals(self.dump)

    @cached_property
    def _configs(self) -> list[tuple[str, bytes]]:
        found = ((str(item.idstr), self._config(item)) for item in self.dump.index.full_sections())
        return [(name, config) for name, config in found if config is not None]

    def _config(self, item: Item) -> bytes | None:
        for device in self.dump.devices:
            if device.item is item and device.config is not None:
                return device.config.data
        place = _place_of_config(item)
        if place is None:
            return None
        offset, size = place
        data = self.dump.source.read(item.data_offset + offset, size)
        return data if len(data) == size else None


def _place_of_config(item: Item) -> tuple[int, int] | None:
    """Where in a section's data its configuration space stands, and its size; by its vmdesc."""
    try:
        for placed in vmdesc.walk(item.description or {}):
            if placed.type == "pci config" and placed.size:
                return placed.offset, placed.size
            if placed.type == "virtio" and kind_of(str(item.idstr)) != item.idstr:
                return placed.offset + 4, pci.CONFIG_SIZE
    except FormatError:
        pass
    return None


def layout_of(config: bytes) -> Layout:
    """Where a configuration space has its capabilities, by its own lists."""
    space = ConfigSpace(config)
    return Layout(
        space.capabilities,
        space.extended_capabilities,
        config[0x0E] & pci.HEADER_TYPE_MASK,
    )
