"""Registers and numbers in words for people.

Source: PCI Local Bus Specification 3.0, section 6.8.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msixtool.devices.config_space import MsixCapability


def lspci_lines(capability: MsixCapability) -> list[str]:
    """The capability in three lines, as lspci prints it."""
    enable = "+" if capability.enabled else "-"
    masked = "+" if capability.function_mask else "-"
    return [
        f"Capabilities: [{capability.offset:02x}] MSI-X: "
        f"Enable{enable} Count={capability.vectors} Masked{masked}",
        f"        Vector table: BAR={capability.table.bar} offset={capability.table.offset:08x}",
        f"        PBA: BAR={capability.pba.bar} offset={capability.pba.offset:08x}",
    ]


def dropped_in_words(reason: str) -> str:
    """Why a message did not reach the bus (the reasons of the `message-dropped` event)."""
    return _DROPPED.get(reason, reason)


_DROPPED = {
    "vector-unused": "pending bit cleared, but the device has not marked the vector used yet",
    "bus-master-off": "pending bit cleared, but bus mastering is off",
}


def byte_size(size: int) -> str:
    """A size for people: `8 MiB`, `364.0 KiB`, `81 bytes`."""
    for unit, width in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= width:
            return f"{size // width} {unit}" if size % width == 0 else f"{size / width:.1f} {unit}"
    return f"{size} byte{'' if size == 1 else 's'}"


def number_ranges(numbers: Iterable[int]) -> str:
    """`0-3, 7` for 0 1 2 3 7; the numbers must be in order. Empty for none."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def queue_vectors_in_words(vectors: Sequence[int | None]) -> str:
    """The vectors of a device's queues: `1-4`, `1, none`, `none x64`."""
    if not vectors:
        return "-"
    parts: list[str] = []
    position = 0
    while position < len(vectors):
        first, end = vectors[position], position + 1
        while end < len(vectors) and vectors[end] == (None if first is None else first + end - position):
            end += 1
        count = end - position
        if first is None:
            parts.append("none" if count == 1 else f"none x{count}")
        else:
            parts.append(str(first) if count == 1 else f"{first}-{first + count - 1}")
        position = end
    return ", ".join(parts)


def vector_users(
    config_vector: int | None, queue_vectors: Sequence[int | None], config: str
) -> dict[int, list[str]]:
    """What each vector of a virtio device serves: configuration changes, called `config`, then its queues."""
    users: dict[int, list[str]] = {} if config_vector is None else {config_vector: [config]}
    queues: dict[int, list[int]] = {}
    for queue, vector in enumerate(queue_vectors):
        if vector is not None:
            queues.setdefault(vector, []).append(queue)
    for vector, numbers in queues.items():
        users.setdefault(vector, []).append(f"queue{'s' * (len(numbers) > 1)} {number_ranges(numbers)}")
    return users


def writer_in_words(low: str | None, high: str | None) -> str:
    """The releases that can have written a stream, the first and the last of them; None for an open end."""
    if low == high:
        return f"QEMU {low}" if low else "a QEMU of unknown version"
    if high is None:
        return f"QEMU {low} or later"
    return f"QEMU {low} to {high}" if low else f"QEMU {high} or earlier"


def plural(count: int, noun: str) -> str:
    """`1 vector`, `5 vectors`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
