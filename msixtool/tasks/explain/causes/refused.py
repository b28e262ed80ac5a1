"""What QEMU says of a refusal that can be told from streams too: the words are those of qemu/refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msixtool.formats.idstr import Idstr
from msixtool.formats.ram import IDSTR as RAM
from msixtool.qemu import advice, refusals
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals.logged import CONFIGURATION
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.explain.case import Case
from msixtool.tasks.finding import Finding
from msixtool.words import byte_size, plural


def _plain(refusal: Refusal, section: str | None = None, **values: str) -> Callable[[Case], Finding]:
    return lambda case: case.refused(refusal, section, **values)


def _capability(case: Case) -> Finding:
    there, here, name = case.value("source"), case.value("target"), case.value("field")
    made = {"source": there in _ON, "target": here in _ON}
    return case.refused(refusals.CAPABILITY, CONFIGURATION, name=name, there=there, here=here, **made)


_ON = ("on", "enabled")


def _capability_unknown(case: Case) -> Finding:
    return case.refused(refusals.CAPABILITY_UNKNOWN, CONFIGURATION, name=case.value("field"))


def _page_bits(case: Case) -> Finding:
    """TARGET_PAGE_BITS: the page size as a power of two."""
    source, target = (1 << min(max(bits, 0), 63) for bits in (case.source, case.target))
    return case.refused(refusals.PAGE_SIZE, CONFIGURATION, source=source, target=target)


def _section_unknown(case: Case) -> Finding:
    """A device, or an instance of one, that only the source has."""
    name, instance = case.value("section"), int(case.value("instance"))
    kind = Idstr(name).kind if advice.device_path(name) else name
    advised = advice.on_missing_section(name, kind, instance, [])
    which = f" instance {instance}" if instance else ""
    return case.refused(
        refusals.SECTION_UNKNOWN, name, instance=instance, name=name, which=which, but="", advice=advised
    )


def _version(case: Case) -> Finding:
    """A version that the loading side does not read, of a section or of what is nested in it."""
    vmsd = case.value("vmsd") or case.it
    refusal = refusals.SECTION_TOO_NEW
    if case.cause.name == "version-too-old":
        refusal = refusals.SECTION_TOO_OLD
    field = vmsd if "/" in case.value("vmsd") else "version_id"
    return case.refused(refusal, vmsd, what=vmsd, field=field)


def _subsection(case: Case) -> Finding:
    return case.refused(refusals.SUBSECTION_UNKNOWN, source=case.value("subsection"))


def _run_state(case: Case) -> Finding:
    return case.refused(refusals.RUN_STATE, "globalstate", state=repr(case.source))


def _at_most(case: Case) -> Finding:
    """A number that may be at most the local one: the version_id in a PCIDevice."""
    fields = case.failure.fields
    field = fields[0].values["field"] if fields and fields[0].name == "field" else "version_id"
    return case.refused(refusals.at_most(field), name=field)


def _not_equal(case: Case) -> Finding:
    """A field that has to be the same on both sides. QEMU prints its own value first."""
    known, fields = kind_of(case.kind).only_equal, case.failure.fields
    field = known or (fields[0].values["field"].rpartition(".")[2] if fields else None)
    return case.refused(
        refusals.NOT_EQUAL if field else refusals.NOT_EQUAL._replace(field=None), name=field or "a field"
    )


def _features(case: Case) -> Finding:
    """Features that the guest has negotiated and the target does not offer, by name."""
    kind, wanted = kind_of(case.kind), case.source & ~case.target
    missing = [bit for bit in range(_MOST_FEATURES) if wanted >> bit & 1]
    names = ", ".join(kind.feature(bit).name for bit in missing) or "some that QEMU does not name"
    return case.refused(refusals.FEATURES, names=names, advice=advice.on_features(case.kind, missing))


_MOST_FEATURES = 128


def _queue_size(case: Case) -> Finding:
    """A virtqueue that is longer than the device's, or that the device does not have."""
    advised = advice.on_queue(case.kind, case.source, case.target)
    return case.refused(refusals.QUEUE_SIZE, advice=advised)


def _ring(case: Case) -> Finding:
    """Indices of a queue that do not go together: those that QEMU prints, in its order."""
    source, target = case.source, case.target
    values: dict[str, Any] = {"queue": case.value("queue"), "size": int(case.value("size"), 16)}
    if case.cause.name == "queue-used":
        return case.refused(refusals.RING_USED, **values, source=target, last=source)
    waiting = plural(int(case.value("delta"), 16), "request")
    return case.refused(refusals.RING_AVAILABLE, **values, source=source, last=target, waiting=waiting)


def _vector(case: Case) -> Finding:
    """An MSI-X vector that a device does not have: QEMU ends in an assertion."""
    return case.refused(refusals.VECTOR, property=kind_of(case.kind).advice.vectors, below="the table size")


def _block(case: Case) -> Finding:
    """A RAM block that only the source has."""
    block = case.value("block")
    if not block:
        return case.refused(refusals.DAMAGE, RAM, damage="the list of RAM blocks holds one without a name")
    return _on_block(case, refusals.BLOCK_MISSING, size="")


def _block_size(case: Case) -> Finding:
    """A RAM block of another size, or of a size beyond what it can grow to."""
    most = "at most " if case.cause.name == "block-too-large" else ""
    theirs, ours = byte_size(case.source), byte_size(case.target)
    return _on_block(case, refusals.BLOCK_SIZE, theirs=theirs, ours=ours, most=most)


def _on_block(case: Case, refusal: Refusal, **values: str) -> Finding:
    advised = advice.on_ram(case.value("block"), refusal.code.value)
    return case.refused(refusal, RAM, advice=advised, **values)


REFUSED: dict[str, Callable[[Case], Finding]] = {
    "configuration-missing": _plain(refusals.CONFIGURATION_MISSING, CONFIGURATION),
    "machine": _plain(refusals.MACHINE, CONFIGURATION),
    "capability": _capability,
    "capability-unknown": _capability_unknown,
    "uuid": _plain(refusals.UUID, CONFIGURATION),
    "page-bits": _page_bits,
    "section-unknown": _section_unknown,
    "section-too-new": _version,
    "version-too-new": _version,
    "version-too-old": _version,
    "subsection-unknown": _subsection,
    "run-state": _run_state,
    "at-most": _at_most,
    "irq-state": _plain(refusals.IRQ_STATE, pin=""),
    "not-equal": _not_equal,
    "features": _features,
    "queue-size": _queue_size,
    "queue-address": _plain(refusals.QUEUE_INDEX),
    "queue-count": _plain(refusals.QUEUE_COUNT),
    "queue-index": _ring,
    "queue-used": _ring,
    "msix-assertion": _vector,
    "block-unknown": _block,
    "block-size": _block_size,
    "block-too-large": _block_size,
    "block-address": _plain(refusals.BLOCK_ADDRESS, RAM),
}
"""By the name of the wording."""
