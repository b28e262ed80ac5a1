"""The configuration section: machine type, page size, capabilities, UUID.

Source: QEMU migration/savevm.c, qemu_loadvm_state_header and configuration_post_load. Subsections are
read, and checked, before the machine type is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.formats.qevm import ItemType
from msixtool.stream.items import StreamIndex
from msixtool.tasks.compat.sides import Side, Target
from msixtool.tasks.finding import Code, Finding, Severity

SECTION = "configuration"

VALIDATED = ("x-ignore-shared", "mapped-ram")
"""Capabilities that have to be the same on both sides, in the order in which QEMU compares them."""


def findings(source: Side, target: Target) -> Iterator[Finding]:
    """What QEMU refuses before it reads the first section, in its order."""
    theirs, ours = source.dump.index, target.dump.index
    if not _has_configuration(ours):
        if _has_configuration(theirs):
            yield _finding(
                Code.OTHER,
                "the source has a configuration section, the target expects none",
                advice="Start the target with -global migration.send-configuration=on.",
            )
        return
    if not _has_configuration(theirs):
        yield _finding(
            Code.FIELD_MISMATCH,
            "the source has no configuration section, the target expects one",
            field="configuration",
            advice="Start the target with -global migration.send-configuration=off.",
        )
        return
    yield from _capabilities_known(theirs, target)
    yield from _uuid(theirs, ours)
    yield from _machine(theirs.machine, ours.machine)
    yield from _page_size(theirs, ours)
    yield from _capabilities(theirs, ours)


def _has_configuration(index: StreamIndex) -> bool:
    return any(item.type == ItemType.CONFIGURATION for item in index.items)


def _finding(code: Code, message: str, *, advice: str, **details: Any) -> Finding:
    return Finding(Severity.ERROR, code, message, SECTION, advice=advice, **details)


def _machine(theirs: str | None, ours: str | None) -> Iterator[Finding]:
    # QEMU compares only as many characters as the source has.
    if theirs is not None and ours is not None and not ours.startswith(theirs):
        yield _finding(
            Code.MACHINE_TYPE,
            f"machine type: {theirs}, the target has {ours}",
            field="machine",
            source=theirs,
            target=ours,
            advice=f"Start the target with -machine {theirs}.",
        )


def _page_size(theirs: StreamIndex, ours: StreamIndex) -> Iterator[Finding]:
    if theirs.page_size and ours.page_size and theirs.page_size != ours.page_size:
        yield _finding(
            Code.PAGE_SIZE,
            f"page size: {theirs.page_size} bytes, the target has {ours.page_size}",
            field="page_size",
            source=theirs.page_size,
            target=ours.page_size,
            advice="A machine of another page size cannot load this: use the source's architecture and -cpu.",
        )


def _capabilities_known(theirs: StreamIndex, target: Target) -> Iterator[Finding]:
    for name in theirs.capabilities:
        if name == "mapped-ram" and target.version and target.version < (9, 0):
            yield _finding(
                Code.CAPABILITY,
                f"capability {name}: QEMU before 9.0 does not know it",
                field=name,
                source=name,
                advice="Save the source again without mapped-ram.",
            )


def _capabilities(theirs: StreamIndex, ours: StreamIndex) -> Iterator[Finding]:
    for name in VALIDATED:
        there, here = name in theirs.capabilities, name in ours.capabilities
        if there != here:
            yield _finding(
                Code.CAPABILITY,
                f"capability {name}: {_on(there)} in the source, {_on(here)} in the target",
                field=name,
                source=there,
                target=here,
                advice=f"Turn {name} {_on(there)} on the target before the load (migrate-set-capabilities).",
            )


def _on(state: bool) -> str:
    return "on" if state else "off"


def _uuid(theirs: StreamIndex, ours: StreamIndex) -> Iterator[Finding]:
    if theirs.uuid is None or theirs.uuid == ours.uuid:
        return
    if ours.uuid is None:
        yield Finding(
            Severity.WARNING,
            Code.UNDECIDED,
            f"UUID: {theirs.uuid.hex()}; the target's stream does not say its own",
            SECTION,
            field="uuid",
            source=theirs.uuid.hex(),
            advice="Start the target with the source's -uuid, or with none.",
        )
        return
    yield _finding(
        Code.UUID,
        f"UUID: {theirs.uuid.hex()}, the target has {ours.uuid.hex()}",
        field="uuid",
        source=theirs.uuid.hex(),
        target=ours.uuid.hex(),
        advice="Start the target with the source's -uuid.",
    )
