"""The encodings of vmstate field types, by the type names that a vmdesc gives them.

Sources: QEMU migration/vmstate-types.c (the vmstate_info_* of each type, and what it writes);
hw/pci/pci.c (`pci irq state`). All integers are big-endian. Types that are not named here are
bytes whose meaning their device alone knows: their value is a string of hex digits.

Names that mislead: `int32 le` is compared with <= and not little-endian; `int64 equal` is what
QEMU calls an unsigned 64-bit value; a `bitmap` is 64-bit words, so its hex digits read as such.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from construct import (
    Array,
    Bytes,
    Flag,
    Float64b,
    Int8sb,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32sb,
    Int32ub,
    Int32ul,
    Int64sb,
    Int64ub,
    Int64ul,
)

from msixtool.errors import FormatError
from msixtool.formats import Buffer, build, parse, sizeof

Value = bool | int | float | str | None
"""What one element of a field is: hex digits for bytes, None for a NULL pointer."""

INTEGERS: dict[str, Any] = {
    "int8": Int8sb,
    "int16": Int16sb,
    "int32": Int32sb,
    "int32 equal": Int32sb,
    "int32 le": Int32sb,
    "int64": Int64sb,
    "fd": Int32sb,
    "uint8": Int8ub,
    "uint8 equal": Int8ub,
    "uint16": Int16ub,
    "uint16 equal": Int16ub,
    "uint32": Int32ub,
    "uint32 equal": Int32ub,
    "uint64": Int64ub,
    "int64 equal": Int64ub,
    "timer": Int64ub,
    "uint32 of the host": Int32ul,
    "uint64 of the host": Int64ul,
}
"""Integers by type name. A timer is its expiry in ns of its clock, or TIMER_OFF. Those of the host are in no
vmdesc: they stand in structures that QEMU saves as they lie in its memory."""

TIMER_OFF = (1 << 64) - 1
"""What a timer that is not set writes."""

FLOATS: dict[str, Any] = {"float64": Float64b, "CPU_Double_U": Float64b}
"""IEEE 754 doubles. One that is no number in JSON (infinite, NaN) is given in hex."""

BOOL = "bool"
STRUCT = "struct"
IRQ_STATE = "pci irq state"
"""Four 32-bit levels, one for each INTx pin."""
IRQ_STATE_TYPE = "uint32"
"""The type of each of them."""
PCI_CONFIG, MSIX_STATE, VIRTIO_BLOB = "pci config", "msix state", "virtio"
"""Configuration space; table and pending bits (msix_save); all that virtio_save writes of a device."""

NULL_TYPES = frozenset({"nullptr", "ptr-marker"})
"""Types of the one byte that stands for a pointer: since 10.0 and since 11.0. Older QEMUs give the
byte for NULL the type of the element that is not there, with a size of 1."""
NULL_MARKER = b"0"
"""The byte of a NULL pointer."""
VALID_MARKER = b"1"
"""The byte of a pointer that is followed by what it points to (11.0, arrays that allocate)."""

LIST_TYPES = frozenset({"qtailq", "qlist"})
"""Linked lists: 0x01 and an element, again and again, then 0x00."""
TREE_TYPE = "gtree"
"""A tree: a 32-bit number of nodes; for each 0x01, its key, its value; then 0x00. A key that the
vmdesc does not describe is 64 bits."""
NODES = Int32ub
"""What a tree begins with: how many nodes follow."""
MORE, NO_MORE = b"\x01", b"\x00"

_FIXED: dict[str, Any] = {BOOL: Flag, **INTEGERS, **FLOATS}
_SIZES = {name: sizeof(schema) for name, schema in _FIXED.items()}
# A section may have 10^5 integers: the same encodings without construct's bookkeeping.
_CODES = {name: schema.fmtstr for name, schema in INTEGERS.items()}
TYPE_OF_CODE = {code: name for name, code in reversed(_CODES.items())}
"""The type of an integer that nothing more is known of, by its byte order and code in `struct`."""
_UNPACK = {name: struct.Struct(code).unpack for name, code in _CODES.items()}


def fixed_size(type_name: str) -> int | None:
    """Bytes of one value of a type, or None where its size is the vmdesc's to say."""
    return _SIZES.get(type_name)


