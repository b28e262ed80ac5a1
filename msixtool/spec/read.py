"""Reading SPEC: every key and every value is checked, and an error names the key and what is allowed."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msixtool.containers.file import read_whole
from msixtool.errors import MsixtoolError, UsageError
from msixtool.formats import msix as fmt
from msixtool.spec.values import CapabilitySpec, DeviceSpec, EntrySpec, PlaceSpec, Spec

MAX_SIZE = 4 << 20
"""The longest SPEC that is read, in bytes: 2048 vectors take some 200 KiB, and TOML a second a MiB."""
MAX_DEPTH = 64
"""Parts of a dotted key of TOML, and slashes in a SECTION/PATH, at most: a vmdesc nests no deeper."""
_LONG_KEY = re.compile(
    rf"""(?<![\w"'-])(?:[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.){{{MAX_DEPTH}}}"""
)

_SHOWN = 60
"""Characters of a wrong value that an error shows."""

_U16, _U32, _U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1

Element = TypeVar("Element")

_OF_DEVICE = (
    *("name", "instance", "vectors", "capability", "enabled", "function_mask", "bus_master"),
    *("entries", "pending", "pba"),
)
"""The keys of a device."""


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a SPEC from a file, or from standard input for "-"; JSON and TOML are told by content.

    Raises InputError where it cannot be read, UsageError, naming the key, where it says what no SPEC
    may say.
    """
    path = os.fspath(path)
    return parse_spec(read_whole(path, MAX_SIZE), path=path)


def parse_spec(text: str | bytes, *, path: str | None = None) -> Spec:
    """A SPEC from its text; `path` is what errors call it. Raises UsageError as `read_spec` does."""
    try:
        return make_spec(_document(text), path=path)
    except MsixtoolError as error:
        raise error.at(path=path) from None


def make_spec(document: Any, *, path: str | None = None) -> Spec:
    """A SPEC from what its JSON or TOML says: dicts and lists. Raises UsageError as `read_spec` does."""
    _check_object(document, "SPEC", ("devices", "fields"))
    devices = _list(document, "devices", "", _device)
    _refuse_twice(("devices", f"{d.name}@{d.instance or 0}") for d in devices)
    return Spec(devices, _fields(document.get("fields", {})), path)


def _document(text: str | bytes) -> Any:
    """The text as JSON where it begins like an object, else as TOML."""
    if len(text) > MAX_SIZE:
        raise UsageError("SPEC is too long", expected=f"at most {MAX_SIZE} bytes")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_pairs)
        _check_keys(text)
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError("SPEC is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise UsageError("SPEC is not UTF-8 text", offset=error.start) from None
    except ValueError as error:
        raise UsageError("SPEC is neither JSON nor TOML", found=error) from None


def _check_keys(text: str) -> None:
    """Refuse a dotted key longer than any of a SPEC: tomllib takes the square of its parts in memory."""
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise UsageError(f"SPEC: key in line {line}", expected=f"at most {MAX_DEPTH} parts", found="more")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice(("SPEC", name) for name, _ in pairs)
    return dict(pairs)


def _refuse_twice(names: Iterable[tuple[str, object]]) -> None:
    seen: set[object] = set()
    for key, name in names:
        if name in seen:
            raise UsageError(f"{key}: {name} is there twice", expected="once")
        seen.add(name)


def _device(raw: Any, key: str) -> DeviceSpec:
    _check_object(raw, key, _OF_DEVICE, required="name")
    entries = _list(raw, "entries", f"{key}.", _entry)
    _refuse_twice((f"{key}.entries", f"vector {entry.vector}") for entry in entries)
    return DeviceSpec(
        name=_string(raw["name"], f"{key}.name"),
        instance=_integer(raw, "instance", key, 0, _U32),
        vectors=_integer(raw, "vectors", key, 1, fmt.MAX_VECTORS),
        capability=_capability(raw.get("capability", {}), f"{key}.capability"),
        enabled=_boolean(raw, "enabled", key),
        function_mask=_boolean(raw, "function_mask", key),
        bus_master=_boolean(raw, "bus_master", key),
        entries=entries,
        pending=_list(raw, "pending", f"{key}.", _vector) if "pending" in raw else None,
        pba=_hex(raw, "pba", key),
        key=key,
    )


def _capability(raw: Any, key: str) -> CapabilitySpec:
    _check_object(raw, key, ("offset", "control", "enabled", "function_mask", "table", "pba"))
    return CapabilitySpec(
        offset=_integer(raw, "offset", key, 0x40, 0xFF),
        control=_integer(raw, "control", key, 0, _U16),
        enabled=_boolean(raw, "enabled", key),
        function_mask=_boolean(raw, "function_mask", key),
        table=_place(raw.get("table", {}), f"{key}.table"),
        pba=_place(raw.get("pba", {}), f"{key}.pba"),
    )


def _place(raw: Any, key: str) -> PlaceSpec:
    _check_object(raw, key, ("bar", "offset"))
    place = PlaceSpec(
        bar=_integer(raw, "bar", key, 0, fmt.BIR_MASK), offset=_integer(raw, "offset", key, 0, _U32)
    )
    if place.offset is not None and place.offset & fmt.BIR_MASK:
        raise UsageError(f"{key}.offset", expected="a multiple of 8", found=f"{place.offset:#x}")
    return place


def _entry(raw: Any, key: str) -> EntrySpec:
    _check_object(raw, key, ("vector", "address", "data", "control", "masked", "pending"), required="vector")
    return EntrySpec(
        vector=_vector(raw["vector"], f"{key}.vector"),
        address=_integer(raw, "address", key, 0, _U64),
        data=_integer(raw, "data", key, 0, _U32),
        control=_integer(raw, "control", key, 0, _U32),
        masked=_boolean(raw, "masked", key),
        pending=_boolean(raw, "pending", key),
        key=f"{key}.vector",
    )


def _vector(raw: Any, key: str) -> int:
    vector = _integer({"": raw}, "", key, 0, fmt.MAX_VECTORS - 1)
    assert vector is not None
    return vector


def _fields(raw: Any) -> dict[str, Any]:
    """Fields by SECTION/PATH; what their values may be depends on the stream, so it is checked there."""
    if not isinstance(raw, dict):
        raise UsageError("fields", expected="an object of SECTION/PATH and values", found=_shown(raw))
    for path in raw:
        if path.count("/") > MAX_DEPTH:
            raise UsageError(
                f"fields: {path[:80]}…",
                expected=f"at most {MAX_DEPTH} slashes",
                found=path.count("/"),
            )
    return raw


def _check_object(raw: Any, key: str, allowed: tuple[str, ...], *, required: str = "") -> None:
    if not isinstance(raw, dict):
        raise UsageError(key, expected=f"an object with the keys {', '.join(allowed)}", found=_shown(raw))
    for name in raw:
        if name not in allowed:
            place = name if key == "SPEC" else f"{key}.{name}"
            raise UsageError(f"unknown key {place[:200]}", expected=f"one of {', '.join(allowed)}")
    if required and required not in raw:
        raise UsageError(f"{key}.{required} is missing")


def _list(
    raw: dict[str, Any], name: str, prefix: str, element: Callable[[Any, str], Element]
) -> tuple[Element, ...]:
    """The list under `name`, each element read; empty where it is absent."""
    values = raw.get(name, [])
    if not isinstance(values, list):
        raise UsageError(f"{prefix}{name}", expected="a list", found=_shown(values))
    return tuple(element(value, f"{prefix}{name}[{index}]") for index, value in enumerate(values))


def _integer(raw: dict[str, Any], name: str, key: str, low: int, high: int) -> int | None:
    """An integer from `low` to `high`, or None where it is absent."""
    if name not in raw:
        return None
    value = raw[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        limits = f"{low} to {high}" if high <= _U16 else f"{low} to {high:#x}"
        raise UsageError(
            f"{key}.{name}".rstrip("."), expected=f"an integer from {limits}", found=_shown(value)
        )
    return value


def _boolean(raw: dict[str, Any], name: str, key: str) -> bool | None:
    if name not in raw:
        return None
    if not isinstance(raw[name], bool):
        raise UsageError(f"{key}.{name}", expected="true or false", found=_shown(raw[name]))
    return bool(raw[name])


def _string(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(key, expected="a name", found=_shown(value))
    return value


def _hex(raw: dict[str, Any], name: str, key: str) -> bytes | None:
    if name not in raw:
        return None
    try:
        return bytes.fromhex(raw[name])
    except (TypeError, ValueError):
        raise UsageError(
            f"{key}.{name}", expected="bytes in hex, as a string", found=_shown(raw[name])
        ) from None


def _shown(value: Any) -> str:
    """A wrong value as it stands in the text, cut where it is long."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = str(value) if not isinstance(value, list | dict) else type(value).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
