"""FINDING of the contract: one reason why QEMU would refuse a stream, or might."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding weighs: an error stops the load, a warning may."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """What kind of reason it is. The values are part of the contract."""

    MACHINE_TYPE = "machine-type"
    PAGE_SIZE = "page-size"
    CAPABILITY = "capability"
    UUID = "uuid"
    RAM_MISSING = "ram-missing"
    RAM_SIZE = "ram-size"
    SECTION_UNKNOWN = "section-unknown"
    SECTION_VERSION = "section-version"
    SECTION_LAYOUT = "section-layout"
    CONFIG_MISMATCH = "config-mismatch"
    FIELD_MISMATCH = "field-mismatch"
    FEATURES = "features"
    QUEUE_SIZE = "queue-size"
    VECTOR_RANGE = "vector-range"
    SUBSECTION_UNKNOWN = "subsection-unknown"
    STREAM = "stream"
    OTHER = "other"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason. `section` is the bare idstr, or `ram` or `configuration`.

    `config_offset` is an offset in PCI configuration space in bytes; `source` and `target` are
    the two values that differ, where there are two.
    """

    severity: Severity
    code: Code
    message: str
    section: str | None = None
    instance: int | None = None
    field: str | None = None
    config_offset: int | None = None
    source: Any = None
    target: Any = None
    advice: str | None = None

    def __repr__(self) -> str:
        return f"<Finding {self.severity} {self.code} {(self.section or '')[:60]!r}: {self.message[:80]!r}>"

    def to_json(self) -> dict[str, Any]:
        """FINDING as a JSON object."""
        return {
            **asdict(self),
            "severity": self.severity.value,
            "code": self.code.value,
        }
