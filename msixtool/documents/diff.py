"""The JSON document of `diff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from msixtool.documents import Document, Origin
from msixtool.tasks.diff import Change, DeviceView
from msixtool.tasks.diff_fields import FieldChange
from msixtool.tasks.ram_digest import BlockDigest, RamChange


def diff_document(
    a: Origin,
    b: Origin,
    changes: Sequence[Change],
    *,
    equal: bool,
    damage: Sequence[str],
    fields: Sequence[FieldChange] | None = None,
    moving: Sequence[FieldChange] = (),
    ram: Sequence[RamChange] | None = None,
) -> Document:
    """`msixtool.diff/1`. `fields`, `moving` and `ram` are there where they were compared."""
    document = {
        "schema": "msixtool.diff/1",
        "source": a.document(),
        "target": b.document(),
        "equal": equal,
        "changes": [change_document(change) for change in changes],
    }
    if fields is not None:
        document["fields"] = [field_document(change) for change in fields]
        document["moving"] = [field_document(change) for change in moving]
    if ram is not None:
        document["ram"] = [
            {"block": change.name, "a": _block(change.a), "b": _block(change.b)} for change in ram
        ]
    return {**document, "damage": list(damage)}


def change_document(change: Change) -> Document:
    """One change of a device or of a vector; of a device that one side lacks, the other side's."""
    return {
        "device": change.device,
        "instance": change.instance,
        "field": change.field,
        "vector": change.vector,
        "a": _value(change.a),
        "b": _value(change.b),
    }


def field_document(change: FieldChange) -> Document:
    """One change of a vmstate field; `field` is null for the section as a whole."""
    return {
        "section": change.section,
        "instance": change.instance,
        "field": change.field,
        "offset": change.offset,
        "a": change.a,
        "b": change.b,
    }


def _value(value: Any) -> Any:
    if isinstance(value, DeviceView):
        return {"name": value.name, "instance": value.instance, "vectors": value.state.vectors}
    return value


def _block(block: BlockDigest | None) -> Document | None:
    return None if block is None else asdict(block)
