"""Sections that end elsewhere than the target reads to."""

from __future__ import annotations

from msixtool.qemu import advice
from msixtool.tasks.explain.case import Case
from msixtool.tasks.finding import Code, Finding

_OTHER_LAYOUT = (
    "Give the target's device the source's properties, and use the same -machine with its version. Where"
    " both are"
    " the same, a QEMU release has changed what it saves of this device: load it in a QEMU of the source's"
    " version."
)


def footer_missing(case: Case) -> Finding:
    """The bytes of a section that its layout here does not use up."""
    section = case.section or ""
    return Finding(
        Code.SECTION_LAYOUT,
        f"QEMU read {section} by its own layout and did not end where the section does: the stream has more"
        " of it, or less, than the target's device has.",
        section,
        case.instance,
        advice=advice.advise(Code.SECTION_LAYOUT.value, section, None) or _OTHER_LAYOUT,
    )


def footer_id(case: Case) -> Finding:
    """A footer of another section."""
    section = case.section or ""
    return Finding(
        Code.SECTION_LAYOUT,
        f"Behind {section} stands the footer of section {case.source} instead of {case.target}: QEMU reads"
        " this section in another layout than the one in which it was written, or the stream is damaged.",
        section,
        case.instance,
        source=case.source,
        target=case.target,
        advice=advice.advise(Code.SECTION_LAYOUT.value, section, None) or _OTHER_LAYOUT,
    )
