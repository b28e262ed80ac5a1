"""The sections of the source, one after another as QEMU meets them.

Source: QEMU migration/savevm.c, qemu_loadvm_section_start_full and find_se.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from msixtool.errors import FormatError
from msixtool.formats.idstr import Idstr
from msixtool.formats.qevm import OPENING, ItemType
from msixtool.formats.ram import SECTION as RAM
from msixtool.qemu import advice, vmstates
from msixtool.qemu.kinds import kind_of
from msixtool.stream.items import Item
from msixtool.tasks.compat import ram
from msixtool.tasks.compat.section_load import SectionLoad
from msixtool.tasks.compat.sides import Side, Target, key_of
from msixtool.tasks.finding import Code, Finding, Severity


def findings(source: Side, target: Target) -> Iterator[Finding]:
    """In stream order; sections that only the target has are no matter."""
    for item in source.dump.index.items:
        if item.type not in OPENING:
            continue
        own = target.sections.get(key_of(item))
        if own is None:
            yield from _unknown(item, source, target)
            continue
        refused = list(_versions(item, own, target))
        yield from refused
        if any(finding.severity is Severity.ERROR for finding in refused):
            continue
        if item.type == ItemType.SECTION_START:
            if item.idstr == RAM:
                yield from ram.findings(source, target)
            continue
        yield from _load(source, target, item, own)


def _finding(code: Code, message: str, item: Item, advised: str | None, **details: Any) -> Finding:
    return Finding(
        Severity.ERROR,
        code,
        message,
        str(item.idstr),
        item.instance_id or 0,
        advice=advised,
        **details,
    )


def _unknown(item: Item, source: Side, target: Target) -> Iterator[Finding]:
    name = str(item.idstr)
    if name in vmstates.REGISTERED_ALWAYS:
        return
    if name in vmstates.REGISTERED_SILENTLY and _may_read_sound(source, target):
        yield _undecided(f"section {name}: QEMU reads it where it has such a device, and writes none", item)
        return
    setting, lifetime = vmstates.READ_THOUGH_OFF.get(name, (None, None))
    if lifetime is not None and target.releases.cover(lifetime) is not False:
        yield _undecided(
            f"section {name}: QEMU reads it where it has such a device, also where {setting} keeps it from"
            " writing one",
            item,
        )
        return
    elsewhere = target.elsewhere(name, source)
    instance = f" instance {item.instance_id}" if item.instance_id else ""
    yield _finding(
        Code.SECTION_UNKNOWN,
        f"section {name}{instance}: the target has none" + (f", but {elsewhere[0]}" if elsewhere else ""),
        item,
        advice.on_missing_section(name, Idstr(name).kind, item.instance_id or 0, elsewhere),
        target=elsewhere[0] if elsewhere else None,
    )


def _undecided(message: str, item: Item) -> Finding:
    """A section that the target may read, though its stream has none."""
    found = _finding(
        Code.UNDECIDED, f"{message}; whether the target has one, its stream does not tell", item, None
    )
    return replace(found, severity=Severity.WARNING)


def _may_read_sound(source: Side, target: Target) -> bool:
    """Whether the target may read a sound section that it does not write: it is of 6.0 or later, as it must
    be where it has a sound device, and has none less than the source."""
    return _has_sound(target) or (target.releases.all_since((6, 0)) and not _has_sound(source))


def _has_sound(side: Side) -> bool:
    return any(kind_of(name).sound for name, _ in side.sections)


def _versions(item: Item, own: Item, target: Target) -> Iterator[Finding]:
    theirs, ours = item.version_id or 0, own.version_id or 0
    if theirs == ours:
        return
    if theirs > ours:
        yield _finding(
            Code.SECTION_VERSION,
            f"section {item.idstr}: version {theirs}, the target reads up to {ours}",
            item,
            "The source's QEMU writes a newer state: use a target of its version, or a machine type that both"
            " have.",
            field="version_id",
            source=theirs,
            target=ours,
        )
        return
    minimum = target.knowledge.minimum_version(_vmsd_name(own))
    if minimum is None:
        found = _finding(
            Code.UNDECIDED,
            f"section {item.idstr}: version {theirs}, the target's is {ours};"
            " from which version on it reads, its stream does not tell",
            item,
            "Give the target's -dump-vmstate with --target-vmstate.",
            field="version_id",
            source=theirs,
            target=ours,
        )
        yield replace(found, severity=Severity.WARNING)
    elif theirs < minimum:
        yield _finding(
            Code.SECTION_VERSION,
            f"section {item.idstr}: version {theirs}, the target reads {minimum} to {ours}",
            item,
            "The target's QEMU no longer reads this state: load it in one that does, and save it again.",
            field="version_id",
            source=theirs,
            target=minimum,
        )


def _vmsd_name(item: Item) -> str:
    name = (item.description or {}).get("vmsd_name")
    return str(name) if name else item.named.kind


def _load(source: Side, target: Target, item: Item, own: Item) -> list[Finding]:
    try:
        return SectionLoad(source, target, item, own).run()
    except FormatError as error:
        reason = error.explanation
    except RecursionError:
        reason = "it is nested too deep"
    found = _finding(Code.UNDECIDED, f"section {item.idstr}: its vmdesc is damaged: {reason}", item, None)
    return [replace(found, severity=Severity.WARNING)]
