"""Writing SPEC as TOML with comments: what `save --text` gives, to be edited and forged back."""

from __future__ import annotations

import json
from collections.abc import Iterator

from msixtool.devices.device import MsixDevice
from msixtool.formats.x86 import x86_message
from msixtool.msix.state import MsixState
from msixtool.spec.values import RESERVED_CONTROL
from msixtool.words import number_ranges, vector_users


def spec_text(device: MsixDevice, *, x86: bool = False, origin: str | None = None) -> str:
    """SPEC of one device as TOML, with a comment on each vector that says what it is for.

    It determines table, pending bits (those at or above n too), Message Control and bus mastering:
    applied to the stream that the device came from, or to a state as after a reset, it gives the
    same bytes. `x86` reads addresses and data as x86 messages; `origin` is named in the first line.
    """
    lines = [
        f"# MSI-X state of {_comment(device.name)}" + (f" in {_comment(origin)}" if origin else ""),
        "# What is left out stays as it is in the stream that this is forged into.",
        "",
        "[[devices]]",
        *_head(device),
        "",
        *_entries(device, x86),
    ]
    return "\n".join(lines) + "\n"


def _head(device: MsixDevice) -> Iterator[str]:
    yield f"name = {_string(device.name)}"
    yield f"instance = {device.instance}"
    capability = device.capability
    yield f"vectors = {device.vectors}"
    if capability is not None:
        yield (
            f"# capability at {capability.offset:#x}: table in BAR {capability.table.bar} at "
            f"{capability.table.offset:#x}, pending bits in BAR {capability.pba.bar} at "
            f"{capability.pba.offset:#x}"
        )
        yield f"enabled = {_boolean(capability.enabled)}"
        yield f"function_mask = {_boolean(capability.function_mask)}  # true masks every vector"
        if capability.control & RESERVED_CONTROL:
            yield f"capability = {{control = {capability.control:#06x}}}  # with its reserved bits"
    if device.bus_master is not None:
        yield f"bus_master = {_boolean(device.bus_master)}  # no message reaches memory while it is off"
    if device.state.stray_pending:
        yield (
            f'pba = "{device.state.pba.hex()}"  '
            f"# bits beyond the last vector: {number_ranges(device.state.stray_pending)}"
        )


def _entries(device: MsixDevice, x86: bool) -> Iterator[str]:
    users = vector_users(device.config_vector, device.queue_vectors, "config changes")
    yield "entries = ["
    for vector in range(device.vectors):
        remarks = [*users.get(vector, [])]
        entry = device.state.entries[vector]
        if x86 and entry.address:
            remarks.append(x86_message(entry.address, entry.data))
        comment = f"  # {'; '.join(remarks)}" if remarks else ""
        yield f"  {{{_entry(device.state, vector)}}},{comment}"
    yield "]"


def _entry(state: MsixState, vector: int) -> str:
    entry = state.entries[vector]
    control = [f"control = {entry.control:#x}"] if entry.control >> 1 else []
    return ", ".join(
        [
            f"vector = {vector}",
            f"address = {entry.address:#x}",
            f"data = {entry.data:#x}",
            *control,
            f"masked = {_boolean(entry.masked)}",
            f"pending = {_boolean(state.is_pending(vector))}",
        ]
    )


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for surrogate pairs, which no idstr has."""
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """A comment holds no control character."""
    return "".join(character if character.isprintable() else "?" for character in text)
