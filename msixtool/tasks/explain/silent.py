"""Failures of which QEMU says where, or only that, but not why.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_load_config and _queue refuse a vector out of range
without a word), hw/virtio/virtio.c (queue_sel), hw/char/virtio-serial-bus.c (the ports have to be the same),
migration/vmstate.c before 10.2 (a subsection that is not known).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msixtool.qemu import advice, refusals
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals import logged
from msixtool.qemu.refusals.logged import RAM
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.explain.case import Case
from msixtool.tasks.finding import Code, Finding, finding_of

_NOT_FOUND = ("No such file or directory", "-2")
_CUT_OFF = ("Input/output error", "-5", "Connection reset by peer", "Broken pipe")
_NOT_PERMITTED = ("Operation not permitted", "-1")
_CONFIG = "config"
"""The configuration space in a PCIDevice."""
_CPUS = frozenset({"cpu", "cpu_common", "apic", "kvm-tpr-opt", "kvmclock"})


def silent(case: Case) -> Finding:
    """What a failure without a cause may come from, by its error and the device that it stopped at."""
    errno = case.failure.errno or ""
    if errno.startswith(_CUT_OFF):
        return _cut_off(case, errno)
    if errno.startswith(_NOT_FOUND) and case.section is not None:
        return _unknown_subsection(case)
    if case.section is None:
        return _told(case, logged.NO_REASON)
    field = _field(case)
    if field == _CONFIG:
        return _told(case, logged.CONFIG_DIFFERS, name=field)
    if kind_of(case.kind).is_virtio and field in (None, "virtio"):
        return _virtio(case, errno)
    stopped = f"while it read {field}" if field else "after it had read the fields"
    return _told(case, logged.NO_REASON_AT, name=field, stopped=stopped, advice=_on_device(case))


def quoted(case: Case) -> Finding:
    """QEMU's own words, which are not known here: they are the cause all the same."""
    where = f"{case.section} was refused" if case.section else "The migration failed"
    values = {"where": where, "text": case.cause.text}
    return _told(case, logged.OWN_WORDS, name=_field(case), advice=_on_device(case), **values)


def crash(case: Case) -> Finding:
    """QEMU ended in the middle of things: before 7.2 a virtio queue's vector can be why."""
    found = case.evidence and next(
        (
            refusal
            for device in case.evidence.dump.devices
            if (refusal := case.evidence.refusal(device.name, Code.VECTOR_RANGE))
        ),
        None,
    )
    if not found:
        return _told(case, logged.CRASHED)
    return replace(found, message=logged.CRASHED_BY.format(it=found.section, refusal=found.message))


def _told(case: Case, refusal: Refusal, **values: Any) -> Finding:
    """There is no message with values of a cause."""
    return finding_of(refusal, case.section, case.instance, it=case.it, **values)


def _cut_off(case: Case, errno: str) -> Finding:
    """An error that a stream ends with, and that a device can give as well: an errno is no cause."""
    where = f" in the middle of {case.section}" if case.section else ""
    cut = case.evidence.cut if case.evidence else None
    if cut is not None:
        return _told(case, logged.CUT_TOO, where=where, cut=cut)
    if case.evidence is None and (case.section in (None, RAM) or case.failure.fields):
        # RAM and plain fields have no other way to fail so.
        return _told(case, logged.CUT, where=where)
    whole = "" if case.evidence is None else " The stream given is whole."
    return _told(case, logged.ERRNO, what=case.section or "The load", errno=errno, whole=whole)


def _unknown_subsection(case: Case) -> Finding:
    """A subsection that is not known is told by its name since 10.2; before by traces alone."""
    traced = case.failure.traced_subsection
    names = case.evidence.subsections(case.section or "") if case.evidence else []
    which = "releases before 10.2 do not say which."
    if traced is not None:
        names, which = [traced], f"it is {traced}."
    elif names:
        which = f"by the stream's own list it has {', '.join(names[:_MOST_NAMED])}, of which it is one."
    field = names[0] if len(names) == 1 else _field(case)
    advised = _on_subsections(case.kind, names)
    return _told(case, logged.SUBSECTION_UNNAMED, name=field, which=which, advice=advised)


_MOST_NAMED = 12


def _on_subsections(kind: str, names: list[str]) -> str:
    told = str(refusals.SUBSECTION_UNKNOWN.advice)
    known = kind_of(kind).advice.subsections
    remedies = [f"{name} {known[name]}" for name in names or known if name in known]
    if remedies:
        return " ".join([told, *remedies])
    return told if names else f"{told} msixtool fields shows which subsections the section has."


def _virtio(case: Case, errno: str) -> Finding:
    evidence = case.evidence
    found = evidence.refusal(case.section or "", Code.VECTOR_RANGE) if evidence else None
    if found is not None:
        return replace(found, message=f"{found.message[0].upper()}{found.message[1:]}.")
    ports = kind_of(case.kind).advice.fields.get("ports_map")
    if ports and not errno.startswith(_NOT_PERMITTED):
        return _told(case, logged.PORTS_DIFFER, advice=ports)
    if errno.startswith(_NOT_PERMITTED):
        return _told(case, logged.NOT_PERMITTED)
    looked = evidence is not None and evidence.section(case.section or "") is not None
    if looked:
        return _told(case, logged.TYPE_STATE)
    setting = kind_of(case.kind).advice.vectors
    return _told(case, logged.VECTOR_UNSEEN, property=setting, below="the table size")


def _field(case: Case) -> str | None:
    """The innermost field that a message names."""
    fields = case.failure.fields
    return fields[0].values["field"] if fields else None


def _on_device(case: Case) -> str | None:
    if case.kind in _CPUS:
        return (
            "Give the target the source's -cpu, on a host whose kernel and processor offer what the source's"
            " did: a register that is missing there, or has another value, is refused, by ARM's CPUs without"
            " a word."
        )
    return advice.advise(Code.OTHER.value, case.kind, _field(case))
