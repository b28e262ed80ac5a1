"""The one door of this room: bytes in, index out."""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.errors import FormatError, NotAStreamError
from msixtool.formats import qevm
from msixtool.stream import backward
from msixtool.stream import description as vmdesc
from msixtool.stream.forward import ForwardReader
from msixtool.stream.items import Damage, DamageRule, StreamIndex


def read_stream(source: Source, *, origin: int = 0, walk: bool = False) -> StreamIndex:
    """The index of the stream that `source` holds from its first byte on.

    `origin` is the offset of that byte in its file, which mapped-ram offsets count from. With
    `walk` every RAM record is passed over and counted; without it RAM is left alone where the
    vmdesc makes that possible.

    Raises NotAStreamError where there is no stream of a version that QEMU reads. Everything
    later that is wrong is damage in the index.
    """
    version = _version(source)
    damage: list[Damage] = []
    description = None
    if not source.sequential:
        try:
            description = vmdesc.find(source)
        except FormatError as error:
            damage.append(Damage.of(error, 0, DamageRule.VMDESC))
    if description is not None and not walk:
        reader = ForwardReader(source, StreamIndex(version), origin=origin)
        offset = reader.header()
        reader.ends.use(description)
        if not reader.index.damage and backward.read(reader, offset, description):
            return reader.index
    reader = ForwardReader(source, StreamIndex(version, damage=damage), origin=origin)
    offset = reader.header()
    reader.ends.use(description)
    reader.read(offset)
    return reader.index


def _version(source: Source) -> int:
    header = source.read(0, qevm.HEADER_SIZE)
    if not header:
        raise NotAStreamError("the file is empty", offset=0, expected="a QEMU migration stream")
    if header[:4] != qevm.MAGIC[: len(header)] or len(header) < qevm.HEADER_SIZE:
        raise NotAStreamError(
            "not a QEMU migration stream", offset=0, expected="QEVM and a version", found=repr(header)
        )
    version = int.from_bytes(header[4:], "big")
    if version != qevm.VERSION:
        raise NotAStreamError("stream version", offset=4, expected=qevm.VERSION, found=version)
    return version
