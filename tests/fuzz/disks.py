"""qcow2 images with snapshots: recorded ones, small ones made here, and changes that leave them images.

Most of what a header or a snapshot table may say is refused before a cluster is looked for. So most
changes are to the tables behind the front door: entries become other entries, flags, neighbours.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from functools import cache
from random import Random
from typing import NamedTuple

from tests.fuzz import bases, octets
from tests.fuzz.octets import Place
from tests.fuzz.outcome import Input

_LARGEST = 3 << 20
_RECORDED = (
    *("v2", "v3", "clusters-512", "extended-l2", "compressed-zlib", "compressed-zstd"),
    *("disk-only", "external-data", "encrypted"),
)
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_COPIED = 1 << 63
_CLUSTER = 512


class Disk(NamedTuple):
    """An image with the numbers of its head and snapshot table, and the words of its L1 and L2 tables."""

    name: str
    data: bytes
    head: tuple[Place, ...]
    tables: tuple[Place, ...]


@cache
def _disks() -> list[Disk]:
    """Recorded images without the zeros at their end, and small ones of each kind, which are quick."""
    made = []
    for name in _RECORDED:
        data = lzma.decompress((bases.DATA / "containers" / f"{name}.qcow2.xz").read_bytes())
        made.append((f"{name}.qcow2", data.rstrip(b"\0")[:_LARGEST] + bytes(_CLUSTER)))
    for base in [base for base in bases.excerpts() if len(base.data) < 8000][::40]:
        for packed in (False, True):
            for version in (2, 3):
                made.append((f"built, version {version}: {base.name}", small(base.data, version, packed)))
    return [Disk(name, data, *places(data)) for name, data in made]


def small(stream: bytes, version: int = 3, packed: bool = False) -> bytes:
    """An image of clusters of 512 bytes that has nothing but one snapshot with this VM state.

    Its disk is one byte long. With `packed` every other cluster is compressed.
    """
    state = [stream[at : at + _CLUSTER] for at in range(0, len(stream), _CLUSTER)]
    entries = _CLUSTER // 8
    tables = -(-len(state) // entries)
    l1_at, l2_at = 2 * _CLUSTER, (3 + tables // entries) * _CLUSTER
    end = l2_at + tables * _CLUSTER
    clusters, words = bytearray(), []
    for number, cluster in enumerate(state):
        if packed and number % 2:
            packer = zlib.compressobj(9, zlib.DEFLATED, -12)
            body = packer.compress(cluster.ljust(_CLUSTER, b"\0")) + packer.flush()
            body = body.ljust(-(-len(body) // _CLUSTER) * _CLUSTER, b"\0")
            # The number of additional sectors stands in bits 61 and below, by the size of a cluster.
            words.append(_COMPRESSED | (len(body) // _CLUSTER - 1) << 61 | end + len(clusters))
        else:
            body = cluster.ljust(_CLUSTER, b"\0")
            words.append(_COPIED | end + len(clusters))
        clusters += body
    # The state begins where the L2 table behind the disk's own does.
    l1 = [0, *(_COPIED | l2_at + number * _CLUSTER for number in range(tables))]
    head = struct.pack(">4s2IQ", b"QFI\xfb", version, 0, 0)[:16] + struct.pack(
        ">2IQ2I2Q2IQ", 0, 9, 1, 0, 1, l1_at, 0, 0, 1, _CLUSTER
    )
    if version > 2:
        head += struct.pack(">3Q2I", 0, 0, 0, 4, 104) + bytes(8)
    entry = struct.pack(">QI2H2IQ2I", l1_at, len(l1), 1, 4, 1_700_000_000, 5, 10**9, 0, 24)
    entry += struct.pack(">3Q", len(stream), 1, 2**64 - 1) + b"1name"
    return b"".join(
        (
            head.ljust(_CLUSTER, b"\0"),
            entry.ljust(_CLUSTER, b"\0"),
            struct.pack(f">{len(l1)}Q", *l1).ljust(l2_at - l1_at, b"\0"),
            struct.pack(f">{len(words)}Q", *words).ljust(tables * _CLUSTER, b"\0"),
            clusters,
        )
    )


def _word(data: bytes, place: Place) -> int:
    offset, width = place
    return int.from_bytes(data[offset : offset + width], "big")


def places(data: bytes) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """The numbers of header and snapshot table, and the entries of L1 tables and their L2 tables."""
    head: list[Place] = [(4, 4), (20, 4), (24, 8), (32, 4), (36, 4), (40, 8), (60, 4), (64, 8)]
    head += [(72, 8), (96, 4), (100, 4), (104, 1)]
    cluster = 1 << min(_word(data, (20, 4)), 16)
    tables = [(_word(data, (40, 8)), _word(data, (36, 4)))]
    at = _word(data, (64, 8))
    for _ in range(min(8, _word(data, (60, 4)))):
        if at + 40 > len(data):
            break
        tables.append((_word(data, (at, 8)), _word(data, (at + 8, 4))))
        head += [(at, 8), (at + 8, 4), (at + 12, 2), (at + 14, 2), (at + 32, 4), (at + 36, 4)]
        head += [(at + 40, 8), (at + 48, 8)]
        at += (40 + sum(_word(data, (at + o, w)) for o, w in ((12, 2), (14, 2), (36, 4))) + 7) // 8 * 8
    words: list[Place] = []
    for offset, size in tables:
        for entry in range(offset, min(offset + 8 * min(size, 64), len(data) - 8), 8):
            words.append((entry, 8))
            second = _word(data, (entry, 8)) & _OFFSET
            if 0 < second < len(data) - cluster:
                words += [(place, 8) for place in range(second, second + 256, 8)]
    return tuple(place for place in head if sum(place) <= len(data)), tuple(words)


def names() -> list[str]:
    """What images are made from."""
    return [disk.name for disk in _disks()]


def image(rng: Random) -> Input:
    """A qcow2 image with other tables, snapshots or sizes; the size of the file stays, mostly."""
    disk = rng.choice(_disks())
    return Input(disk.name, _changed(rng, disk.data, disk.head, disk.tables))


def mutate(rng: Random, data: bytes) -> bytes:
    """The same for any image."""
    head, tables = places(data)
    return _changed(rng, data, head, tables)


def _changed(rng: Random, data: bytes, head: tuple[Place, ...], tables: tuple[Place, ...]) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.random()
        if how < 0.6 and tables:
            offset, width = rng.choice(tables)
            made[offset : offset + width] = _entry(rng, data, offset, tables).to_bytes(8, "big")
        elif how < 0.75 and head:
            offset, width = place = rng.choice(head)
            value = octets.nearby(rng, made, place) if rng.random() < 0.6 else octets.integer(rng, width)
            made[offset : offset + width] = value
        else:
            low = min(len(data) - 1, rng.choice((0, 1024, 4096)))
            made[:] = octets.mutate(rng, bytes(made), low=max(0, low), resize=how > 0.97)
    if rng.random() < 0.05:
        del made[rng.randrange(len(made) + 1) :]
    return bytes(made)


def _entry(rng: Random, data: bytes, at: int, tables: tuple[Place, ...]) -> int:
    """An L1 or L2 entry: that of another, with another flag, a cluster further, or none."""
    value = _word(data, (at, 8))
    other = _word(data, rng.choice(tables))
    return rng.choice(
        (
            other,
            value ^ rng.choice((1, _COMPRESSED, _COPIED, _COMPRESSED | _COPIED)),
            value + rng.choice((-_CLUSTER, _CLUSTER, 1 << 16, 8)) & (1 << 64) - 1,
            _COMPRESSED | other,
            rng.randrange(len(data) + 4096) & ~511 | rng.choice((0, 1, _COPIED)),
            0,
            1,
            rng.getrandbits(64),
        )
    )
