"""What the stream itself says of a failure: the section that a log names, and its configuration space."""

from __future__ import annotations

from functools import cached_property

from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.places import config_space
from msixtool.dump import OpenDump
from msixtool.errors import FormatError
from msixtool.kept import NamedTuple
from msixtool.qemu.kinds.facts import Capabilities
from msixtool.stream.items import DamageRule, Item
from msixtool.tasks.finding import Code, Finding
from msixtool.tasks.refusals import refusals

MOST_NAMED = 6


class Holders(NamedTuple):
    """How many sections have something, and the names of the first MOST_NAMED."""

    number: int
    names: tuple[str, ...]


NOBODY = Holders(0, ())


class StreamAtHand:
    """A stream that QEMU refused, or one of the same VM."""

    def __init__(self, dump: OpenDump) -> None:
        self.dump = dump
        self._holders: dict[int, dict[int, Holders]] = {}
        """Of each offset that was asked for, by the byte there."""

    def section(self, idstr: str, instance: int | None = None) -> Item | None:
        """The section of this name, and of this instance_id where one is given."""
        found = self.dump.by_name.get(idstr, ())
        return next((item for item in found if instance in (None, item.instance_id)), None)

    def config(self, idstr: str) -> bytes | None:
        """The configuration space in a section, 256 or 4096 bytes; None where it has none."""
        item = self.section(idstr)
        return None if item is None else self._config(item)

    def subsections(self, idstr: str) -> list[str]:
        """The subsections that the stream's own list gives a section, those of what is nested in it too."""
        item = self.section(idstr)
        return [] if item is None or item.layout is None else list(item.layout.subsection_names())

    def with_byte(self, offset: int, value: int) -> Holders:
        """The sections whose configuration space has this byte at this offset, which a log may ask again."""
        if offset not in self._holders:
            found: dict[int, Holders] = {}
            for name, config in self._configs:
                for byte in config[offset : offset + 1]:
                    known = found.get(byte, NOBODY)
                    found[byte] = Holders(known.number + 1, (*known.names, name)[:MOST_NAMED])
            self._holders[offset] = found
        return self._holders[offset].get(value, NOBODY)

    def refusal(self, section: str, code: Code) -> Finding | None:
        """What in the stream itself makes every QEMU refuse this section, by `code`."""
        return self._refusals.get((section, code))

    @cached_property
    def cut(self) -> str | None:
        """Where the stream ends too early; None for one that does not."""
        ends = (DamageRule.TRUNCATED, DamageRule.NO_END_MARKER)
        return next((damage.text for damage in self.dump.damage if damage.rule in ends), None)

    @cached_property
    def _refusals(self) -> dict[tuple[str | None, Code], Finding]:
        """Of several of a section by one code the first."""
        return {(found.section, found.code): found for found in reversed(refusals(self.dump))}

    @cached_property
    def _configs(self) -> list[tuple[str, bytes]]:
        found = ((str(item.idstr), self._config(item)) for item in self.dump.index.full_sections())
        return [(name, config) for name, config in found if config is not None]

    def _config(self, item: Item) -> bytes | None:
        try:
            space = config_space(self.dump.source, item)
        except FormatError:
            return None
        return None if space is None else space.data


def layout_of(config: bytes) -> Capabilities:
    """Where a configuration space has its capabilities, by its own lists."""
    space = ConfigSpace(config)
    return Capabilities(space.capabilities, space.extended_capabilities, space.header.layout)
