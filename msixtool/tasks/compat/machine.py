"""The configuration section: machine type, page size, capabilities, UUID.

Source: QEMU migration/savevm.c, qemu_loadvm_state_header and configuration_post_load. Subsections are
read, and checked, before the machine type is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.formats.qevm import ItemType
from msixtool.qemu import refusals
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.stream.items import StreamIndex
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Finding, finding_of, undecided

_SECTION = "configuration"

VALIDATED = ("x-ignore-shared", "mapped-ram")
"""Capabilities that have to be the same on both sides, in the order in which QEMU compares them."""


def machine_findings(source: Side, target: TargetSide) -> Iterator[Finding]:
    """What QEMU refuses before it reads the first section, in its order."""
    theirs, ours = source.dump.index, target.dump.index
    if not _has_configuration(ours):
        if _has_configuration(theirs):
            yield _finding(refusals.CONFIGURATION_UNREAD)
        return
    if not _has_configuration(theirs):
        yield _finding(refusals.CONFIGURATION_MISSING)
        return
    yield from _capabilities_known(theirs, target)
    yield from _uuid(theirs, ours)
    # QEMU compares only as many characters as the source has.
    if (
        theirs.machine is not None
        and ours.machine is not None
        and not ours.machine.startswith(theirs.machine)
    ):
        yield _finding(refusals.MACHINE, source=theirs.machine, target=ours.machine)
    if theirs.page_size and ours.page_size and theirs.page_size != ours.page_size:
        yield _finding(refusals.PAGE_SIZE, source=theirs.page_size, target=ours.page_size)
    yield from _capabilities(theirs, ours)


def _has_configuration(index: StreamIndex) -> bool:
    return any(item.type == ItemType.CONFIGURATION for item in index.items)


def _finding(refusal: Refusal, **values: Any) -> Finding:
    return finding_of(refusal, _SECTION, **values)


def _capabilities_known(theirs: StreamIndex, target: TargetSide) -> Iterator[Finding]:
    for name in theirs.capabilities:
        if name == "mapped-ram" and target.version and target.version < (9, 0):
            yield _finding(refusals.CAPABILITY_UNKNOWN, name=name, source=name)


def _capabilities(theirs: StreamIndex, ours: StreamIndex) -> Iterator[Finding]:
    for name in VALIDATED:
        there, here = name in theirs.capabilities, name in ours.capabilities
        if there != here:
            words = {"name": name, "there": _on(there), "here": _on(here)}
            yield _finding(refusals.CAPABILITY, source=there, target=here, **words)


def _on(state: bool) -> str:
    return "on" if state else "off"


def _uuid(theirs: StreamIndex, ours: StreamIndex) -> Iterator[Finding]:
    if theirs.uuid is None or theirs.uuid == ours.uuid:
        return
    if ours.uuid is None:
        yield undecided(
            f"UUID: {theirs.uuid.hex()}; the target's stream does not say its own",
            _SECTION,
            field="uuid",
            source=theirs.uuid.hex(),
            advice="Start the target with the source's -uuid, or with none.",
        )
        return
    yield _finding(refusals.UUID, source=theirs.uuid.hex(), target=ours.uuid.hex())
