"""A construct schema as fields of a vmdesc: what QEMU would say of bytes that its own vmdesc leaves out.

Source: QEMU migration/vmstate.c (vmsd_desc_field_start), for the form of a field.
"""

from __future__ import annotations

from typing import Any

from construct import Array, Bytes, Const, FormatField, IfThenElse, RepeatUntil, SizeofError, Struct

_INTEGERS = {"b": "int8", "h": "int16", "l": "int32", "q": "int64"}


def struct_field(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A field of type struct that has `fields` inside."""
    size = sum(entry["size"] * entry.get("array_len", 1) for entry in fields)
    return {"name": name, "type": "struct", "struct": {"fields": fields}, "size": size}


def fields_of(schema: Any, value: Any = None) -> list[dict[str, Any]]:
    """The members of a construct Struct as fields of a vmdesc.

    `value` is what was parsed: lengths that are not the schema's, and what is there at all, come from it. It
    may be None for a schema of fixed size.
    """
    found: list[dict[str, Any]] = []
    for member in schema.subcons:
        name = str(member.name)
        found += _members(name, member.subcon, None if value is None else value[name])
    return found


def _members(name: str, schema: Any, value: Any) -> list[dict[str, Any]]:
    """What one member of a Struct is: a field, none, or one for each element of unlike ones."""
    if isinstance(schema, IfThenElse):
        return [] if value is None else _members(name, schema.thensubcon, value)
    if isinstance(schema, RepeatUntil) or (isinstance(schema, Array) and not is_fixed(schema.subcon)):
        return [
            {**_field(name, schema.subcon, element), "index": index} for index, element in enumerate(value)
        ]
    return [_field(name, schema, value)]


def is_fixed(schema: Any) -> bool:
    """Whether a schema has the same size whatever it parses."""
    try:
        schema.sizeof()
    except SizeofError:
        return False
    return True


def _field(name: str, schema: Any, value: Any) -> dict[str, Any]:
    if isinstance(schema, Const):
        schema = schema.subcon
    if isinstance(schema, Array):
        count = schema.count if value is None else len(value)
        return {**_field(name, schema.subcon, None), "array_len": count}
    if isinstance(schema, Struct):
        return struct_field(name, fields_of(schema, value))
    if isinstance(schema, Bytes):
        return {"name": name, "type": "buffer", "size": schema.length if value is None else len(value)}
    assert isinstance(schema, FormatField)
    code = schema.fmtstr[1]
    type_name = _INTEGERS[code.lower()]
    return {"name": name, "type": type_name if code.islower() else f"u{type_name}", "size": schema.length}
