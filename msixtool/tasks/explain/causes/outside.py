"""What keeps a VM from being saved, and what libvirt compares itself."""

from __future__ import annotations

from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals import logged
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.families import find_family
from msixtool.tasks.finding import Finding


def blocked_device(case: Case) -> Finding:
    """A device whose state cannot be saved."""
    device = case.section or ""
    remedy = kind_of(device).advice.blocked or (
        "Unplug it before the migration (device_del), or use a device that can migrate."
    )
    return case.tell(logged.BLOCKED_DEVICE, advice=remedy)


def libvirt_cpu(case: Case) -> Finding:
    """The features that libvirt finds missing after it has started QEMU."""
    missing, extra = case.value("source"), case.value("target")
    parts = [f"it lacks {missing}" if missing else "", f"it adds {extra}" if extra else ""]
    differs = f": {' and '.join(filter(None, parts))}" if any(parts) else ""
    values = {"source": missing or None, "target": extra or None, "advice": _on_cpu(missing, extra)}
    return case.tell(logged.CPU_FEATURES, differs=differs, **values)


def blocked(case: Case) -> Finding:
    """What the source's QEMU says that it cannot be saved for, with the advice of its family."""
    reason = case.value("reason").rstrip(".")
    found = find_family(reason, named=True)
    advised = None if found is None else found[0].family.sentence.advice
    return case.tell(logged.BLOCKED, reason=reason, advice=advised)


def _on_cpu(missing: str, extra: str) -> str:
    told = []
    if missing:
        told.append(
            "Use a host whose CPU and kernel have what is missing, or a CPU model that both hosts have."
        )
    if extra:
        told.append(
            f"Name what is added in the VM's CPU on both sides, as <feature policy='disable' name='…'/> (or"
            f" -cpu …,{extra.split(',')[0]}=off), or use the same QEMU and libvirt on both."
        )
    return " ".join(told) or "Use a CPU model that both hosts have."
