"""Frames that zstd and lz4 files may hold for other programs, and that are skipped.

Source: RFC 8878, section 3.1.2 (skippable frames); the LZ4 frame format, skippable frames.
"""

from __future__ import annotations

from construct import Int32ul, Struct

SKIPPABLE = tuple(bytes([low, 0x2A, 0x4D, 0x18]) for low in range(0x50, 0x60))
"""The magic numbers that one begins with, as bytes."""

HEAD = Struct("magic" / Int32ul, "size" / Int32ul)
"""What it begins with: `size` bytes of the other program's follow."""
