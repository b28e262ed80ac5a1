"""What a forgery changes, in words: the diff that `forge --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.devices.device import MsixDevice
from msixtool.dump import Dump
from msixtool.formats.msix import ENTRY_MASKED
from msixtool.msix.state import MsixState
from msixtool.stream.rewrite import Replacement
from msixtool.tasks.fields import find
from msixtool.tasks.forge_fields import find_section
from msixtool.tasks.forge_spec import Spec
from msixtool.words import number_ranges

_MAX_VALUE = 60


def changes_in_words(before: Dump, after: Dump, spec: Spec, replacements: list[Replacement]) -> list[str]:
    """One line a change: fields first, then devices in stream order, then how many bytes it comes to."""
    lines = list(_fields(before, spec))
    devices = {(device.name, device.instance): device for device in after.devices}
    for old in before.devices:
        new = devices.get((old.name, old.instance))
        if new is None:
            lines.append(f"{_name(old)}: can no longer be read as a device with MSI-X")
        else:
            lines += [f"{_name(old)}: {change}" for change in _device(old, new)]
    if not replacements:
        return ["nothing changes"]
    changed = sum(max(each.end - each.start, len(each.data)) for each in replacements)
    growth = sum(len(each.data) - (each.end - each.start) for each in replacements)
    size = f"; the stream has {growth:+d} bytes" if growth else ""
    places = len(replacements)
    return [*lines, f"{changed} bytes in {places} place{'s' * (places > 1)}{size}"]


def _name(device: MsixDevice) -> str:
    return f"{device.name}@{device.instance}" if device.instance else device.name


def _fields(dump: Dump, spec: Spec) -> Iterator[str]:
    for key, value in spec.fields.items():
        section, path = find_section(dump, key, {})
        old = find(section, path).value(section.data)
        if old != value:
            yield f"{key}: {_short(old)} → {_short(value)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"


def _device(old: MsixDevice, new: MsixDevice) -> Iterator[str]:
    if old.vectors != new.vectors:
        yield f"{old.vectors} vectors → {new.vectors}"
    for what, a, b in _properties(old, new):
        if a != b:
            yield f"{what} {a} → {b}"
    yield from _entries(old.state, new.state)
    yield from _pending(old.state, new.state)


def _properties(old: MsixDevice, new: MsixDevice) -> Iterator[tuple[str, str, str]]:
    words = ({True: "on", False: "off"}, {True: "set", False: "clear"})
    a, b = old.capability, new.capability
    if a is not None and b is not None:
        yield "MSI-X", words[0][a.enabled], words[0][b.enabled]
        yield "function mask", words[1][a.function_mask], words[1][b.function_mask]
        if (a.control ^ b.control) & ~0xC7FF:
            yield "Message Control", f"{a.control:#06x}", f"{b.control:#06x}"
        for what, old_place, new_place in (("table", a.table, b.table), ("pending bits", a.pba, b.pba)):
            yield (
                what,
                f"in BAR {old_place.bar} at {old_place.offset:#x}",
                f"in BAR {new_place.bar} at {new_place.offset:#x}",
            )
    if old.bus_master is not None and new.bus_master is not None:
        yield "bus master", words[0][old.bus_master], words[0][new.bus_master]
    yield "config vector", str(old.config_vector), str(new.config_vector)
    for queue, (was, now) in enumerate(zip(old.queue_vectors, new.queue_vectors, strict=False)):
        yield f"queue {queue}: vector", str(was), str(now)


def _entries(old: MsixState, new: MsixState) -> Iterator[str]:
    for vector, (a, b) in enumerate(zip(old.entries, new.entries, strict=False)):
        if a.address != b.address:
            yield f"vector {vector}: address {a.address:#x} → {b.address:#x}"
        if a.data != b.data:
            yield f"vector {vector}: data {a.data:#x} → {b.data:#x}"
        if a.masked != b.masked:
            yield f"vector {vector}: {_mask(a.masked)} → {_mask(b.masked)}"
        if (a.control ^ b.control) & ~ENTRY_MASKED:
            yield f"vector {vector}: control {a.control:#x} → {b.control:#x}"


def _mask(masked: bool) -> str:
    return "masked" if masked else "unmasked"


def _pending(old: MsixState, new: MsixState) -> Iterator[str]:
    was = {*old.pending, *old.stray_pending}
    now = {*new.pending, *new.stray_pending}
    if now - was:
        yield f"pending {number_ranges(sorted(now - was))} set"
    if was - now:
        yield f"pending {number_ranges(sorted(was - now))} cleared"
