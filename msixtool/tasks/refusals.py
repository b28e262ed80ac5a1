"""Why QEMU would refuse a stream, as far as the stream alone shows it.

Source: QEMU migration/savevm.c. The refusals are those of qemu/refusals. What depends on the target (its
devices, machine type, configuration space) is the business of compat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.qemu import refusals as catalogue
from msixtool.qemu.versions import Version
from msixtool.stream.items import Damage, DamageRule
from msixtool.tasks import device_checks
from msixtool.tasks.finding import Code, Finding, Severity, finding_of
from msixtool.tasks.rules.catalogue import RuleFinding
from msixtool.tasks.rules.function import check_capability
from msixtool.tasks.section_checks import troubles

HARMLESS = frozenset({DamageRule.VMDESC, DamageRule.VMDESC_MISMATCH})
"""Damage that QEMU does not see: it reads no vmdesc."""
TOLD = frozenset({DamageRule.VECTOR_COUNT})
"""What a stream that is whole can have: a refusal tells it, so it is not told as damage as well."""


def refusals(dump: OpenDump, qemu_version: QemuVersion = NEWEST) -> list[Finding]:
    """The findings in stream order; empty where nothing in the stream stops a load."""
    found = [(damage.offset or 0, of_damage(damage)) for damage in dump.damage if damage.rule not in HARMLESS]
    if dump.is_incomplete:
        found.append((-1, finding_of(catalogue.INCOMPLETE, None)))
    for refused in troubles(dump):
        stops = refused.loads is None or refused.loads.covers(_release(qemu_version)) is False
        if refused.severity is Severity.ERROR and stops:
            found.append((refused.offset, refused.finding))
    for device in dump.devices:
        found += [(device.item.offset, finding) for finding in _of_device(device)]
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def warnings(dump: OpenDump, qemu_version: QemuVersion = NEWEST) -> list[Finding]:
    """What QEMU may refuse, or minds and loads, in stream order: of severity warning, of code undecided where
    nothing tells."""
    found = []
    for refused in troubles(dump):
        loaded = refused.loads.covers(_release(qemu_version)) if refused.loads else False
        if refused.severity is not Severity.ERROR:
            found.append(replace(refused.finding, severity=Severity.WARNING))
        elif loaded is None:
            found.append(replace(refused.finding, severity=Severity.WARNING, code=Code.UNDECIDED))
    return found


def _release(version: QemuVersion) -> Version:
    return version[0], version[1] if len(version) > 1 else 0


def of_damage(damage: Damage) -> Finding:
    """A finding about damage, which no QEMU reads past."""
    refusal, name = catalogue.DAMAGE, ""
    if damage.rule is DamageRule.VECTOR_COUNT:
        refusal, name = catalogue.SETTINGS, "MSI-X table size"
    return finding_of(refusal, damage.section, damage.instance, damage=damage, name=name)


def _of_device(device: MsixDevice) -> Iterator[Finding]:
    for broken in check_capability(device):
        if broken.severity is Severity.ERROR:
            yield _of_rule(device, broken)
    yield from (refused.finding for refused in device_checks.refused(device))


def _of_rule(device: MsixDevice, broken: RuleFinding) -> Finding:
    at = None if broken.offset is None else broken.offset - (device.config_offset or 0)
    made = finding_of(
        catalogue.SETTINGS, device.name, device.instance, damage=broken.message, name=broken.rule
    )
    return replace(made, config_offset=at)
