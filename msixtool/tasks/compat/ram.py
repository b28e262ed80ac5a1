"""The list of RAM blocks: each block of the source has to be there, in the same size.

Source: QEMU migration/ram.c (parse_ramblocks), system/physmem.c (qemu_ram_resize). Blocks that only
the target has are no matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.formats.ram import IDSTR
from msixtool.qemu import advice, refusals
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.stream.items import RamBlock
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Finding, finding_of
from msixtool.words import byte_size

RESIZEABLE: dict[str, int] = {
    "/rom@etc/acpi/tables": 0x200000,
    "/rom@etc/acpi/rsdp": 0x1000,
    "/rom@etc/table-loader": 0x10000,
}
"""Blocks that grow and shrink with the source's, and how long they can get, in bytes."""


def ram_findings(source: Side, target: TargetSide) -> Iterator[Finding]:
    """In the order of the source's list."""
    for block in source.dump.index.blocks:
        ours = target.blocks.get(block.idstr)
        if ours is None:
            yield _missing(block)
        else:
            yield from _size(block, ours)
            yield from _address(block, ours)


def _finding(refusal: Refusal, block: RamBlock, **values: Any) -> Finding:
    advised = advice.on_ram(block.idstr, refusal.code.value)
    return finding_of(refusal, IDSTR, 0, block=block.idstr, advice=advised, **values)


def _missing(block: RamBlock) -> Finding:
    size = f" of {byte_size(block.used_length)}"
    return _finding(refusals.BLOCK_MISSING, block, source=block.used_length, size=size)


def _size(block: RamBlock, ours: RamBlock) -> Iterator[Finding]:
    theirs = block.used_length
    if theirs == ours.used_length or theirs <= RESIZEABLE.get(block.idstr, 0):
        return
    yield _finding(
        refusals.BLOCK_SIZE,
        block,
        source=theirs,
        target=ours.used_length,
        theirs=byte_size(theirs),
        ours=byte_size(ours.used_length),
        most="",
    )


def _address(block: RamBlock, ours: RamBlock) -> Iterator[Finding]:
    """With x-ignore-shared the list says where in guest memory a block stands."""
    if None not in (block.address, ours.address) and block.address != ours.address:
        yield _finding(refusals.BLOCK_ADDRESS, block, source=block.address, target=ours.address)
