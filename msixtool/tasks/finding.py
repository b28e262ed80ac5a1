"""FINDING of the contract: one reason why QEMU would refuse a stream, or might."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from msixtool.qemu.refusals.refusal import Code, Refusal, Severity
from msixtool.qemu.versions import Lifetime

__all__ = ["Code", "Finding", "Refused", "Severity", "finding_of", "undecided"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason. `section` is the bare idstr, or `ram` or `configuration`; None where what QEMU logged
    beside it names it.

    `config_offset` is an offset in PCI configuration space in bytes; `source` and `target` are
    the two values that differ, where there are two.
    """

    code: Code
    message: str
    section: str | None = None
    instance: int | None = None
    field: str | None = None
    config_offset: int | None = None
    source: Any = None
    target: Any = None
    advice: str | None = None
    severity: Severity = Severity.ERROR
    evident: bool = True
    """False for a doubt that every machine of its kind gives rise to: nothing in the streams differs."""

    def __repr__(self) -> str:
        return f"<Finding {self.severity} {self.code} {(self.section or '')[:60]!r}: {self.message[:80]!r}>"

    def to_json(self) -> dict[str, Any]:
        """FINDING as a JSON object."""
        made = asdict(self)
        del made["severity"], made["evident"]
        return {"severity": self.severity.value, **made, "code": self.code.value}


def finding_of(
    refusal: Refusal,
    section: str | None,
    instance: int | None = None,
    /,
    *,
    source: Any = None,
    target: Any = None,
    advice: str | None = None,
    **values: Any,
) -> Finding:
    """A refusal in a case; `advice` counts where the refusal has none of its own."""
    values |= {"source": source, "target": target}
    return Finding(
        refusal.code,
        refusal.told(**values),
        section,
        instance,
        refusal.field_of(**values),
        source=source,
        target=target,
        advice=refusal.advice_of(**values) or advice,
        severity=refusal.severity,
    )


def undecided(
    message: str, section: str | None = None, instance: int | None = None, **details: Any
) -> Finding:
    """A doubt: what cannot be known from what was given."""
    return Finding(Code.UNDECIDED, message, section, instance, severity=Severity.WARNING, **details)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal met in a section of a stream alone: `offset` is that of the section, `at` that of the value
    where it is known, in bytes of the stream; `loads` are the releases that take it all the same."""

    refusal: Refusal
    finding: Finding
    offset: int
    at: int | None = None
    loads: Lifetime | None = None
    vector: int | None = None

    @property
    def rule(self) -> str:
        """That of `validate`."""
        return self.refusal.rule

    @property
    def message(self) -> str:
        return self.finding.message

    @property
    def severity(self) -> Severity:
        return self.finding.severity
