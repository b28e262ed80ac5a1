"""What bytes look like that are no stream, in words for the one line of an error."""

from __future__ import annotations

KNOWN = (
    (b"\x11\x22\x33\x44", "a multifd channel of a migration (the main channel begins with QEVM)"),
    (b"\x7fELF", "an ELF file (perhaps a memory dump, which holds no device state)"),
    (b"KDUMP   ", "a compressed kernel dump, which holds no device state"),
    (b"QFI\xfb", "a qcow2 image of an unknown version"),
    (b"KDMV", "a VMDK disk image"),
    (b"# Disk DescriptorFile", "a VMDK disk image"),
    (b"conectix", "a VHD disk image"),
    (b"vhdxfile", "a VHDX disk image"),
    (b"<<< ", "a VirtualBox disk image"),
    (b"QED\0", "a QED disk image"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (unpack it first)"),
    (b"\x02\x21\x4c\x18", "LZ4 data in the legacy format (pack it without -l)"),
    (b"]\0\0", "LZMA data of the old format (pack it with xz)"),
    (b"%PDF", "a PDF document"),
    (b"<domain", "a libvirt domain XML"),
    (b"<", "XML or HTML text"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)
"""First bytes and what has them, the longer before the shorter."""

_SHOWN = 16
"""Bytes that are shown of what is not known."""


def looks_like(head: bytes) -> str:
    """In a few words, what begins with `head`."""
    if not head:
        return "nothing: it is empty"
    for magic, words in KNOWN:
        if head.startswith(magic):
            return words
    if head[257:262] == b"ustar":
        return "a tar archive (unpack it first)"
    if not head.strip(b"\0"):
        return f"{len(head)} zero bytes at the start (--offset skips leading bytes)"
    if _is_text(head):
        return f"text: {head.splitlines()[0].decode(errors='replace')[:40]!r}"
    return f"bytes {head[:_SHOWN].hex(' ')}"


def _is_text(head: bytes) -> bool:
    """Whether these are printable ASCII characters and white space."""
    return all(byte in b"\t\n\r\x1b" or 32 <= byte < 127 for byte in head)
