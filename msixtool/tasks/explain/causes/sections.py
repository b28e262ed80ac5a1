"""Sections that the target does not have, of another version, or that end elsewhere than it reads to."""

from __future__ import annotations

from msixtool.formats.idstr import Idstr
from msixtool.qemu import advice
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.explanation import Told
from msixtool.tasks.finding import Code


def section_unknown(case: Case) -> Told:
    """A device, or an instance of one, that only the source has."""
    name, instance = case.value("section"), int(case.value("instance"))
    path = advice.device_path(name)
    kind = Idstr(name).kind if path else name
    count = f" (instance {instance})" if instance else ""
    if path:
        message = f"The source has a device {kind} at {path}{count}, the target has none there."
    else:
        message = f"The source has a section {name}{count}, the target has no device for it."
    return Told(
        Code.SECTION_UNKNOWN,
        message,
        name,
        instance,
        advice=advice.on_missing_section(name, kind, instance, []),
    )


def version_too_new(case: Case) -> Told:
    """A version beyond what the loading side reads, of a section or of what is nested in it."""
    return _version(case, f"reads up to version {case.target}")


def version_too_old(case: Case) -> Told:
    """A version that the loading side no longer reads."""
    return _version(case, f"reads no version below {case.target}")


def _version(case: Case, reads: str) -> Told:
    vmsd = case.value("vmsd")
    remedy = (
        "Load it in a QEMU at least as new as the one that saved it, or save it again with a machine type"
        " that both have."
    )
    if case.target > case.source:
        remedy = "Load it in an older QEMU and save it there again."
    return Told(
        Code.SECTION_VERSION,
        f"The stream has version {case.source} of {vmsd}, the target {reads}.",
        case.section or vmsd,
        case.instance,
        vmsd if "/" in vmsd else "version_id",
        source=case.source,
        target=case.target,
        advice=remedy,
    )


_OTHER_LAYOUT = (
    "Give the target's device the source's properties, and use the same -machine with its version. Where"
    " both are"
    " the same, a QEMU release has changed what it saves of this device: load it in a QEMU of the source's"
    " version."
)


def footer_missing(case: Case) -> Told:
    """The bytes of a section that its layout here does not use up."""
    section = case.section or ""
    return Told(
        Code.SECTION_LAYOUT,
        f"QEMU read {section} by its own layout and did not end where the section does: the stream has more"
        " of it, or less, than the target's device has.",
        section,
        case.instance,
        advice=advice.advise(Code.SECTION_LAYOUT.value, section, None) or _OTHER_LAYOUT,
    )


def footer_id(case: Case) -> Told:
    """A footer of another section."""
    section = case.section or ""
    return Told(
        Code.SECTION_LAYOUT,
        f"Behind {section} stands the footer of section {case.source} instead of {case.target}: QEMU reads"
        " this section in another layout than the one in which it was written, or the stream is damaged.",
        section,
        case.instance,
        source=case.source,
        target=case.target,
        advice=advice.advise(Code.SECTION_LAYOUT.value, section, None) or _OTHER_LAYOUT,
    )
