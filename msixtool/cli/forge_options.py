"""The options of `forge` as a SPEC, and which of them go together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msixtool import DeviceSpec, EntrySpec, Spec, read_spec
from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.formats.virtio import NO_VECTOR

_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1
ANY_DEVICE = "*"
"""The device that is meant without --device: the only one that there is."""

_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?\Z")

_DEVICE_OPTIONS = (
    "unmask",
    "mask",
    "pending",
    "clear",
    "address",
    "data",
    "control",
    "pba",
    "enable",
    "function_mask",
    "bus_master",
    "vectors",
    "config_vector",
    "queue_vector",
)
_STREAM_OPTIONS = (
    *("like_base", "dry_run", "damaged", "snapshot", "offset", "fields", "raised", "device"),
    *("enable", "function_mask", "bus_master", "config_vector", "queue_vector"),
)
"""What only a stream has, and a saved state has not."""


def check_use(base: str | None, output: str | None, *, new: bool, dry_run: bool, **given: Any) -> None:
    """Raise UsageError for options that do not go together, and for those that are missing."""
    if new:
        wrong = ["BASE"] if base is not None else []
        wrong += [_option(name) for name in _STREAM_OPTIONS if {**given, "dry_run": dry_run}.get(name)]
        if wrong:
            raise UsageError(f"--new makes a state from nothing: {', '.join(wrong)} cannot be given with it")
    else:
        if base is None:
            raise UsageError("BASE is missing", expected="a stream to forge from, or --new")
        wrong = [_option(name) for name in ("kind", "text") if given.get(name)]
        if wrong:
            raise UsageError(f"{wrong[0]} goes with --new only")
    if output is None and not dry_run:
        raise UsageError("-o is missing", expected="-o OUT, or --dry-run")
    if [base, given.get("spec_file")] == ["-", "-"]:
        raise UsageError("standard input can be BASE or --spec, not both")


def spec_of(
    *, spec_file: str | None, device: str | None, fields: Iterable[str], raised: Iterable[str], **given: Any
) -> Spec:
    """What the options and the file of --spec ask for. Raises UsageError, naming the option or the key."""
    spec = read_spec(spec_file) if spec_file is not None else Spec()
    devices = spec.devices
    asked = {name: value for name, value in given.items() if name in _DEVICE_OPTIONS}
    if any(value not in (None, ()) for value in asked.values()):
        devices = (*devices, device_spec(device or ANY_DEVICE, **asked))
    elif device is not None:
        raise UsageError("--device is given, but nothing to change in it", expected="an option like --unmask")
    changes = {**spec.fields, **dict(_field_changes(fields))}
    return Spec(devices, changes, spec.path, tuple(_interrupt(text) for text in raised))


def device_spec(
    device: str,
    *,
    pba: str | None = None,
    enable: str | None = None,
    function_mask: str | None = None,
    bus_master: str | None = None,
    vectors: int | None = None,
    config_vector: str | None = None,
    queue_vector: Iterable[str] = (),
    **entries: Any,
) -> DeviceSpec:
    """The options for one device."""
    if vectors is not None and not 1 <= vectors <= fmt.MAX_VECTORS:
        raise UsageError("--vectors", expected=f"1 to {fmt.MAX_VECTORS}", found=vectors)
    try:
        pending_bits = None if pba is None else bytes.fromhex(pba)
    except ValueError:
        raise UsageError("--pba", expected="bytes in hex", found=pba) from None
    return DeviceSpec(
        device,
        vectors=vectors,
        enabled=_switch(enable),
        function_mask=_switch(function_mask),
        bus_master=_switch(bus_master),
        entries=_entries(**entries),
        pba=pending_bits,
        config_vector=None if config_vector is None else _vector(config_vector, "--config-vector"),
        queue_vectors=tuple(_queue_vector(text) for text in queue_vector),
    )


def _entries(**given: Any) -> tuple[EntrySpec, ...]:
    """The options for vectors, gathered by vector."""
    asked: dict[int, dict[str, Any]] = {}
    keys: dict[int, str] = {}
    for option, name, value in (
        ("unmask", "masked", False),
        ("mask", "masked", True),
        ("pending", "pending", True),
        ("clear", "pending", False),
    ):
        for vector in _vectors(given[option], option):
            _ask(asked, keys, vector, name, value, f"--{option}")
    for name, limit in (("address", _U64), ("data", _U32), ("control", _U32)):
        for text in given[name]:
            vector, number = _assignment(text, f"--{name}", fmt.MAX_VECTORS - 1, limit)
            _ask(asked, keys, vector, name, number, f"--{name}")
    return tuple(EntrySpec(vector, **asked[vector], key=keys[vector]) for vector in sorted(asked))


def _ask(
    asked: dict[int, dict[str, Any]], keys: dict[int, str], vector: int, name: str, value: Any, option: str
) -> None:
    entry = asked.setdefault(vector, {})
    if entry.get(name, value) != value:
        raise UsageError(f"{option}: vector {vector} is asked to be two things at once")
    entry[name] = value
    keys.setdefault(vector, option)


def _vectors(texts: Iterable[str], option: str) -> Iterator[int]:
    """The vectors of `0,2-4`."""
    for text in texts:
        for part in text.split(","):
            found = _RANGE.match(part.strip())
            first = int(found[1]) if found else 0
            last = int(found[2]) if found and found[2] else first
            if not found or last < first or last >= fmt.MAX_VECTORS:
                raise UsageError(
                    f"--{option}",
                    expected=f"vectors from 0 to {fmt.MAX_VECTORS - 1}, as 3 or 0-4",
                    found=text[:60],
                )
            yield from range(first, last + 1)


def _assignment(text: str, option: str, key_limit: int, limit: int) -> tuple[int, int]:
    """`2=0x41` as two numbers."""
    key, equals, value = text.partition("=")
    numbers = [_number(key), _number(value)]
    if not equals or None in numbers or numbers[0] > key_limit or numbers[1] > limit:  # type: ignore[operator]
        raise UsageError(option, expected=f"VECTOR=NUMBER, the number from 0 to {limit:#x}", found=text[:60])
    return numbers[0], numbers[1]  # type: ignore[return-value]


def _number(text: str) -> int | None:
    """A number that is not negative, decimal or with 0x."""
    try:
        number = int(text.strip(), 0)
    except ValueError:
        return None
    return number if number >= 0 else None


def _switch(word: str | None) -> bool | None:
    return None if word is None else word == "on"


def _queue_vector(text: str) -> tuple[int, int]:
    """`1=3` or `1=none`: a queue and its vector."""
    queue, equals, vector = text.partition("=")
    number = _number(queue)
    if number is None or not equals:
        raise UsageError("--queue-vector", expected="QUEUE=VECTOR, or QUEUE=none", found=text[:60])
    return number, _vector(vector, "--queue-vector")


def _interrupt(text: str) -> tuple[str, int]:
    """`0000:00:03.0:1`: a device, whose name may have colons itself, and a vector."""
    device, colon, vector = text.rpartition(":")
    number = _number(vector)
    if not (colon and device) or number is None or number >= fmt.MAX_VECTORS:
        raise UsageError("--raise", expected="DEVICE:VECTOR, as virtio-blk:1", found=text[:60])
    return device, number


def _vector(text: str, option: str) -> int:
    """A vector as virtio_save writes it."""
    number = NO_VECTOR if text == "none" else _number(text)
    if number is None or (number >= fmt.MAX_VECTORS and number != NO_VECTOR):
        raise UsageError(option, expected="a vector, or none", found=text[:60])
    return number


def _field_changes(texts: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """SECTION/PATH and the value of each --field: JSON, a number with 0x, or else text."""
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("--field", expected="SECTION/PATH=VALUE", found=text[:60])
        yield key, _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    return int(text, 16) if re.fullmatch(r"0[xX][0-9a-fA-F]{1,32}", text) else text


def _option(name: str) -> str:
    return {"spec_file": "--spec", "fields": "--field", "raised": "--raise"}.get(
        name, f"--{name.replace('_', '-')}"
    )
