"""Failures of which QEMU says where, or only that, but not why.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_load_config and _queue refuse a vector out of range
without a word), hw/virtio/virtio.c (queue_sel), hw/char/virtio-serial-bus.c (the ports have to be the same),
migration/vmstate.c before 10.2 (a subsection that is not known).
"""

from __future__ import annotations

from dataclasses import replace

from msixtool.qemu import advice, refusals
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals import WHOLE
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.sentences import RAM, SOURCE_STOPPED
from msixtool.tasks.finding import Code, Finding

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
        return _told(
            case,
            Code.OTHER,
            "QEMU gives no reason in this line; it stands in the lines before, in QEMU's own log"
            " (libvirt: /var/log/libvirt/qemu/NAME.log on the target host).",
        )
    field = _field(case)
    if field == _CONFIG:
        return _told(
            case,
            Code.CONFIG_MISMATCH,
            f"The PCI configuration space of {case.section} is not the same on both sides. Which byte"
            " differs is in a line with Bad config data, which is not in this log; releases before 2.4 do"
            " not tell it.",
            field,
        )
    if kind_of(case.kind).is_virtio and field in (None, "virtio"):
        return _virtio(case, errno)
    stopped = f"while it read {field}" if field else "after it had read the fields"
    return _told(
        case,
        Code.OTHER,
        f"{case.section} refused its state {stopped}; QEMU gives no reason.",
        field,
        advice=_on_device(case),
    )


def quoted(case: Case) -> Finding:
    """QEMU's own words, which are not known here: they are the cause all the same."""
    where = f"{case.section} was refused" if case.section else "The migration failed"
    return _told(
        case,
        Code.OTHER,
        f"{where}; QEMU says why in its own words, which msixtool does not know: {case.cause.text}",
        _field(case),
        _on_device(case),
    )


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
        return _told(
            case,
            Code.OTHER,
            "QEMU crashed. Where that was in a load by a release before 7.2, a virtio queue whose vector the"
            " device does not have can be why: give the stream with --stream to see.",
        )
    return replace(
        found,
        message=f"QEMU crashed, and the stream has what crashes releases before 7.2: {found.section}:"
        f" {found.message}.",
    )


def _told(
    case: Case, code: Code, message: str, field: str | None = None, advice: str | None = None
) -> Finding:
    return Finding(code, message, case.section, case.instance, field, advice=advice)


_STOPPED = "As a rule the source stopped sending, died or its file is cut."


def _cut_off(case: Case, errno: str) -> Finding:
    """An error that a stream ends with, and that a device can give as well: an errno is no cause."""
    where = f" in the middle of {case.section}" if case.section else ""
    cut = case.evidence.cut if case.evidence else None
    if cut is not None:
        return _told(
            case, Code.STREAM, f"The stream ended{where}, as the one given does: {cut}.", advice=WHOLE
        )
    if case.evidence is None and (case.section in (None, RAM) or case.failure.fields):
        # RAM and plain fields have no other way to fail so.
        return _told(
            case,
            Code.STREAM,
            f"The stream ended, or the connection broke{where}, before the target had all of it."
            f" {_STOPPED} Where a device refused its state, its own words stand in the lines before, in"
            " QEMU's log on the target host.",
            advice=SOURCE_STOPPED,
        )
    whole = "" if case.evidence is None else " The stream given is whole."
    return _told(
        case,
        Code.OTHER,
        f"{case.section or 'The load'} failed with the error {errno}, which is no reason by itself: either"
        f" the"
        " device could not take its state, and its own words stand in the lines before, in QEMU's log; or"
        " what"
        f" it read from broke off.{whole}",
        advice=f"Read the lines before on the target host. {SOURCE_STOPPED}",
    )


def _unknown_subsection(case: Case) -> Finding:
    """A subsection that is not known is told by its name since 10.2; before by traces alone."""
    traced = case.failure.traced_subsection
    names = case.evidence.subsections(case.section or "") if case.evidence else []
    which = "releases before 10.2 do not say which."
    if traced is not None:
        names, which = [traced], f"it is {traced}."
    elif names:
        which = f"by the stream's own list it has {', '.join(names[:_MOST_NAMED])}, of which it is one."
    return _told(
        case,
        Code.SUBSECTION_UNKNOWN,
        f"The stream has a subsection in {case.section} that the target does not know; {which}",
        names[0] if len(names) == 1 else _field(case),
        _on_subsections(case.kind, names),
    )


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
        return _told(
            case,
            Code.FIELD_MISMATCH,
            f"{case.section} refused its state without a word: its ports (virtserialport, virtconsole) are"
            " not the source's, in number or in nr=, or a vector is out of range.",
            "ports_map",
            ports,
        )
    if errno.startswith(_NOT_PERMITTED):
        return _told(
            case,
            Code.OTHER,
            f"{case.section} refused its state without a word, with error 1 (operation not permitted):"
            " queue_sel is 1024 or more, or a queue cannot be read.",
            "queue_sel",
        )
    looked = evidence is not None and evidence.section(case.section or "") is not None
    if looked:
        return _told(
            case,
            Code.OTHER,
            f"{case.section} refused its state without a word. In the stream its vectors are all in range,"
            " so it is the state of the device type itself that does not fit.",
        )
    setting = kind_of(case.kind).advice.vectors
    found = case.refused(refusals.VECTOR, property=setting, below="the table size")
    return replace(
        found,
        message=f"{case.section} refused its state without a word. A virtio device does that where"
        " config_vector or a queue's vector is not below the number of its MSI-X vectors; --stream shows"
        " which.",
    )


def _field(case: Case) -> str | None:
    """The innermost field that a message names."""
    fields = case.failure.fields
    return fields[0].values["field"] if fields else None


def _on_device(case: Case) -> str | None:
    if case.kind in _CPUS:
        return (
            "Give the target the source's -cpu, on a host whose kernel and processor offer what the"
            " source's did:"
            " a register that is missing there, or has another value, is refused, by ARM's CPUs without a"
            " word."
        )
    return advice.advise(Code.OTHER.value, case.kind, _field(case))
