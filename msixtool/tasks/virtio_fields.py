"""The inside of a virtio blob, described as a vmdesc would if QEMU's did.

Source: QEMU hw/virtio/virtio.c, virtio_save; the layouts are those of formats/virtio.py. Between the
queues and the subsections stands the state of the device type, whose length nothing tells: the
subsections are looked for, and believed where they lead exactly to the end of the blob.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from construct import Array, Bytes, Const, FormatField, Struct

from msixtool.devices import virtio
from msixtool.devices.config_space import MsixCapability
from msixtool.devices.virtio import VirtioState
from msixtool.errors import FormatError
from msixtool.formats import Buffer, msix, pci, sizeof
from msixtool.formats import virtio as fmt

DEVICE = "device"
"""The name under which the state of the device type is given, in hex."""

MAX_RECORDS = 256
"""The most subsections that are looked at, the last ones of the blob; QEMU writes 12 at most."""

_EXTRA_STATE = "virtio/extra_state"
_EXTRA_PREFIX = "virtio_pci/"
"""Subsections of the transport's own vmsd, which lies in extra_state."""

_RECORD = re.compile(rb"\x05([\x00-\xff])(virtio(?:_pci)?/[\x21-\x7e]+)", re.DOTALL)
_INTEGERS = {"b": "int8", "h": "int16", "l": "int32", "q": "int64"}


def describe(data: Buffer, capability: MsixCapability | None = None) -> dict[str, Any] | None:
    """A vmdesc of the blob `data`; None where it is none of a virtio-pci device.

    `capability` overrides what the capability list says, for lists that are damaged.
    """
    blob = bytes(data)
    try:
        state = virtio.read(blob, capability=capability)
    except FormatError:
        return None
    if not _is_pci_function(blob[: state.msix_offset]):
        return None
    config_size = len(state.config_space.data)
    records = _subsections(blob, state.end)
    tail = records[0].offset if records else len(blob)
    fields = _head(state, config_size)
    if tail > state.end:
        fields.append({"name": DEVICE, "type": "buffer", "size": tail - state.end})
    return {"vmsd_name": "virtio", "fields": fields, "subsections": _nested(records)}


def _is_pci_function(device: bytes) -> bool:
    """Whether a PCIDevice stands there: on other buses something else stands first."""
    levels = device[-4 * pci.INTX_PINS :]
    return (
        int.from_bytes(device[:4], "big") <= 2
        and device[4:6] not in (b"\0\0", b"\xff\xff")
        and all(levels[at : at + 4] in (b"\0\0\0\0", b"\0\0\0\1") for at in range(0, len(levels), 4))
    )


def _head(state: VirtioState, config_size: int) -> list[dict[str, Any]]:
    """PCIDevice, MSI-X, core and queues."""
    device = [
        {"name": "version_id", "type": "int32 le", "size": 4},
        {"name": "config", "type": "pci config", "size": config_size},
        {"name": "irq_state", "type": "pci irq state", "size": 4 * pci.INTX_PINS},
    ]
    fields: list[dict[str, Any]] = [_struct("pci", device)]
    queue = fmt.QUEUE
    if state.vectors:
        fields.append({"name": "msix", "type": "msix state", "size": msix.vmstate_size(state.vectors)})
        fields.append({"name": "config_vector", "type": "uint16", "size": 2})
        queue = fmt.QUEUE_WITH_VECTOR
    fields += _fields(fmt.CORE, state.core)
    return [*fields, {**_struct("queues", _fields(queue)), "array_len": len(state.queues)}]


def _struct(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    size = sum(entry["size"] * entry.get("array_len", 1) for entry in fields)
    return {"name": name, "type": "struct", "struct": {"fields": fields}, "size": size}


def _fields(schema: Any, context: Any = None) -> list[dict[str, Any]]:
    """The members of a construct Struct as fields of a vmdesc; `context` has what lengths depend on."""
    return [_field(str(member.name), member.subcon, context) for member in schema.subcons]


def _field(name: str, schema: Any, context: Any) -> dict[str, Any]:
    """One member as a field of a vmdesc."""
    if isinstance(schema, Const):
        schema = schema.subcon
    if isinstance(schema, Array):
        return {**_field(name, schema.subcon, context), "array_len": schema.count}
    if isinstance(schema, Struct):
        return _struct(name, _fields(schema))
    if isinstance(schema, Bytes):
        size = schema.length(context) if callable(schema.length) else schema.length
        return {"name": name, "type": "buffer", "size": size}
    assert isinstance(schema, FormatField)
    code = schema.fmtstr[1]
    type_name = _INTEGERS[code.lower()]
    return {"name": name, "type": type_name if code.islower() else f"u{type_name}", "size": schema.length}


@dataclass(slots=True)
class _Record:
    """One subsection: the offset of its 0x05, of its fields, and of what follows them."""

    name: str
    offset: int
    body: int
    end: int


def _subsections(blob: bytes, start: int) -> list[_Record]:
    """The subsections, nested ones among them, from the first at or behind `start` to the blob's end."""
    places = _places(blob, start)
    following: dict[int, int] = {}
    # From the last one back: which of them lead to the end.
    for offset in sorted(places, reverse=True):
        name, body = places[offset]
        schema = fmt.FIELDS_BY_SUBSECTION.get(name)
        if schema is not None:
            ends = [body + sizeof(schema)]
        else:  # of a QEMU newer than this: up to the next one that fits
            ends = [place for place in sorted(following) if place >= body] + [len(blob)]
        end = next((place for place in ends if place == len(blob) or place in following), None)
        if end is not None:
            following[offset] = end
    first = next((place for place in sorted(following) if not _is_nested(places[place][0])), None)
    records = []
    while first is not None and first < len(blob):
        name, body = places[first]
        records.append(_Record(name, first, body, following[first]))
        first = following[first]
    return records


def _places(blob: bytes, start: int) -> dict[int, tuple[str, int]]:
    """Where something looks like a subsection's header: its name, and the offset behind it."""
    found = {}
    for match in _RECORD.finditer(blob, start):
        length = match[1][0]
        name = match[2][:length]
        if len(name) == length:
            found[match.start()] = (name.decode("ascii"), match.start() + 2 + length + 4)
    return dict(list(found.items())[-MAX_RECORDS:])


def _is_nested(name: str) -> bool:
    return name.startswith(_EXTRA_PREFIX)


def _nested(records: list[_Record]) -> list[dict[str, Any]]:
    """The records as descriptions, each in the one that its name says it belongs to."""
    top: list[dict[str, Any]] = []
    opened: list[tuple[str, dict[str, Any]]] = []
    for record in records:
        made = {"vmsd_name": record.name, "fields": _body(record), "subsections": []}
        while opened and not record.name.startswith(opened[-1][0]):
            opened.pop()
        (opened[-1][1]["subsections"] if opened else top).append(made)
        prefix = _EXTRA_PREFIX if record.name == _EXTRA_STATE else f"{record.name}/"
        opened.append((prefix, made))
    return top


def _body(record: _Record) -> list[dict[str, Any]]:
    schema = fmt.FIELDS_BY_SUBSECTION.get(record.name)
    if schema is not None:
        return _fields(schema)
    size = record.end - record.body
    return [{"name": "data", "type": "buffer", "size": size}] if size else []
