"""The JSON document of `fields`, and the vmdesc as JSON text."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from msixtool.documents import Document, Origin
from msixtool.formats.vmdesc import RepeatedNames
from msixtool.tasks.fields import Section

_Each = TypeVar("_Each")


def fields_document(origin: Origin, sections: Iterable[Section]) -> Document:
    """`msixtool.fields/1`: the fields of each section, nested as vmdesc nests them.

    The sections may come one by one: their trees take more room than their values.
    """
    return _document(origin, sections, lambda document: document, list)


def fields_json(origin: Origin, sections: Iterable[Section]) -> list[str]:
    """`fields_document` as JSON on one line, in pieces: text takes a tenth of the room of the values."""
    pieces: list[str] = []
    for name, member in _document(origin, sections, _text, lambda texts: texts).items():
        pieces.append(f"{', ' if pieces else '{'}{_text(name)}: ")
        if name == "sections":
            pieces += ["[", *_joined(member), "]"]
        else:
            pieces.append(_text(member))
    return [*pieces, "}"]


def _joined(texts: list[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield ", " if number else ""
        yield text


def _document(
    origin: Origin,
    sections: Iterable[Section],
    each: Callable[[Document], _Each],
    collected: Callable[[list[_Each]], Any],
) -> Document:
    """The document, whose sections have gone through `each` one by one, and together through `collected`."""
    found, broken = [], []
    with _without_collector():
        for section in sections:
            found.append(each(section_fields_document(section, origin.base_offset)))
            broken += [str(section.damage)] if section.damage else []
    return {
        "schema": "msixtool.fields/1",
        "source": origin.document(),
        "sections": collected(found),
        "damage": [*origin.damage, *broken],
    }


_text = json.JSONEncoder(ensure_ascii=False).encode


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the cycle collector from going through 10^6 new objects again and again: none is in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def section_fields_document(section: Section, base_offset: int = 0) -> Document:
    """One section; offset and length in bytes, header and footer included."""
    item = section.item
    return {
        "name": section.name,
        "instance": section.instance,
        "id": item.section_id,
        "version": item.version_id,
        "offset": item.offset + base_offset,
        "length": item.length,
        "fields": section.values(),
    }


def description_text(value: Any, indent: int = 0) -> str:
    """A vmdesc, or a part of one, as indented JSON; names that repeat in one object all stay."""
    if isinstance(value, dict):
        pairs = value.pairs if isinstance(value, RepeatedNames) else list(value.items())
        lines = [f"{json.dumps(name)}: {description_text(item, indent + 2)}" for name, item in pairs]
        return _bracketed("{}", lines, indent)
    if isinstance(value, list):
        return _bracketed("[]", [description_text(item, indent + 2) for item in value], indent)
    return json.dumps(value)


def _bracketed(brackets: str, lines: list[str], indent: int) -> str:
    """A field object without anything nested is one line, so that it can be read."""
    flat = f"{brackets[0]}{', '.join(lines)}{brackets[1]}"
    if "\n" not in flat and len(flat) + indent <= 76:
        return flat
    pad = "\n" + " " * (indent + 2)
    return f"{brackets[0]}{pad}{(',' + pad).join(lines)}\n{' ' * indent}{brackets[1]}"
