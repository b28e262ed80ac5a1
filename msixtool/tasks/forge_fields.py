"""Setting vmstate fields by SECTION/PATH, the paths being those of `fields`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msixtool.dump import Dump, matches
from msixtool.errors import FormatError, UsageError
from msixtool.stream.items import Item
from msixtool.stream.rewrite import Overlay
from msixtool.tasks.fields import Section, encode, find, read_section

_SHOWN = 200


def set_fields(overlay: Overlay, dump: Dump, fields: Mapping[str, Any]) -> None:
    """Change every field of `fields`, values by `SECTION/PATH`, in `overlay`, which lies over `dump`.

    Raises UsageError, naming the key, where there is no such field or the value does not fit it.
    """
    sections: dict[int, Section] = {}
    for key, value in fields.items():
        try:
            section, path = find_section(dump, key, sections)
            leaf = find(section, path)
            overlay.patch(section.item.data_offset + leaf.offset, encode(leaf, value))
        except (UsageError, FormatError) as error:
            what = f"fields: {key[:_SHOWN]}: {error.what}"
            raise UsageError(what, expected=error.expected, found=error.found) from None


def find_section(dump: Dump, key: str, sections: dict[int, Section]) -> tuple[Section, str]:
    """The section that a key names, and the path that is left. Raises UsageError unless there is just one."""
    splits = [(key[: slash.start()], key[slash.end() :]) for slash in re.finditer("/", key)]
    items = list(dump.index.full_sections())
    named = [(item, path) for name, path in splits for item in items if name in _names(item)]
    named = named or [
        (item, path)
        for name, path in splits
        for item in items
        if matches(name, str(item.idstr), item.instance_id or 0)
    ]
    if len(named) != 1:
        listed = ", ".join(_names(item)[1] for item, _ in (named or [(item, "") for item in items])[:12])
        what = "several sections have this name" if named else "no such section"
        raise UsageError(what, expected=f"SECTION/PATH with one of {listed or 'none: there are none'}")
    item, path = named[0]
    if item.offset not in sections:
        sections[item.offset] = read_section(dump, item)
    section = sections[item.offset]
    if section.damage is not None:
        raise UsageError(section.damage.message)
    return section, path


def _names(item: Item) -> tuple[str, str]:
    return str(item.idstr), f"{item.idstr}@{item.instance_id or 0}"
