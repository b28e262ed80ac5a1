"""Setting vmstate fields by SECTION/PATH, the paths being those of `fields`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msixtool.dump import OpenDump, matches
from msixtool.errors import FormatError, UsageError
from msixtool.stream.items import Item
from msixtool.stream.rewrite import Overlay
from msixtool.tasks.fields import Section, find, leaf_bytes, read_section

_SHOWN = 200


def set_fields(overlay: Overlay, dump: OpenDump, fields: Mapping[str, Any]) -> None:
    """Change every field of `fields`, values by `SECTION/PATH`, in `overlay`, which lies over `dump`.

    Raises UsageError, naming the key, where there is no such field or the value does not fit it.
    """
    sections = Sections(dump)
    for key, value in fields.items():
        try:
            section, path = find_section(sections, key)
            leaf = find(section, path)
            overlay.patch(section.item.data_offset + leaf.offset, leaf_bytes(leaf, value))
        except (UsageError, FormatError) as error:
            what = f"fields: {key[:_SHOWN]}: {error.what}"
            raise UsageError(what, expected=error.expected, found=error.found) from None


class Sections:
    """The sections of a stream by their names, each read once."""

    def __init__(self, dump: OpenDump) -> None:
        self.dump = dump
        self.items = list(dump.index.full_sections())
        self._read: dict[int, Section] = {}

    @cached_property
    def by_name(self) -> dict[str, list[Item]]:
        """Those that go by a name: an idstr, or NAME@INSTANCE."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            for name in _names(item):
                found.setdefault(name, []).append(item)
        return found

    def read(self, item: Item) -> Section:
        """The section, decoded."""
        if item.offset not in self._read:
            self._read[item.offset] = read_section(self.dump, item)
        return self._read[item.offset]


def find_section(sections: Sections, key: str) -> tuple[Section, str]:
    """The section that a key names, and the path that is left. Raises UsageError unless there is just one."""
    splits = [(key[: slash.start()], key[slash.end() :]) for slash in re.finditer("/", key)]
    items = sections.items
    named = [(item, path) for name, path in splits for item in sections.by_name.get(name, ())]
    named = named or [(item, path) for name, path in splits for item in items if matches(name, *item.key)]
    if len(named) != 1:
        listed = ", ".join(_names(item)[1] for item, _ in (named or [(item, "") for item in items])[:12])
        what = "several sections have this name" if named else "no such section"
        raise UsageError(what, expected=f"SECTION/PATH with one of {listed or 'none: there are none'}")
    item, path = named[0]
    section = sections.read(item)
    if section.damage is not None:
        raise UsageError(section.damage.message)
    return section, path


def _names(item: Item) -> tuple[str, str]:
    return str(item.idstr), f"{item.idstr}@{item.instance_id or 0}"
