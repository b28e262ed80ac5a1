"""What is wrong with a stream, rule by rule: the answer of `validate`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msixtool.documents import Document, Origin, validate_document
from msixtool.errors import UsageError
from msixtool.library.answer import OfOne
from msixtool.tasks.finding import Severity
from msixtool.tasks.rules.catalogue import RuleFinding
from msixtool.tasks.validate import check_ignored, is_valid, validate, validate_devices
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.dump import OpenDump
    from msixtool.spec.saved import SavedFile


@dataclass(frozen=True, slots=True, repr=False)
class Validation(OfOne):
    """What QEMU or the PCI specification forbids of what is in a stream. Damage is among the findings."""

    origin: Origin
    findings: tuple[RuleFinding, ...]

    @property
    def damage(self) -> tuple[str, ...]:
        """Empty: what is damaged is a finding."""
        return ()

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return is_valid(self.findings)

    def document(self) -> Document:
        """`msixtool.validate/1`."""
        return validate_document(self.origin, self.findings)

    def summary(self) -> str:
        counts = {each: sum(f.severity is each for f in self.findings) for each in Severity}
        return ", ".join(plural(count, each.value) for each, count in counts.items() if count) or "no finding"


def validate_stream(dump: OpenDump, ignore: Collection[str], severity: str) -> Validation:
    """The findings about a stream; its RAM records count where it was opened with `walk`."""
    findings = tuple(validate(dump, ignore=ignore, severity=check_rules(ignore, severity)))
    return Validation(Origin.of(dump), findings)


def validate_state(saved: SavedFile, ignore: Collection[str], severity: str) -> Validation:
    """The findings about the vectors of a saved state: it says nothing of their functions."""
    findings = validate_devices(saved.devices, ignore=ignore, severity=check_rules(ignore, severity))
    return Validation(Origin(saved.path, saved.size), tuple(findings))


def check_rules(ignore: Collection[str], severity: str = "info") -> Severity:
    """The severity below which nothing counts. Raises UsageError for one, or a rule, that is not known."""
    if severity not in tuple(Severity):
        raise UsageError("severity", expected=f"one of {', '.join(Severity)}", found=repr(severity))
    check_ignored(ignore)
    return Severity(severity)
