"""Changes of bytes: blind ones, and ones at places that are known to hold a number."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

Place = tuple[int, int]
"""Where a number stands: its offset and its width, in bytes."""

MOST = 1 << 20
"""Bytes that a mutated input has at most, so that its size alone costs neither time nor memory."""

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF)


def integer(rng: Random, width: int, order: str | None = None) -> bytes:
    """A number of so many bytes at which programs go wrong, mostly big-endian."""
    bits = 8 * width
    value = rng.choice(
        (
            *_EDGES,
            (1 << bits) - 1,
            (1 << bits) - 2,
            (1 << (bits - 1)) - 1,
            1 << (bits - 1),
            1 << rng.randrange(bits),
            (1 << rng.randrange(bits)) - 1,
            rng.getrandbits(bits),
            rng.randrange(1 << min(bits, 16)),
        )
    )
    order = order or rng.choice(("big", "big", "big", "little"))
    return (value & ((1 << bits) - 1)).to_bytes(width, "little" if order == "little" else "big")


def nearby(rng: Random, data: bytearray, place: Place) -> bytes:
    """The number at a place, a little more or less: lengths that are wrong by one or by eight."""
    offset, width = place
    value = int.from_bytes(data[offset : offset + width], "big") + rng.choice((-8, -4, -1, 1, 4, 8, 16, 4096))
    return (value & ((1 << 8 * width) - 1)).to_bytes(width, "big")


def mutate(
    rng: Random,
    data: bytes,
    places: Sequence[Place] = (),
    others: Sequence[bytes] = (),
    *,
    low: int = 0,
    high: int | None = None,
    resize: bool = True,
) -> bytes:
    """Change `data` in one to a few places, between `low` and `high`; the size stays without `resize`.

    Half of the changes are at `places`, where there are any.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5, 12))):
        end = min(len(changed), len(changed) if high is None else high)
        if end <= low:
            break
        if places and rng.random() < 0.5:
            _at_place(rng, changed, places)
        elif resize and rng.random() < 0.3:
            _move(rng, changed, others, low, end)
        else:
            _overwrite(rng, changed, low, end)
    return bytes(changed[:MOST])


def _at_place(rng: Random, data: bytearray, places: Sequence[Place]) -> None:
    place = rng.choice(places)
    offset, width = place
    if offset + width > len(data):
        return
    value = nearby(rng, data, place) if rng.random() < 0.35 else integer(rng, width)
    data[offset : offset + width] = value


def _overwrite(rng: Random, data: bytearray, low: int, end: int) -> None:
    """Change bytes in their place."""
    at = rng.randrange(low, end)
    how = rng.random()
    if how < 0.4:
        data[at] ^= 1 << rng.randrange(8)
    elif how < 0.55:
        data[at] = rng.randrange(256)
    elif how < 0.9:
        width = min(rng.choice((1, 2, 4, 4, 8)), len(data) - at)
        data[at : at + width] = integer(rng, width)
    else:
        width = min(rng.randrange(1, 65), end - at)
        data[at : at + width] = bytes([rng.choice((0, 0xFF, 0x41))]) * width


def _move(rng: Random, data: bytearray, others: Sequence[bytes], low: int, end: int) -> None:
    """Cut, delete, repeat, swap or insert blocks."""
    at = rng.randrange(low, end)
    length = min(rng.choice((1, 2, 4, 8, 16, 64, 256, 4096)), end - at)
    how = rng.randrange(7)
    if how == 0:
        del data[at:]
    elif how == 1:
        del data[at : at + length]
    elif how == 2:
        block = bytes(data[at : at + length])
        data[at:at] = block * rng.choice((1, 1, 2, 8))
    elif how == 3:
        to = rng.randrange(low, max(low + 1, end - length))
        data[at : at + length], data[to : to + length] = data[to : to + length], data[at : at + length]
    elif how == 4:
        data[at:at] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    elif how == 5 and others:
        other = rng.choice(others)
        start = rng.randrange(len(other) or 1)
        data[at : at + length] = other[start : start + rng.choice((8, 64, 512, 8192))]
    else:
        data += rng.choice((bytes(length), rng.randbytes(length), bytes(data[at : at + length])))