def schema_of(type_name: str, size: int) -> Any:
    """The schema of one value of a type that takes `size` bytes: bytes where the type is not known so."""
    if type_name == IRQ_STATE:
        return Array(size // 4, Int32ub)
    return _FIXED[type_name] if fixed_size(type_name) == size else Bytes(size)


def is_bytes(type_name: str, size: int) -> bool:
    """Whether a field of this type and size in bytes is given in hex: a buffer, or a stranger."""
    return not is_null(type_name, size) and fixed_size(type_name) != size


def is_null(type_name: str, size: int) -> bool:
    """Whether a field of this type and size in bytes can be the marker of a pointer."""
    return type_name in NULL_TYPES or (size == 1 and fixed_size(type_name) not in (None, 1))


def decode(type_name: str, data: Buffer) -> Value:
    """One value of a type, from exactly its bytes.

    A size that is not the type's own makes it hex: the vmdesc is believed.
    """
    size = len(data)
    if type_name in _CODES and size == _SIZES[type_name]:
        value: Value = _UNPACK[type_name](data)[0]
        return value
    if is_null(type_name, size) and bytes(data) == NULL_MARKER:
        return None
    if size != fixed_size(type_name):
        return bytes(data).hex()
    value = parse(_FIXED[type_name], data, what=f"field of type {type_name}")
    if isinstance(value, float) and not math.isfinite(value):
        return bytes(data).hex()
    return value


def decode_array(type_name: str, data: Buffer, count: int) -> list[Value]:
    """`count` values of a type, which take all of `data` in equal parts."""
    size = len(data) // count if count else 0
    if type_name in _CODES and size == _SIZES[type_name]:
        order, code = _CODES[type_name]
        return list(struct.unpack(f"{order}{count}{code}", data))
    return [decode(type_name, data[start : start + size]) for start in range(0, size * count, size or 1)]


def encode(type_name: str, value: Any, size: int) -> bytes:
    """The `size` bytes of a value, as `decode` gives it. Raises FormatError where it does not fit."""
    if is_null(type_name, size):
        if value is not None:
            raise _misfit(type_name, "null: the pointer is NULL, and nothing can be put there", value)
        return NULL_MARKER
    if is_bytes(type_name, size) or (type_name in FLOATS and isinstance(value, str)):
        return build(Bytes(size), _from_hex(type_name, value, size), what=f"field of type {type_name}")
    if type_name == BOOL:
        if not isinstance(value, bool):
            raise _misfit(type_name, "true or false", value)
    elif type_name in FLOATS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _misfit(type_name, "a number", value)
    else:
        low, high = integer_range(type_name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _misfit(type_name, f"an integer from {low} to {high}", value)
        return struct.pack(_CODES[type_name], value)
    return build(_FIXED[type_name], value, what=f"field of type {type_name}")


def number(data: Buffer, *, signed: bool = False) -> int:
    """The integer that `data`, a field of any size, holds."""
    return int.from_bytes(data, "big", signed=signed)


def integer_range(type_name: str) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    bits = 8 * _SIZES[type_name]
    signed = _CODES[type_name][1].islower()
    return (-1 << bits - 1, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _from_hex(type_name: str, value: Any, size: int) -> bytes:
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError):
        data = None
    if data is None or len(data) != size:
        raise _misfit(type_name, f"{size} bytes in hex, as a string", value)
    return data


def _misfit(type_name: str, expected: str, value: Any) -> FormatError:
    text = repr(value)
    found = text if len(text) <= 60 else text[:60] + "…"
    return FormatError(f"value of a field of type {type_name}", expected=expected, found=found)
