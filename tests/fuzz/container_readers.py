"""Readers of containers: compressed files of each kind, libvirt's save images, qcow2, layers in layers."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from random import Random
from typing import Any

from msixtool import Dump
from msixtool.containers.open import open_source
from tests.containers.recorded import ZSTD
from tests.fuzz import bases, octets
from tests.fuzz.octets import Place
from tests.fuzz.outcome import Input, Outcome
from tests.fuzz.stream_readers import outcome

FOLDER = bases.DATA / "containers"
KINDS = ("gzip", "bzip2", "xz", "zstd", "lz4", "lzop")


def _file(name: str) -> bytes:
    data = (FOLDER / name).read_bytes()
    return lzma.decompress(data) if name.endswith(".xz") and name not in ("stream.xz", "members.xz") else data


@cache
def _packed() -> list[tuple[str, bytes]]:
    """Files of each compression, as the programs themselves wrote them, and of small streams."""
    names = [f"{part}.{kind}" for part in ("stream", "members") for kind in KINDS] + ["crc32.lzop"]
    found = [(name, _file(name)) for name in names]
    for base in bases.excerpts()[::16] + bases.built()[:3] + bases.whole_streams()[:3]:
        for kind, pack in PACKERS.items():
            found.append((f"{kind} of {base.name}", pack(_noisy(base.data))))
    return found


def _zstd(data: bytes) -> bytes:
    return bytes(import_module(ZSTD).compress(data))


def _lz4(data: bytes) -> bytes:
    from lz4 import frame  # type: ignore[import-untyped]

    return bytes(frame.compress(data))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": _zstd,
    "lz4": _lz4,
}
"""Ways to compress; lzop has files of its own only."""


def _noisy(data: bytes) -> bytes:
    """A stream with pages that do not compress behind it: damage comes after some of it was read."""
    return data + Random(len(data)).randbytes(60_000) if len(data) > 100_000 else data


def packed_names() -> list[str]:
    return [name for name, _ in _packed()]


def packed(rng: Random) -> Input:
    """A compressed file with something changed, the more often near its start, where its header is."""
    if rng.random() < 0.001:
        return Input(*rng.choice(_bombs()))
    name, data = rng.choice(_packed())
    if rng.random() < 0.4:
        places: list[Place] = [(at, width) for at in range(min(24, len(data) - 8)) for width in (1, 4)]
        return Input(name, octets.mutate(rng, data, places, [rng.choice(_packed())[1]], high=128))
    return Input(name, octets.mutate(rng, data, (), [rng.choice(_packed())[1]]))


@cache
def _images() -> list[tuple[str, bytes]]:
    names = ("raw", "gzip", "bzip2", "xz", "lzop")
    found = [(f"libvirt-{name}.xz", _file(f"libvirt-{name}.xz")) for name in (*names, "incomplete")]
    for base in bases.excerpts()[::24]:
        for number, (kind, pack) in enumerate({"raw": bytes, **PACKERS}.items()):
            code = {"raw": 0, "gzip": 1, "bzip2": 2, "xz": 3, "zstd": 5}.get(kind)
            if code is not None:
                order = "<>"[number % 2]
                found.append((f"libvirt {kind} of {base.name}", _save_image(pack(base.data), code, order)))
    return found


def _save_image(stream: bytes, code: int, order: str) -> bytes:
    xml = b"<domain type='kvm'><name>x</name></domain>\0<cookie/>\0"
    words = struct.pack(f"{order}5I14I", 2, len(xml), 1, code, xml.index(b"\0") + 1, *[0] * 14)
    return b"LibvirtQemudSave" + words + xml + stream


def image_names() -> list[str]:
    return [name for name, _ in _images()]


def image(rng: Random) -> Input:
    """A save image with another header, XML or stream."""
    name, data = rng.choice(_images())
    order = rng.choice((92, 92, len(data)))
    places: list[Place] = [(at, 4) for at in range(16, 36, 4)] + [(0, 16), (12, 4)]
    return Input(name, octets.mutate(rng, data, places, high=order))


@cache
def _inner() -> list[tuple[str, bytes]]:
    small = bases.excerpts()[::8]
    return [(base.name, base.data) for base in small] + _images()[:4]


def inner_names() -> list[str]:
    return [name for name, _ in _inner()]


def layers(rng: Random) -> Input:
    """Containers in containers, each mutated or left as it is, up to more than are allowed."""
    name, data = rng.choice(_inner())
    kinds = []
    for _ in range(rng.choice((1, 2, 2, 3, 4, 8, 9))):
        if rng.random() < 0.2:
            data = octets.mutate(rng, data)
        kind = rng.choice((*PACKERS, "libvirt"))
        data = _save_image(data, rng.randrange(6), "<") if kind == "libvirt" else PACKERS[kind](data)
        kinds.append(kind)
    if rng.random() < 0.3:
        data = octets.mutate(rng, data)
    return Input(f"{' of '.join(reversed(kinds))} of {name}", data)


@cache
def _bombs() -> list[tuple[str, bytes]]:
    """Data that unpack to very much, with a stream at the start or without."""
    found = []
    for head in (b"", b"QEVM\0\0\0\3", b"LibvirtQemudSave"):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        body = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64))
        body += packer.flush()
        found.append((f"64 MiB of zeros behind {head!r}", body))
        found.append((f"the same packed twice: {head!r}", gzip.compress(body, mtime=0)))
    return found


def read(made: Input) -> Outcome:
    """Down to the stream in it, to its devices, and to the checksums at the end."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        _ = dump.devices, dump.layers, dump.snapshots, dump.domain_xml()
        return outcome(dump)


def read_bytes(made: Input) -> Outcome:
    """The bytes of what is inside alone, here and there, to the end: no stream is asked of them."""
    with open_source(io.BytesIO(made.data)) as opened:
        _ = opened.source.read(0, 4096), opened.source.read(1 << 16, 512), opened.source.read(10, 10)
        damage: Any = opened.verify()
        return Outcome.WHOLE if damage is None else Outcome.PARTLY
