"""What can be wrong with a stream as a whole. Source: QEMU migration/savevm.c."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msixtool.containers.base import WINDOW
from msixtool.dump import OpenDump
from msixtool.errors import MsixtoolError
from msixtool.formats.qevm import ItemType
from msixtool.qemu.refusals import RAM_FILL
from msixtool.stream.items import DamageRule
from msixtool.tasks.finding import Severity
from msixtool.tasks.rules.catalogue import RULES, RuleFinding
from msixtool.tasks.section_checks import troubles
from msixtool.words import plural


def check_stream(dump: OpenDump) -> Iterator[RuleFinding]:
    """Damage first, as the reader met it, then what is odd though it can be read."""
    for damage in dump.damage:
        severity = RULES[damage.rule].severity
        yield RuleFinding(
            damage.rule, severity, damage.text, damage.section, damage.instance, offset=damage.offset
        )
    for warning in dump.warnings:
        yield _finding("incomplete-image", warning)
    if dump.index.terminated:
        yield from _behind_the_end(dump)
        yield from _unfinished(dump)
        if dump.index.description is None and not _blames_the_description(dump):
            text = "no vmdesc follows the end: nothing in the stream tells the sizes of its sections"
            yield _finding("no-vmdesc", text, offset=dump.index.end)
    yield from _duplicates(dump)
    for refused in troubles(dump):
        # What only some releases refuse is no error of the stream.
        severity = refused.severity if refused.loads is None else Severity.WARNING
        yield _finding(
            refused.rule,
            refused.message,
            severity=severity,
            device=refused.finding.section,
            instance=refused.finding.instance,
            offset=refused.offset,
        )
    if dump.index.ram is not None and dump.index.ram.filled:
        count = plural(dump.index.ram.filled, "zero record")
        yield _finding(RAM_FILL.rule, RAM_FILL.told(count=count), device="ram")


def _finding(
    rule: str,
    message: str,
    *,
    severity: Severity | None = None,
    device: str | None = None,
    instance: int | None = None,
    offset: int | None = None,
) -> RuleFinding:
    return RuleFinding(rule, severity or RULES[rule].severity, message, device, instance, offset=offset)


def _blames_the_description(dump: OpenDump) -> bool:
    return any(damage.rule == DamageRule.VMDESC for damage in dump.damage)


PADDING = 16 << 20
"""Bytes behind the end of the stream that are looked at: a disk goes on for as long as it is large."""


def _behind_the_end(dump: OpenDump) -> Iterator[RuleFinding]:
    end = dump.index.end
    try:
        rest = dump.source.size - end
        zeros = rest > 0 and _zeros(dump, end, end + PADDING)
    except MsixtoolError:
        return  # The container is damaged there, which is said already.
    if rest > 0:
        seen = "all" if rest <= PADDING else f"the first {PADDING >> 20} MiB"
        padding = f"{seen} zero as padding is" if zeros else "which QEMU does not read"
        severity = Severity.INFO if zeros else Severity.WARNING
        text = f"{plural(rest, 'byte')} behind the end of the stream, {padding}"
        yield _finding("trailing-bytes", text, severity=severity, offset=end)


def _zeros(dump: OpenDump, offset: int, end: int) -> bool:
    while data := dump.source.read(offset, min(WINDOW, end - offset)):
        if data != bytes(len(data)):
            return False
        offset += len(data)
    return True


def _unfinished(dump: OpenDump) -> Iterator[RuleFinding]:
    items = dump.index.items
    ended = {item.section_id for item in items if item.type == ItemType.SECTION_END}
    for item in items:
        if item.type == ItemType.SECTION_START and item.section_id not in ended:
            text = "the section has a START and no END, as RAM has in a background snapshot"
            yield _finding(
                "unfinished-section", text, device=item.idstr, instance=item.instance_id, offset=item.offset
            )


def _duplicates(dump: OpenDump) -> Iterator[RuleFinding]:
    seen: Counter[tuple[str | None, int | None]] = Counter()
    for item in dump.index.full_sections():
        seen[item.idstr, item.instance_id] += 1
        if seen[item.idstr, item.instance_id] > 1:
            text = "the same section came before: QEMU loads both, and the last one stays"
            yield _finding(
                "duplicate-section", text, device=item.idstr, instance=item.instance_id, offset=item.offset
            )
