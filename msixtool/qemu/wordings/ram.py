"""RAM: its blocks, their sizes and places, and the records of its pages.

Source: QEMU migration/ram.c, system/physmem.c (qemu_ram_resize), migration/postcopy-ram.c.
"""

from __future__ import annotations

from msixtool.qemu.wordings.wording import HEX, NUMBER, wording

_BLOCK = r"(?P<block>[^\n\"]{1,255}?)"

RAM = (
    wording(
        "block-unknown",
        r"Unknown ramblock \"(?P<block>[^\"\n]{0,255})\"",
        "Unknown ramblock",
    ),
    wording(
        "block-size",
        rf"Size mismatch: {_BLOCK}: 0x(?P<source>{HEX}) != 0x(?P<target>{HEX})",
        "Size mismatch: ",
        base=16,
        since=(5, 2),
    ),
    wording(
        "block-size",
        rf"Length mismatch: {_BLOCK}: 0x(?P<source>{HEX}) in != 0x(?P<target>{HEX})",
        "Length mismatch: ",
        base=16,
        until=(5, 1),
    ),
    wording(
        # Without the prefix, though hexadecimal all the same.
        "block-size",
        rf"Length mismatch: {_BLOCK}: (?P<source>{HEX}) in != (?P<target>{HEX})",
        "Length mismatch: ",
        base=16,
        until=(2, 1),
    ),
    *(
        wording(
            "block-too-large",
            rf"{words} too large: {_BLOCK}: 0x(?P<source>{HEX}) > 0x(?P<target>{HEX})",
            f"{words} too large: ",
            base=16,
        )
        for words in ("Size", "Length")
    ),
    wording(
        "block-page-size",
        rf"Mismatched RAM page size {_BLOCK} \(local\) (?P<target>{NUMBER}) != (?P<source>{NUMBER})",
        "Mismatched RAM page size",
        base=10,
    ),
    wording(
        "block-address",
        rf"Mismatched GPAs for block {_BLOCK} (?P<source>{NUMBER}) ?!= (?P<target>{NUMBER})",
        "Mismatched GPAs for block",
        base=10,
    ),
    wording(
        "block-not-migratable",
        rf"block {_BLOCK} should not be migrated",
        "should not be migrated",
    ),
    wording("block-lost", r"Can't find block (?P<block>[^\s\"!]{1,255})", "Can't find block", weak=True),
    wording("block-first", r"Ack, bad migration stream"),
    wording(
        "page-outside",
        rf"Illegal RAM offset (?P<source>{HEX})",
        "Illegal RAM offset",
        base=16,
        after=("block-lost", "block-first", "block-not-migratable"),
    ),
    wording(
        "zero-page",
        rf"Found a zero page with value (?P<source>{NUMBER})",
        "Found a zero page with value",
        base=10,
        since=(8, 2),
    ),
    wording(
        "ram-flags",
        rf"Unknown combination of migration flags: (?:0x)?(?P<source>{HEX})",
        "Unknown combination of migration flags",
        base=16,
    ),
    wording(
        "ram-flags",
        rf"Unexpected RAM flags: (?P<source>{NUMBER})",
        "Unexpected RAM flags",
        base=10,
        since=(9, 0),
    ),
    wording(
        "ram-cut",
        r"Getting RAM address failed",
        since=(10, 0),
    ),
    wording(
        "xbzrle",
        r"Failed to load XBZRLE page - (?P<what>wrong compression|len overflow|decode error)",
        "Failed to load XBZRLE page",
    ),
    wording(
        "xbzrle",
        rf"Failed to decompress XBZRLE page at (?P<address>{HEX})",
        "Failed to decompress XBZRLE page",
        after=("xbzrle",),
    ),
    wording(
        "compressed-page",
        r"Received an unexpected compressed page",
        until=(9, 0),
    ),
    wording(
        "compressed-length",
        rf"Invalid compressed data length: (?P<source>{NUMBER})",
        "Invalid compressed data length",
        base=10,
        until=(9, 0),
    ),
    wording(
        "mapped-version",
        rf"mapped-ram capability version not supported \(expected <= (?P<target>{NUMBER}),"
        rf" got (?P<source>{NUMBER})\)",
        "mapped-ram capability version not supported",
        base=10,
        since=(9, 0),
    ),
    wording(
        "mapped-page-size",
        rf"mapped-ram header has invalid page_size (?P<source>{NUMBER}) \(expected (?P<target>{NUMBER})\)",
        "mapped-ram header has invalid page_size",
        base=10,
        since=(9, 0),
    ),
    wording(
        "mapped-cut",
        rf"Could not read whole mapped-ram migration header \(expected (?P<target>{NUMBER}),"
        rf" got (?P<source>{NUMBER}) bytes\)",
        "Could not read whole mapped-ram migration header",
        base=10,
        since=(9, 0),
    ),
    wording("mapped-pages", r"Error reading dirty bitmap", since=(9, 0), weak=True),
    wording(
        "mapped-pages",
        r"(?:zero )?page outside of ramblock (?P<block>[^\s\"]{1,255}) range",
        "page outside of ramblock",
        since=(9, 0),
    ),
    wording(
        "mapped-pages",
        r"Error reading ramblock (?P<block>[^\s\"]{1,255}) pages, region has bad alignment",
        "region has bad alignment",
        since=(9, 0),
    ),
)
