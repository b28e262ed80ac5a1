"""How streams are mutated: as bytes, as items, and by their vmdesc."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from tests.fuzz import bases, json_text, octets
from tests.fuzz.bases import Base
from tests.fuzz.outcome import Input

TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "buffer", "struct"),
    *("unused_buffer", "timer", "pci config", "msix state", "virtio", "qtailq", "qlist", "gtree", "bitmap"),
    *("nullptr", "ptr-marker", "cpudouble", "fd", "str", "uint32 equal", "int32 le", "pci irq state"),
    *("fields", "subsections", "size", "array_len", "struct", "vmsd_name", "version", "index", "num", "tmp"),
)
"""Words that a vmdesc's reader knows."""

WHOLE_SHARE = 0.01
"""How often a stream of full size is mutated instead of an excerpt: each takes ten times as long."""


@cache
def _small() -> list[Base]:
    return bases.excerpts() + bases.built()


@cache
def _without_vmdesc() -> list[Base]:
    return [bases.without_vmdesc(base) for base in _small()]


@cache
def _described() -> list[Base]:
    return [base for base in _small() if base.description is not None]


@cache
def _with_devices() -> list[Base]:
    return [base for base in bases.excerpts() if base.devices]


@cache
def _with_ram() -> list[Base]:
    built = [base for base in bases.built() if base.ram]
    return [*built, *(bases.without_vmdesc(base) for base in built)]


def names() -> list[str]:
    """What streams are made from."""
    return [base.name for base in [*_small(), *bases.whole_streams()]]


def any_stream(rng: Random) -> Input:
    """A stream with anything changed in it."""
    base = rng.choice(bases.whole_streams() if rng.random() < WHOLE_SHARE else _small())
    return Input(base.name, changed(rng, base))


def with_device(rng: Random) -> Input:
    """A stream with a device with MSI-X, and anything changed in it."""
    base = rng.choice(_with_devices())
    return Input(base.name, device_changed(rng, base) if rng.random() < 0.4 else changed(rng, base))


def without_vmdesc(rng: Random) -> Input:
    """A stream without vmdesc, which is read forward and by looking for what comes next."""
    base = rng.choice(_without_vmdesc())
    return Input(base.name, changed(rng, base))


def changed(rng: Random, base: Base) -> bytes:
    """The bytes of a stream with something changed: bytes, items or the vmdesc."""
    how = rng.random()
    if how < 0.6:
        return octets.mutate(rng, base.data, base.places, _others())
    if how < 0.75 and base.items:
        return _items_changed(rng, base)
    if how < 0.9 and base.description is not None:
        return described_anew(rng, base)
    return octets.mutate(rng, _items_changed(rng, base) if base.items else base.data, base.places)


@cache
def _others() -> tuple[bytes, ...]:
    return tuple(base.data for base in _small())


def _items_changed(rng: Random, base: Base) -> bytes:
    """Items deleted, repeated, swapped, or put in from another stream."""
    items = [base.data[start:end] for start, end in base.items]
    head, tail = base.data[: base.items[0][0]], base.data[base.items[-1][1] :]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, to = rng.randrange(len(items)), rng.randrange(len(items))
        how = rng.randrange(5)
        if how == 0 and len(items) > 1:
            del items[at]
        elif how == 1:
            items[at:at] = [items[at]] * rng.choice((1, 1, 2, 30))
        elif how == 2:
            items[at], items[to] = items[to], items[at]
        elif how == 3:
            other = rng.choice(_small())
            start, end = rng.choice(other.items)
            items.insert(at, other.data[start:end])
        else:
            items[at] = octets.mutate(rng, items[at]) or b"\0"
    return b"".join((head, *items, tail))[: octets.MOST]


def description(rng: Random) -> Input:
    """A stream whose vmdesc is other JSON, its length mostly right."""
    base = rng.choice(_described())
    return Input(base.name, described_anew(rng, base))


def described_anew(rng: Random, base: Base) -> bytes:
    """The bytes of a stream with its vmdesc mutated as JSON."""
    assert base.description is not None
    start, end = base.description
    old = base.data[start:end].decode("utf-8", "surrogateescape")
    text = json_text.mutate(rng, old, words=TYPES).encode("utf-8", "surrogateescape")[: octets.MOST]
    length = len(text) if rng.random() < 0.97 else len(text) + rng.choice((-1, 1, -100, 1000, 1 << 30))
    tail = rng.choice((b"", b"", b"", b"\0" * 600, b"\x06\0\0\0\2{}"))
    return base.data[: start - 4] + (length & 0xFFFFFFFF).to_bytes(4, "big") + text + tail


def device(rng: Random) -> Input:
    """A stream with something changed in a section with MSI-X, its length the same."""
    base = rng.choice(_with_devices())
    low, high = rng.choice(base.devices)
    places = [place for place in base.places if low <= place[0] < high]
    data = octets.mutate(rng, base.data, places, low=low, high=high, resize=False)
    if rng.random() < 0.3 and base.description is not None:
        data = data[: base.description[0] - 5]
    return Input(base.name, data)


def ram(rng: Random) -> Input:
    """A stream with something changed in its RAM records."""
    base = rng.choice(_with_ram())
    low, high = rng.choice(base.ram)
    places = _record_places(base.data, low, high)
    return Input(base.name, octets.mutate(rng, base.data, places, low=low, high=high))


@cache
def _record_places(data: bytes, low: int, high: int) -> Sequence[octets.Place]:
    """Numbers in RAM records: headers stand behind each other, or behind a page, at any offset."""
    places: list[octets.Place] = [(at, 8) for at in range(low, min(high, low + 96), 8)]
    at = low
    while at < high - 8:
        header = int.from_bytes(data[at : at + 8], "big")
        if header < 1 << 20 and header & 0x3FF:
            places += [(at, 8), (at + 7, 1), (at + 6, 2), (at + 8, 1)]
            at += 8
        else:
            at += 1
    return places[:: max(1, len(places) // 400)]


@cache
def _mapped() -> Base:
    (base,) = [base for base in bases.built() if base.name == "built: mapped-ram"]
    return base


def mapped(rng: Random) -> Input:
    """RAM laid out for a file, with other headers, bitmaps and blocks; beside it the one that it was."""
    base = _mapped()
    low, high = base.ram[0]
    places = [place for at in range(low, 4096, 4) for place in ((at, 4), (at, 8))]
    places += [(low, 8), (high - 13, 8)] * 40
    how = rng.random()
    data = octets.mutate(rng, base.data, places, high=None if how < 0.3 else 256, resize=how < 0.5)
    return Input(base.name, changed(rng, base) if how > 0.9 else data, base.data)


def pair(rng: Random) -> Input:
    """A mutated stream beside a real one: mostly the one that it was made from."""
    small = bases.excerpts()
    base = rng.choice(bases.whole_streams() if rng.random() < 4 * WHOLE_SHARE else small)
    other = base if rng.random() < 0.7 else rng.choice(small)
    data = device_changed(rng, base) if rng.random() < 0.3 else changed(rng, base)
    return Input(base.name, data, other.data)


def device_changed(rng: Random, base: Base) -> bytes:
    """A stream with bytes of its device state changed in their places."""
    low, high = rng.choice(base.devices) if base.devices else (8, len(base.data))
    return octets.mutate(rng, base.data, base.places, low=low, high=high, resize=False)
