"""QEMU's own description of what it can load and save: the JSON of `-dump-vmstate`.

Source: QEMU migration/savevm.c, dump_vmstate_json_to_file. One entry for each device type that has
a vmstate, by its QOM name; sizes are those of the C types in bytes, arrays are not multiplied out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from msixtool.errors import FormatError
from msixtool.formats import vmstate
from msixtool.formats.layout import Field, Layout, laid_out

MACHINE_KEY = "vmschkmachine"
"""The key whose value names the machine type."""
MAX_SIZE = 1 << 24
"""The longest file that is read, in bytes; real ones have a MiB."""
MAX_VALUES = 1 << 18
"""The most objects, lists and values that it is believed to hold; real ones have some 10^5."""


@dataclass(frozen=True, slots=True)
class DeviceType:
    """A device type, and the layout of its state where it has a vmsd."""

    name: str
    version: int
    minimum_version: int
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class Vmstates:
    """All of it: the machine type, and the device types by their QOM name."""

    machine: str
    devices: dict[str, DeviceType]

    def layouts(self, name: str) -> list[Layout]:
        """Every vmsd of this name, nested ones too."""
        tops = (device.layout for device in self.devices.values() if device.layout is not None)
        return [layout for top in tops for layout in top.structs() if layout.name == name]


def vmstates_of(text: bytes) -> Vmstates:
    """What -dump-vmstate wrote. Raises FormatError where the text is no such thing."""
    if len(text) > MAX_SIZE:
        raise FormatError("vmstate description", expected=f"at most {MAX_SIZE} bytes")
    values = sum(text.count(sign) for sign in (b"{", b"[", b","))
    if values > MAX_VALUES:
        raise FormatError("vmstate description", expected=f"at most {MAX_VALUES} values", found=values)
    try:
        document = json.loads(text.decode())  # not of bytes: that passes surrogates
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
        machine = document.pop(MACHINE_KEY)["Name"]
        devices = {str(name): _device(str(name), entry) for name, entry in document.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(
            "no vmstate description",
            expected="the JSON of -dump-vmstate",
            found=_other(error),
        ) from None
    return Vmstates(str(machine), devices)


def _other(error: Exception) -> str:
    """What stands there instead."""
    if isinstance(error, UnicodeError):
        return "bytes that are no text"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error}"
    return f"JSON without {error}" if isinstance(error, KeyError) else "JSON of another shape"


def _number(value: Any) -> int:
    """A size, count or version. Raises ValueError for a number that no type of C's holds."""
    number = int(value)
    if number.bit_length() > 64:
        raise ValueError("too large")
    return number


def _device(name: str, entry: Any) -> DeviceType:
    return DeviceType(
        name, _number(entry["version_id"]), _number(entry["minimum_version_id"]), _inside(entry)
    )


def _inside(entry: Any) -> Layout | None:
    return _layout(entry["Description"]) if "Description" in entry else None


def _layout(entry: Any) -> Layout:
    return Layout(
        str(entry["name"]),
        laid_out(_field(field) for field in entry.get("Fields", [])),
        tuple(_layout(subsection) for subsection in entry.get("Subsections", [])),
        _number(entry["version_id"]),
        _number(entry["minimum_version_id"]),
    )


def _field(entry: Any) -> Field:
    """A field. Its type is never said; how many elements an array has, not by QEMU up to 7.2."""
    inside = _inside(entry)
    return Field(
        str(entry["field"]),
        "" if inside is None else vmstate.STRUCT,
        0,
        _number(entry["size"]),
        _number(entry.get("num", 0)) or None,
        inside,
        since=_number(entry["version_id"]),
        conditional=bool(entry["field_exists"]),
    )
