"""XBZRLE: what changed of a page, as runs of bytes that stay and runs that are new.

Source: QEMU migration/xbzrle.c, xbzrle_decode_buffer, and util/cutils.c, uleb128_decode_small.
"""

from __future__ import annotations

from msixtool.errors import FormatError

_MORE = 0x80


def patched(delta: bytes, page: bytes) -> bytes:
    """The page that `delta` makes of `page`. Raises FormatError where it does not fit."""
    made, at, place = bytearray(page), 0, 0
    while at < len(delta):
        stays, at = _number(delta, at)
        new, at = _number(delta, at)
        place += stays
        if not new or place + new > len(page) or at + new > len(delta):
            found = f"{new} bytes for offset {place}"
            raise FormatError("XBZRLE record", expected="bytes inside the page", found=found)
        made[place : place + new] = delta[at : at + new]
        place, at = place + new, at + new
    return bytes(made)


def _number(delta: bytes, at: int) -> tuple[int, int]:
    """A ULEB128 of one byte or two, and the offset behind it."""
    size = 2 if at < len(delta) and delta[at] & _MORE else 1
    digits = delta[at : at + size]
    if len(digits) < size or digits[-1] & _MORE:
        raise FormatError("XBZRLE record", expected="a length of one byte or two", found=digits.hex())
    return digits[0] & ~_MORE | (digits[1] << 7 if size > 1 else 0), at + size
