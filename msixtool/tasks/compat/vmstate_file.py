"""QEMU's own description of what it can load and save: the JSON of `-dump-vmstate`.

Source: QEMU migration/savevm.c, dump_vmstate_json_to_file. One entry for each device type that has
a vmstate, by its QOM name; sizes are those of the C types in bytes, arrays are not multiplied out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msixtool.containers.file import read_whole
from msixtool.errors import FormatError

MACHINE = "vmschkmachine"
"""The key whose value names the machine type."""
MAX_SIZE = 1 << 24
"""The longest file that is read, in bytes; real ones have a MiB."""
MAX_VALUES = 1 << 18
"""The most objects, lists and values that it is believed to hold; real ones have some 10^5."""


@dataclass(frozen=True, slots=True)
class VmsdField:
    """One field: `size` in bytes, `conditional` where QEMU asks a function whether it is there."""

    name: str
    version_id: int
    size: int
    conditional: bool
    count: int | None
    """Elements of an array whose length is fixed; None where QEMU does not say (5.2 and 7.2 never do)."""
    vmsd: Vmsd | None


@dataclass(frozen=True, slots=True)
class Vmsd:
    """A VMStateDescription."""

    name: str
    version_id: int
    minimum_version_id: int
    fields: tuple[VmsdField, ...] = ()
    subsections: tuple[Vmsd, ...] = ()

    def walk(self) -> Iterator[Vmsd]:
        """This one, and all that are nested in it."""
        yield self
        for field in self.fields:
            if field.vmsd is not None:
                yield from field.vmsd.walk()
        for subsection in self.subsections:
            yield from subsection.walk()


@dataclass(frozen=True, slots=True)
class DeviceType:
    """A device type, and its vmsd where it has one."""

    name: str
    version_id: int
    minimum_version_id: int
    vmsd: Vmsd | None


@dataclass(frozen=True, slots=True)
class VmstateFile:
    """A whole file: the machine type, and the device types by their QOM name."""

    path: str
    machine: str
    devices: dict[str, DeviceType]

    def vmsds(self, name: str) -> list[Vmsd]:
        """Every vmsd of this name, nested ones too."""
        tops = (device.vmsd for device in self.devices.values() if device.vmsd is not None)
        return [vmsd for top in tops for vmsd in top.walk() if vmsd.name == name]


def is_vmstate_file(path: str) -> bool:
    """Whether a file looks like one of these: a JSON object that begins with the machine type."""
    try:
        with Path(path).open("rb") as file:
            return MACHINE.encode() in file.read(256)
    except OSError:
        return False


def read(path: str) -> VmstateFile:
    """Read a file that -dump-vmstate wrote. Raises InputError where it cannot be read, FormatError where it
    is none."""
    text = read_whole(path, MAX_SIZE)
    if len(text) > MAX_SIZE:
        raise FormatError("vmstate description", path=path, expected=f"at most {MAX_SIZE} bytes")
    values = sum(text.count(sign) for sign in (b"{", b"[", b","))
    if values > MAX_VALUES:
        raise FormatError(
            "vmstate description", path=path, expected=f"at most {MAX_VALUES} values", found=values
        )
    try:
        document = json.loads(text)
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
        machine = document.pop(MACHINE)["Name"]
        devices = {str(name): _device(str(name), entry) for name, entry in document.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(
            "no vmstate description",
            path=path,
            expected="the JSON of -dump-vmstate",
            found=f"{type(error).__name__} {error}",
        ) from None
    return VmstateFile(path, str(machine), devices)


def _device(name: str, entry: Any) -> DeviceType:
    vmsd = _vmsd(entry["Description"]) if "Description" in entry else None
    return DeviceType(name, int(entry["version_id"]), int(entry["minimum_version_id"]), vmsd)


def _vmsd(entry: Any) -> Vmsd:
    return Vmsd(
        str(entry["name"]),
        int(entry["version_id"]),
        int(entry["minimum_version_id"]),
        tuple(_field(field) for field in entry.get("Fields", [])),
        tuple(_vmsd(subsection) for subsection in entry.get("Subsections", [])),
    )


def _field(entry: Any) -> VmsdField:
    return VmsdField(
        str(entry["field"]),
        int(entry["version_id"]),
        int(entry["size"]),
        bool(entry["field_exists"]),
        int(entry["num"]) if "num" in entry else None,
        _vmsd(entry["Description"]) if "Description" in entry else None,
    )
