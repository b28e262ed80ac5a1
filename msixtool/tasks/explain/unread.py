"""Whether a log in which nothing was found holds QEMU's words all the same, in an unknown wrapping."""

from __future__ import annotations

import base64
import re

_WORDS = (
    b"load of migration failed",
    b"error while loading state",
    b"while loading VM state",
    b"Unknown savevm section",
    b"Bad config data",
    b"Missing section footer",
    b"unexpectedly closed the monitor",
)
"""What QEMU and libvirt say of most failures."""
_NOT_LETTERS = re.compile(rb"[^a-z]+")
_WHITE = re.compile(rb"\s+")


def looks_like_qemu(data: bytes) -> bool:
    """By the letters alone, or in base64 or as hexadecimal digits, wherever lines were broken."""
    letters = _NOT_LETTERS.sub(b"", data.lower())
    if any(mark in letters for mark in _LETTERS):
        return True
    joined = _WHITE.sub(b"", data)
    return any(mark in joined for mark in _BASE64) or any(mark in joined.lower() for mark in _HEX)


def _base64(words: bytes) -> list[bytes]:
    """How base64 writes words, wherever they begin: the digits that nothing else has a part in."""
    return [
        base64.b64encode(bytes(before) + words)[4 if before else 0 :][: (len(words) - 3) // 3 * 4]
        for before in range(3)
    ]


_LETTERS = [_NOT_LETTERS.sub(b"", words.lower()) for words in _WORDS]
_BASE64 = [digits for words in _WORDS for digits in _base64(words)]
_HEX = [words.hex().encode() for words in _WORDS]
