"""The sections of the source, one after another as QEMU meets them.

Source: QEMU migration/savevm.c, qemu_loadvm_section_start_full and find_se.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.errors import FormatError
from msixtool.formats.idstr import Idstr
from msixtool.formats.qevm import OPENING, ItemType
from msixtool.formats.ram import IDSTR as RAM
from msixtool.qemu import advice, refusals, vmstates
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.stream.items import Item
from msixtool.tasks.compat import ram
from msixtool.tasks.compat.section_load import SectionLoad, is_taken_as_it_is
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Finding, Severity, finding_of, undecided


def section_findings(source: Side, target: TargetSide) -> Iterator[Finding]:
    """In stream order; sections that only the target has are no matter."""
    for item in source.dump.index.items:
        if item.type not in OPENING:
            continue
        own = target.sections.get(item.key)
        if own is None:
            yield from _unknown(item, source, target)
            continue
        if item.version_id != own.version_id:
            refused = list(_versions(item, own, target))
            yield from refused
            if any(finding.severity is Severity.ERROR for finding in refused):
                continue
        if item.type == ItemType.SECTION_START:
            if item.idstr == RAM:
                yield from ram.ram_findings(source, target)
            continue
        if not is_taken_as_it_is(source, target, item, own):
            yield from _load(source, target, item, own)


def _refused(refusal: Refusal, item: Item, **values: Any) -> Finding:
    return finding_of(refusal, *item.key, **values)


def _unknown(item: Item, source: Side, target: TargetSide) -> Iterator[Finding]:
    name = str(item.idstr)
    if name in vmstates.REGISTERED_ALWAYS:
        return
    if name in vmstates.REGISTERED_SILENTLY and _has_sound(target):
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
    yield _refused(
        refusals.SECTION_UNKNOWN,
        item,
        name=name,
        which=f" instance {item.instance_id}" if item.instance_id else "",
        but=f", but {elsewhere[0]}" if elsewhere else "",
        target=elsewhere[0] if elsewhere else None,
        advice=advice.on_missing_section(name, Idstr(name).kind, item.instance_id or 0, elsewhere),
    )


def _undecided(message: str, item: Item) -> Finding:
    """A section that the target may read, though its stream has none."""
    return undecided(f"{message}; whether the target has one, its stream does not tell", *item.key)


def _may_read_sound(source: Side, target: TargetSide) -> bool:
    """Whether a target without a sound device of its own may read a sound section that it does not write: it
    is of 6.0 or later, and has none less than the source."""
    return target.releases.all_since((6, 0)) and not _has_sound(source)


def _has_sound(side: Side) -> bool:
    return any(kind_of(name).sound for name, _ in side.sections)


def _versions(item: Item, own: Item, target: TargetSide) -> Iterator[Finding]:
    theirs, ours = item.version_id or 0, own.version_id or 0
    of = {"what": f"section {item.idstr}", "field": "version_id"}
    if theirs > ours:
        yield _refused(refusals.SECTION_TOO_NEW, item, source=theirs, target=ours, **of)
        return
    minimum = target.knowledge.minimum_version(_vmsd_name(own))
    if minimum is None:
        yield undecided(
            f"section {item.idstr}: version {theirs}, the target's is {ours};"
            " from which version on it reads, its stream does not tell",
            *item.key,
            advice="Give the target's -dump-vmstate with --target-vmstate.",
            field="version_id",
            source=theirs,
            target=ours,
        )
    elif theirs < minimum:
        yield _refused(refusals.SECTION_TOO_OLD, item, source=theirs, target=minimum, **of)


def _vmsd_name(item: Item) -> str:
    return (item.layout.name if item.layout is not None else "") or item.named.kind


def _load(source: Side, target: TargetSide, item: Item, own: Item) -> list[Finding]:
    try:
        return SectionLoad(source, target, item, own).run()
    except FormatError as error:
        reason = error.explanation
    except RecursionError:
        reason = "it is nested too deep"
    return [undecided(f"section {item.idstr}: its vmdesc is damaged: {reason}", *item.key)]
