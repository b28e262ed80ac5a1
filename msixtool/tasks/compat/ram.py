"""The list of RAM blocks: each block of the source has to be there, in the same size.

Source: QEMU migration/ram.c (parse_ramblocks), system/physmem.c (qemu_ram_resize). Blocks that only
the target has are no matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.formats.ram import SECTION
from msixtool.qemu import advice
from msixtool.stream.items import RamBlock
from msixtool.tasks.compat.sides import Side, Target
from msixtool.tasks.finding import Code, Finding, Severity
from msixtool.words import byte_size

RESIZEABLE: dict[str, int] = {
    "/rom@etc/acpi/tables": 0x200000,
    "/rom@etc/acpi/rsdp": 0x1000,
    "/rom@etc/table-loader": 0x10000,
}
"""Blocks that grow and shrink with the source's, and how long they can get, in bytes."""


def findings(source: Side, target: Target) -> Iterator[Finding]:
    """In the order of the source's list."""
    for block in source.dump.index.blocks:
        ours = target.blocks.get(block.idstr)
        if ours is None:
            yield _missing(block)
        else:
            yield from _size(block, ours)
            yield from _address(block, ours)


def _finding(code: Code, message: str, block: RamBlock, **details: Any) -> Finding:
    return Finding(
        Severity.ERROR,
        code,
        message,
        SECTION,
        0,
        field=block.idstr,
        advice=advice.on_ram(block.idstr, code.value),
        **details,
    )


def _missing(block: RamBlock) -> Finding:
    return _finding(
        Code.RAM_MISSING,
        f"RAM block {block.idstr} of {byte_size(block.used_length)}: the target has none of this name",
        block,
        source=block.used_length,
    )


def _size(block: RamBlock, ours: RamBlock) -> Iterator[Finding]:
    if block.used_length == ours.used_length:
        return
    if block.used_length <= RESIZEABLE.get(block.idstr, 0):
        return
    yield _finding(
        Code.RAM_SIZE,
        f"RAM block {block.idstr}: {byte_size(block.used_length)},"
        f" the target has {byte_size(ours.used_length)}",
        block,
        source=block.used_length,
        target=ours.used_length,
    )


def _address(block: RamBlock, ours: RamBlock) -> Iterator[Finding]:
    """With x-ignore-shared the list says where in guest memory a block stands."""
    if None not in (block.address, ours.address) and block.address != ours.address:
        yield _finding(
            Code.OTHER,
            f"RAM block {block.idstr}: at address {block.address:#x}, the target has it at {ours.address:#x}",
            block,
            source=block.address,
            target=ours.address,
        )
