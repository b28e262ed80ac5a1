"""The one door of this room: bytes in, index out."""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.errors import FormatError, NotAStreamError
from msixtool.formats import build, parse, qevm
from msixtool.formats.qevm import ItemType
from msixtool.stream import backward
from msixtool.stream.description import Vmdesc, find_vmdesc
from msixtool.stream.forward import ForwardReader
from msixtool.stream.items import Damage, DamageRule, StreamIndex

_NEAR = 1 << 16
"""How many bytes of either end of RAM's parts are looked through for another stream."""
_SIGNS = (
    build(qevm.HEADER, {"magic": qevm.MAGIC, "version": qevm.VERSION}, what="header"),
    b'{"page_size"',
    b'{ "page_size"',
    b'{"configuration"',
)
"""How a stream begins, and a vmdesc: of QEMU from 6.0 on, up to 5.2, and from 8.2 on."""


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
            description = find_vmdesc(source)
        except FormatError as error:
            damage.append(Damage.of(error, 0, DamageRule.VMDESC))
    if description is not None and not walk:
        reader = ForwardReader(source, StreamIndex(version), origin=origin)
        offset = reader.header()
        reader.ends.use(description)
        read = not reader.index.damage and backward.read_from_end(reader, offset, description)
        if read and not _another_is_inside(source, reader.index):
            reader.index.from_end = True
            return reader.index
    reader = _read_forward(source, StreamIndex(version, damage=list(damage)), origin, description)
    if reader.ends.misled:
        # The vmdesc at the end of the file is another stream's: again, with this one's own.
        own = reader.index.description
        reader = _read_forward(source, StreamIndex(version, damage=damage), origin, own, last=True)
    return reader.index


def _read_forward(
    source: Source,
    index: StreamIndex,
    origin: int,
    description: Vmdesc | None,
    *,
    last: bool = False,
) -> ForwardReader:
    """Read all of a stream; with `last` no vmdesc but `description` counts."""
    reader = ForwardReader(source, index, origin=origin)
    offset = reader.header()
    reader.ends.use(description, last=last)
    reader.read(offset)
    return reader


def _another_is_inside(source: Source, index: StreamIndex) -> bool:
    """Whether a stream ends or begins between the parts of RAM, as far as the bytes near their ends show.

    So it is where files were joined, or where a stream was written over a longer one. QEMU reads the first,
    and only a walk tells where that ends.
    """
    parts = [item for item in index.items if item.type == ItemType.SECTION_PART]
    if not parts:
        return False
    start, end = parts[0].offset, parts[-1].end
    near = min(_NEAR, end - start)
    places = {start, end - near}
    heads = [source.read(place, near) for place in places]
    # Backwards, for that is five times as quick where many bytes are zero.
    return any(head.rfind(sign) >= 0 for head in heads for sign in _SIGNS)


def _version(source: Source) -> int:
    header = source.read(0, qevm.HEADER_SIZE)
    if not header:
        raise NotAStreamError("the file is empty", offset=0, expected="a QEMU migration stream")
    if header[:4] != qevm.MAGIC[: len(header)] or len(header) < qevm.HEADER_SIZE:
        raise NotAStreamError(
            "not a QEMU migration stream", offset=0, expected="QEVM and a version", found=repr(header)
        )
    version: int = parse(qevm.HEADER, header, what="header").version
    if version != qevm.VERSION:
        raise NotAStreamError("stream version", offset=4, expected=qevm.VERSION, found=version)
    return version
