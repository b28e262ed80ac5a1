"""libvirt's save images (`virsh save`, managed saves, memory of external snapshots).

Source: libvirt src/qemu/qemu_saveimage.h and qemu_saveimage_format.h. The integers have the byte
order of the host that wrote the image. The header is followed by `data_len` bytes: the domain
XML with its NUL, at `cookie_offset` (if that is not 0) a second XML with its NUL, padding. Then
comes the QEMU stream, compressed as a whole by the program that `format` names.
"""

from __future__ import annotations

from typing import Any

from construct import Bytes, Enum, Int32ub, Int32ul, Struct

from msixtool.formats import sizeof

MAGIC_SIZE = 16
MAGIC_COMPLETE = b"LibvirtQemudSave"
MAGIC_INCOMPLETE = b"LibvirtQemudPart"
"""The save had not ended when the header was written; libvirt rewrites it at the end."""

MAX_VERSION = 2
"""A greater version means that the header has the other byte order."""

FORMATS = {"raw": 0, "gzip": 1, "bzip2": 2, "xz": 3, "lzop": 4, "zstd": 5, "sparse": 6}
"""Names of `format`; sparse (libvirt 11.2) is an uncompressed stream with mapped-ram."""


def _header(word: Any) -> Any:
    return Struct(
        "magic" / Bytes(MAGIC_SIZE),
        "version" / word,
        "data_len" / word,
        "was_running" / word,
        "format" / Enum(word, **FORMATS),
        "cookie_offset" / word,
        "unused" / word[14],
    )


HEADER_LITTLE = _header(Int32ul)
HEADER_BIG = _header(Int32ub)
HEADER_SIZE = sizeof(HEADER_LITTLE)
