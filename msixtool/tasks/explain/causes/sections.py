"""Sections that end elsewhere than the target reads to."""

from __future__ import annotations

from msixtool.qemu import advice
from msixtool.qemu.refusals import logged
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.explain.case import Case
from msixtool.tasks.finding import Code, Finding

_OTHER_LAYOUT = (
    "Give the target's device the source's properties, and use the same -machine with its version. Where both"
    " are the same, a QEMU release has changed what it saves of this device: load it in a QEMU of the"
    " source's version."
)


def footer_missing(case: Case) -> Finding:
    """The bytes of a section that its layout here does not use up."""
    return _footer(case, logged.FOOTER_MISSING)


def footer_id(case: Case) -> Finding:
    """A footer of another section."""
    return _footer(case, logged.FOOTER_OTHER)


def _footer(case: Case, refusal: Refusal) -> Finding:
    advised = advice.advise(Code.SECTION_LAYOUT.value, case.section or "", None)
    return case.tell(refusal, advice=advised or _OTHER_LAYOUT)
