"""Fields, features and queues that differ between the source's device and the target's."""

from __future__ import annotations

from msixtool.qemu import advice
from msixtool.qemu.kinds import kind_of
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.explanation import Told
from msixtool.tasks.finding import Code


def not_equal(case: Case) -> Told:
    """A field that has to be the same on both sides. QEMU prints its own value first."""
    field = _inner_field(case)
    named = f"{field} of {case.it}" if field else f"A field of {case.it}"
    return Told(
        Code.FIELD_MISMATCH,
        f"{named} is {case.source} in the stream and {case.target} in the target, and has to be the same.",
        case.section,
        case.instance,
        field,
        source=case.source,
        target=case.target,
        advice=advice.advise(Code.FIELD_MISMATCH.value, case.kind, field),
    )


def _inner_field(case: Case) -> str | None:
    known = kind_of(case.kind).only_equal
    fields = case.failure.fields
    return known or (fields[0].values["field"].rpartition(".")[2] if fields else None)


_REGISTER_LIST = "cpreg_vmstate_array_len"


def at_most(case: Case) -> Told:
    """A number that may be at most the local one: the version_id in a PCIDevice."""
    fields = case.failure.fields
    field = fields[0].values["field"] if fields and fields[0].name == "field" else "version_id"
    if field.startswith(_REGISTER_LIST):
        return Told(
            Code.FIELD_MISMATCH,
            f"The stream has {case.source} registers of {case.it}; the target's kernel (KVM) lists"
            f" {case.target}: the"
            " list comes from the host's kernel and processor.",
            case.section,
            case.instance,
            field,
            source=case.source,
            target=case.target,
            advice="Load it on a host with the source's kernel version and processor, and the same -cpu.",
        )
    return Told(
        Code.SECTION_VERSION if field == "version_id" else Code.FIELD_MISMATCH,
        f"{field} in {case.it} is {case.source} in the stream; the target takes 0 to {case.target}.",
        case.section,
        case.instance,
        field,
        source=case.source,
        target=case.target,
    )


def virtio_features(case: Case) -> Told:
    """Features that the guest has negotiated and the target does not offer, by name."""
    kind, wanted = kind_of(case.kind), case.source & ~case.target
    missing = [kind.feature(bit) for bit in range(_MOST_FEATURES) if wanted >> bit & 1]
    names = ", ".join(feature.name for feature in missing)
    properties = sorted({feature.prop for feature in missing if feature.prop})
    used = f"features {names}, which" if missing else "features of which QEMU names none, and which"
    return Told(
        Code.FEATURES,
        f"The guest's driver of {case.it} uses {used} the target does not offer.",
        case.section,
        case.instance,
        "guest_features",
        source=case.source,
        target=case.target,
        advice=_on_features(case.kind, properties),
    )


_MOST_FEATURES = 128


def _on_features(kind: str, properties: list[str]) -> str | None:
    """What brings features back: the device's properties and, for what the host serves, its kernel
    or back-end."""
    told = f"Give the target's device the source's {', '.join(properties)}." if properties else ""
    if kind_of(kind).host_features:
        off = ", ".join(f"{name}=off" for name in properties)
        instead = f"; or start the source with {off} and restart its guest" if off else ""
        told += (
            " What vhost or a tap device offers comes from the host's kernel (of vhost-user, from its"
            " back-end):"
            f" use one on the target at least as new as the source's{instead}."
        )
    return told.strip() or None


def queue_size(case: Case) -> Told:
    """A virtqueue that is longer than the device's, or that the device does not have."""
    queue, source, target = int(case.value("queue")), case.source, case.target
    if target:
        message = (
            f"Queue {queue} of {case.it} has {source} entries in the stream, the target's {target} at most."
        )
    else:
        message = f"The source's {case.it} has a queue {queue}, the target's has none of that number."
    return Told(
        Code.QUEUE_SIZE,
        message,
        case.section,
        case.instance,
        f"queue {queue} size",
        source=source,
        target=target,
        advice=advice.on_queue(case.kind, source, target),
    )
