"""The vmdesc of one stream, found from the end. What it says of a section is in formats/described.py.

Source: QEMU migration/savevm.c, qemu_savevm_state_complete_precopy_non_iterable: byte 0x06,
a 32-bit length, JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any
from weakref import WeakValueDictionary

from msixtool.containers.base import Source
from msixtool.errors import FormatError
from msixtool.formats import qevm, vmdesc, vmstate
from msixtool.formats.described import Described
from msixtool.kept import NamedTuple, cached_property

MAX_VMDESC_SIZE = 1 << 24
"""The longest vmdesc that is looked at, in bytes; real ones have some 60 KiB to a few MiB."""
MAX_OBJECTS = 1 << 18
"""The most objects and lists that a vmdesc is believed to hold; real ones have some 10^3 to 10^5."""
MAX_VMDESC_VALUES = 1 << 20
"""The most values besides, by the commas before them: a byte of text may be 30 in memory."""
MAX_VMDESC_DEPTH = 64
"""The deepest nesting that is believed, of JSON objects and lists; real ones reach some 20."""
KEPT_SIZE = 1 << 19
"""The longest text, in bytes, of which what it says is kept for the next stream with the same text."""
_KEPT = 8
_TAIL = 1 << 17


class Contents:
    """What the text of a vmdesc says. It stands for equal texts of many streams: nobody changes it."""

    def __init__(self, document: vmdesc.VmdescObject) -> None:
        self.document = document

    @cached_property
    def page_size(self) -> int | None:
        """The target's page size in bytes, or None where it makes no sense."""
        size = self.document.get("page_size")
        return size if isinstance(size, int) and size in qevm.PAGE_SIZES else None

    @cached_property
    def devices(self) -> tuple[Described, ...]:
        """The layout of each FULL section, in stream order; entries that are no objects left out."""
        return tuple(Described(each) for each in self.document["devices"] if isinstance(each, dict))  # type: ignore[arg-type]

    def replaced(self, others: Mapping[int, Described]) -> vmdesc.VmdescObject:
        """The document with other layouts in place of those of `devices`, by their number there."""
        by_object = {id(self.devices[number].described): each.described for number, each in others.items()}
        devices = [by_object.get(id(each), each) for each in self.document["devices"]]
        return {**self.document, "devices": devices}  # type: ignore[typeddict-item]

    @cached_property
    def entries(self) -> dict[tuple[str, int], Described]:
        """The layouts by idstr and instance_id; of duplicates the first."""
        return {(layout.idstr, layout.instance_id): layout for layout in reversed(self.devices)}

    @cached_property
    def array_styles(self) -> frozenset[str]:
        """How arrays are spelt whose elements differ, and the types that NULL pointers are given."""
        found: set[str] = set()
        for layout in self.devices:
            types = layout.plain_types
            if types is not None and types.isdisjoint(_TELLING):
                continue
            for fields in layout.field_objects():
                kinds = {str(field.get("type")) for field in fields}
                found |= kinds & vmstate.NULL_TYPES
                if vmstate.STRUCT in kinds:
                    found |= set(_array_styles(fields))
        return frozenset(found)


class Vmdesc(NamedTuple):
    """A vmdesc and where it stands: `offset` of its 0x06, `text` the JSON behind its header."""

    offset: int
    text: bytes
    contents: Contents

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + qevm.VMDESC_HEADER_SIZE + len(self.text)

    def __repr__(self) -> str:
        return f"<Vmdesc: {len(self.text)} bytes at {self.offset:#x}>"

    @property
    def document(self) -> vmdesc.VmdescObject:
        """The JSON as it stands there."""
        return self.contents.document


