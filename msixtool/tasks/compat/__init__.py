"""Will it load there: what the target's QEMU would refuse of a stream, and why.

`compare` takes the source and a fresh stream of the target's own command line, and goes through
the source as the target's qemu_loadvm_state would. The findings of severity error stand in the
order in which QEMU meets them, so that the first is what it would die of. What a fresh stream
cannot tell is a warning with code `undecided`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msixtool.dump import OpenDump
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.qemu import refusals
from msixtool.qemu.versions import Version
from msixtool.tasks.compat import machine, sections
from msixtool.tasks.compat.knowledge import Knowledge, Releases
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Code, Finding, Severity, finding_of, undecided
from msixtool.tasks.refusals import HARMLESS, TOLD

UNSEEN = HARMLESS | TOLD
"""Damage that is none to a target: what differs in configuration space is found by comparing it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found out of a source and a target."""

    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return f"<Comparison: {len(self.findings)} findings, first error {self.first}>"

    @property
    def evident(self) -> Comparison:
        """Without the doubts that nothing in the streams gives rise to."""
        return Comparison(tuple(finding for finding in self.findings if finding.evident))

    @property
    def compatible(self) -> bool:
        """Whether nothing was found that stops the load."""
        return self.first is None

    @property
    def first(self) -> Finding | None:
        """What the load would fail of; None where it would not."""
        return next((finding for finding in self.findings if finding.severity is Severity.ERROR), None)


def compare(
    source: OpenDump,
    target: OpenDump,
    *,
    target_version: Version | None = None,
    vmstate: Vmstates | None = None,
) -> Comparison:
    """Predict whether the QEMU that wrote `target`, a fresh stream of its command line, loads `source`.

    `target_version` is its release, where the stream's style does not tell enough; `vmstate` its own
    description of what it reads (-dump-vmstate). What a damaged target seems not to have is undecided.
    """
    style = target.writer
    releases = Releases(target_version or style.min, target_version or style.max)
    here, there = Side(source), TargetSide(target, Knowledge(releases, vmstate, source.writer.min))
    found = [_damaged(str(damage)) for damage in source.damage if damage.rule not in UNSEEN]
    if source.is_incomplete:
        found.append(_damaged(refusals.INCOMPLETE.words))
    broken = [damage for damage in target.damage if damage.rule not in UNSEEN]
    if broken:
        what = f"the target's stream is damaged, so that its machine is not known as a whole: {broken[0]}"
        found.append(undecided(what, advice="Take the target's stream again."))
    elif target.index.description is None:
        what = "the target's stream has no vmdesc: layouts that differ cannot be told"
        found.append(undecided(what, advice="Take it without suppress-vmdesc=on."))
    if not source.index.blocks and target.index.blocks:
        what = "the source has no RAM: whether the target has the same blocks, and what devices refuse of "
        what += "their rings, cannot be told"
        found.append(undecided(what, advice="Take the source with its RAM."))
    met = [*machine.machine_findings(here, there), *sections.section_findings(here, there)]
    found += map(_perhaps, met) if broken else met
    return Comparison(tuple(found))


def _perhaps(finding: Finding) -> Finding:
    """What a damaged target stream says: the device that is not in it may have been lost from it."""
    if finding.code not in (Code.SECTION_UNKNOWN, Code.RAM_MISSING):
        return finding
    return replace(
        finding,
        severity=Severity.WARNING,
        code=Code.UNDECIDED,
        message=f"{finding.message} in its stream, which is damaged",
    )


def _damaged(message: str) -> Finding:
    return finding_of(refusals.DAMAGE, None, damage=f"the source is damaged: {message}")
