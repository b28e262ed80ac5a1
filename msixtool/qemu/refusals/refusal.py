"""What a refusal is: its code, how much it weighs, its words and its advice."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Lifetime


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


class Refusal(NamedTuple):
    """One thing that QEMU refuses, or minds.

    In `words`, `advice` and `field` stand the values of the case: `source` and `target` of FINDING, and
    others by name. Without advice that of the device's kind counts (qemu/advice.py). `rule` is that of
    `validate`, where it can be seen in a stream alone; `loads` are the releases that take it all the same.
    """

    code: Code
    words: str
    advice: str | None = None
    field: str | None = None
    rule: str = ""
    severity: Severity = Severity.ERROR
    loads: Lifetime | None = None
    section: str | None = None
    """Where no message names one and it is always the same."""

    def told(self, **values: Any) -> str:
        """Its words for a case."""
        return self.words.format_map(values)

    def field_of(self, **values: Any) -> str | None:
        """The field that it is about; None where that is the `name` None."""
        if self.field is None or values.get("name", "") is None:
            return None
        return self.field.format_map(values)

    def advice_of(self, **values: Any) -> str | None:
        """What to do."""
        return None if self.advice is None else self.advice.format_map(values)