def find_vmdesc(source: Source) -> Vmdesc | None:
    """The vmdesc at the end of a stream, found without walking it; None where there is none.

    Bytes may follow it (a container may round up); JSON holds no NUL, so that the last
    end marker with a vmdesc header behind it is the one. Raises FormatError where there is a
    header and the JSON behind it is damaged.
    """
    size = source.size
    reach = _TAIL
    while True:
        start = max(0, size - reach)
        tail = source.read(start, size - start)
        header = _last_header(tail)
        if header is not None:
            return _parse(tail, start, header)
        # An unbroken run of text up to here may be the end of a longer vmdesc.
        if start == 0 or reach >= MAX_VMDESC_SIZE or b"\0" in tail.rstrip(b"\0")[-_TAIL:]:
            return None
        reach = min(8 * reach, MAX_VMDESC_SIZE)


def _last_header(tail: bytes) -> int | None:
    """Where in `tail` the last 0x06 stands with a length that fits and a brace behind it."""
    position = len(tail)
    while (position := tail.rfind(b"\x06", 0, position)) >= 0:
        body = position + qevm.VMDESC_HEADER_SIZE
        if tail[body : body + 1] == b"{" and 2 <= qevm.vmdesc_length(tail, position) <= len(tail) - body:
            return position
    return None


def _parse(tail: bytes, start: int, header: int) -> Vmdesc:
    body = header + qevm.VMDESC_HEADER_SIZE
    text = tail[body : body + qevm.vmdesc_length(tail, header)]
    return vmdesc_of(text, start + header)


def vmdesc_of(text: bytes, offset: int) -> Vmdesc:
    """The vmdesc whose 0x06 stands at `offset`. Raises FormatError where it is damaged."""
    try:
        contents = _kept(text) if len(text) <= KEPT_SIZE else _shared(text)
    except FormatError as error:
        raise error.at(offset=offset) from None
    return Vmdesc(offset, text, contents)


def _contents(text: bytes) -> Contents:
    objects = text.count(b"{") + text.count(b"[")
    if objects > MAX_OBJECTS:
        raise FormatError("vmdesc", expected=f"at most {MAX_OBJECTS} objects", found=objects)
    values = text.count(b",")
    if values > MAX_VMDESC_VALUES:
        raise FormatError("vmdesc", expected=f"at most {MAX_VMDESC_VALUES} values", found=values)
    document = vmdesc.document_of(text)
    if _depth(document) > MAX_VMDESC_DEPTH:
        raise FormatError("vmdesc", expected=f"at most {MAX_VMDESC_DEPTH} levels of nesting")
    return Contents(document)


_kept = lru_cache(_KEPT)(_contents)
"""Machines alike have the same text: what it says is worked out once for a fleet of them."""
_in_use: WeakValueDictionary[bytes, Contents] = WeakValueDictionary()


def _shared(text: bytes) -> Contents:
    """Of longer texts: what two open streams say alike is worked out once, and forgotten with them."""
    found = _in_use.get(text)
    if found is None:
        found = _in_use[text] = _contents(text)
    return found


_TELLING = vmstate.NULL_TYPES | {vmstate.STRUCT}
_CONTAINERS = frozenset((dict, list, vmdesc.RepeatedNames))


def _depth(document: Any) -> int:
    """How deep objects and lists are nested, as far as MAX_DEPTH and one more."""
    level: list[Any] = [document]
    depth = 0
    while level and depth <= MAX_VMDESC_DEPTH:
        depth += 1
        level = [each for each in chain.from_iterable(map(_inside, level)) if type(each) in _CONTAINERS]
    return depth


def _inside(value: Any) -> Any:
    """The values in an object or list, those under repeated names too."""
    if isinstance(value, vmdesc.RepeatedNames):
        return [item for _, item in value.pairs]
    return value.values() if isinstance(value, dict) else value


def _array_styles(fields: list[dict[str, Any]]) -> Iterator[str]:
    last = {str(field.get("name")): field for field in fields}
    for before, field in pairwise(fields):
        name = str(field.get("name"))
        if str(before.get("name")) == name and field.get("type") == vmstate.STRUCT:
            if "index" not in before:
                yield "none"
            elif "index" in field:
                yield "all" if last[name] is field else "more"
            else:
                yield "all but last"
