"""Differences in words, one line a device."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msixtool.errors import with_instance
from msixtool.formats import msix as fmt
from msixtool.formats.idstr import Idstr
from msixtool.library.comparing import VECTOR_COUNT, WHOLE_CAPABILITY, WHOLE_DEVICE, WHOLE_PBA
from msixtool.words import number_ranges, plural

if TYPE_CHECKING:
    from msixtool import BlockDigest, Change, DeviceView, FieldChange, RamChange

ADDED, REMOVED, CHANGED = "added", "removed", "changed"

_KNOWN_CONTROL = fmt.CONTROL_ENABLE | fmt.CONTROL_FUNCTION_MASK | fmt.CONTROL_QSIZE
_SHOWN = 48
"""Characters of a field's value that are shown."""


@dataclass(slots=True)
class DiffLine:
    """What differs in one device: `name` is the shortest that is clear."""

    name: str
    tone: str = CHANGED
    clauses: list[str] = field(default_factory=list)


def device_lines(changes: Sequence[Change], devices: Iterable[DeviceView]) -> list[DiffLine]:
    """One line a device that differs. `devices` are all that were compared, of both sides."""
    kinds: dict[str, set[tuple[str, int]]] = {}
    for side in devices:
        kinds.setdefault(Idstr(side.name).kind, set()).add((side.name, side.instance))
    grouped: dict[tuple[str, int], list[Change]] = {}
    for change in changes:
        grouped.setdefault((change.device, change.instance), []).append(change)
    lines = []
    for (name, instance), group in grouped.items():
        alone = len(kinds.get(Idstr(name).kind, ())) < 2
        shown = Idstr(name).kind if alone else with_instance(name, instance)
        lines.append(_line(shown, group))
    return lines


def _line(name: str, changes: list[Change]) -> DiffLine:
    whole = next((change for change in changes if change.field == WHOLE_DEVICE), None)
    if whole is not None:
        side = whole.a or whole.b
        return DiffLine(name, REMOVED if whole.b is None else ADDED, [plural(side.state.vectors, "vector")])
    clauses = [clause for change in changes if change.vector is None for clause in _device_clauses(change)]
    return DiffLine(name, CHANGED, [*clauses, *_vector_clauses(changes)])


def _device_clauses(change: Change) -> Iterator[str]:
    a, b = change.a, change.b
    if change.field == VECTOR_COUNT:
        yield f"{plural(a, 'vector')} → {b}"
    elif change.field == WHOLE_CAPABILITY:
        yield "capability " + ("not in B's stream" if b is None else "not in A's stream")
    elif change.field == "capability.control":
        # Its bits that have a name are changes of their own.
        if (a ^ b) & ~_KNOWN_CONTROL:
            yield f"Message Control {a:#06x} → {b:#06x}"
    elif change.field in ("capability.enabled", "bus_master"):
        what = "MSI-X" if change.field == "capability.enabled" else "bus master"
        yield f"{what} {_switch(a)} → {_switch(b)}"
    elif change.field == "capability.function_mask":
        yield f"function mask {'set' if b else 'cleared'}"
    elif change.field == "queue_vectors":
        yield from _queue_clauses(a, b)
    elif change.field == "config_vector":
        yield f"config vector {_vector(a)} → {_vector(b)}"
    elif change.field == WHOLE_PBA:
        yield f"pending bits beyond the last vector: bytes {a} → {b}"
    elif change.field.startswith("capability."):
        words = change.field.removeprefix("capability.").replace("pba", "pending bits").replace(".", " ")
        where = (
            "capability at" if words == "offset" else words.replace("bar", "in BAR").replace("offset", "at")
        )
        yield f"{where} {a:#x} → {b:#x}" if where.endswith("at") else f"{where} {a} → {b}"


def _switch(value: bool | None) -> str:
    return {True: "on", False: "off", None: "not in the stream"}[value]


def _vector(value: int | None) -> str:
    return "none" if value is None else str(value)


def _queue_clauses(a: list[int | None], b: list[int | None]) -> Iterator[str]:
    if len(a) != len(b):
        yield f"{plural(len(a), 'queue')} → {len(b)}"
    for queue, (old, new) in enumerate(zip(a, b, strict=False)):
        if old != new:
            yield f"queue {queue} vector {_vector(old)} → {_vector(new)}"


def _vector_clauses(changes: list[Change]) -> Iterator[str]:
    """What differs by vector: vectors that differ alike together, pending bits last."""
    words: dict[int, list[str]] = {}
    pending: dict[bool, list[int]] = {True: [], False: []}
    for change in changes:
        if change.vector is None:
            continue
        if change.field == "pending":
            pending[change.b].append(change.vector)
        else:
            entry = words.setdefault(change.vector, [])
            # What opens or stops a vector comes first.
            place = 0 if change.field == "masked" else len(entry)
            entry[place:place] = _entry_words(change)
    alike: dict[str, list[int]] = {}
    for vector, parts in words.items():
        alike.setdefault(" and ".join(parts), []).append(vector)
    for text, vectors in alike.items():
        yield f"vector{'s' * (len(vectors) > 1)} {number_ranges(vectors)} {text}"
    for state, word in ((True, "set"), (False, "cleared")):
        if pending[state]:
            yield f"pending {number_ranges(pending[state])} {word}"


def _entry_words(change: Change) -> Iterator[str]:
    a, b = change.a, change.b
    if change.field == "masked":
        yield "unmasked → masked" if b else "masked → unmasked"
    elif change.field != "control":
        yield f"{change.field} {a:#x} → {b:#x}"
    elif (a ^ b) & ~fmt.ENTRY_MASKED:
        yield f"Vector Control {a:#x} → {b:#x}"


def field_lines(changes: Sequence[FieldChange]) -> Iterator[tuple[str, str]]:
    """Each section once, then its changes: pairs of the section (or nothing) and the change in words."""
    section: tuple[str, int] | None = None
    for change in changes:
        key = (change.section, change.instance)
        if key != section:
            section = key
            yield with_instance(*key), ""
        yield "", _field_words(change)


def _field_words(change: FieldChange) -> str:
    if change.field is None:
        if change.b is None:
            return f"removed ({plural(change.a['length'], 'byte')})"
        if change.a is None:
            return f"added ({plural(change.b['length'], 'byte')})"
        return f"version {change.a['version']} → {change.b['version']}"
    place = "" if change.offset is None else f" at {change.offset:#x}"
    return f"{change.field}{place} {_shown(change.a)} → {_shown(change.b)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > 9:
        return f"{value:#x}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def ram_line(change: RamChange) -> str:
    """One RAM block that differs."""
    a, b = change.a, change.b
    if a is None or b is None:
        only = a or b
        assert only is not None
        return f"{change.name} {'removed' if b is None else 'added'} ({_block(only)})"
    if a.size != b.size:
        return f"{change.name} {_block(a)} → {_block(b)}"
    pages = f"{a.pages} → {b.pages} pages" if a.pages != b.pages else plural(a.pages, "page")
    doubt = "" if change.exact else " (or was sent in other XBZRLE deltas)"
    return f"{change.name} content differs{doubt}, {pages} not zero"


def _block(block: BlockDigest) -> str:
    return f"{plural(block.size, 'byte')}, {plural(block.pages, 'page')} not zero"
