"""The causes whose meaning has to be looked up or put together: one function for each."""

from __future__ import annotations

from collections.abc import Callable

from msixtool.devices.device import kind_of
from msixtool.qemu import advice
from msixtool.qemu.virtio_features import features
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.config_space import bad_config_data
from msixtool.tasks.explain.explanation import Told
from msixtool.tasks.explain.families import find_family
from msixtool.tasks.explain.sentences import CONFIGURATION, RAM, SENTENCES
from msixtool.tasks.finding import Code
from msixtool.words import byte_size

_WHOLE = "Take the stream again, or use a copy of it that is whole."

_MAGICS = {
    "1f8b": "gzip",
    "425a68": "bzip2",
    "fd377a58": "xz",
    "28b52ffd": "zstd",
    "04224d18": "lz4",
    "894c5a4f": "lzop",
    "4c696276": "a libvirt save image",
    "514649fb": "a qcow2 image",
    "7f454c46": "a program or a core dump",
}
_MULTIFD = 0x11223344
_QEVM = 0x5145564D


def magic(case: Case) -> Told:
    """Not a migration stream: what it may be instead, by its first bytes or by the file given."""
    found = case.source
    if found == _MULTIFD:
        return _multifd(on_source=True)
    begins = "" if found is None else f"{found:08x}"
    what = next((name for start, name in _MAGICS.items() if begins.startswith(start)), None)
    if what is None and case.evidence is not None and case.evidence.dump.layers:
        what = str(case.evidence.dump.layers[0]["kind"])
    said = f": it begins with {begins}" if begins else ""
    return Told(
        Code.STREAM,
        f"What QEMU was given is no migration stream{said}{f', as {what} does' if what else ''}.",
        source=found,
        target=case.target,
        advice=_unpack(what),
    )


def _unpack(what: str | None) -> str | None:
    if what in ("gzip", "bzip2", "xz", "zstd", "lz4", "lzop"):
        return f'Unpack it on the way: -incoming "exec:{what} -dc FILE".'
    if what in ("a libvirt save image", "libvirt"):
        return "Restore it with virsh restore; the stream in it begins behind libvirt's own header."
    if what in ("a qcow2 image", "qcow2"):
        return "Load the snapshot in it with -loadvm."
    return None


def _multifd(*, on_source: bool) -> Told:
    there, here = ("on", "off") if on_source else ("off", "on")
    return Told(
        Code.CAPABILITY,
        f"The multifd capability is {there} in the source and {here} in the target: it met bytes that are"
        " meant for another kind of channel.",
        field="multifd",
        source=on_source,
        target=not on_source,
        advice="Turn multifd on for both sides or for neither (migrate-set-capabilities).",
    )


def multifd_magic(case: Case) -> Told:
    """A multifd channel that does not begin as one."""
    if case.source == _QEVM:
        return _multifd(on_source=False)
    return Told(
        Code.STREAM,
        "What came on a multifd channel is none: another program connected, or TLS is on on one side alone.",
        field="multifd",
        source=case.source,
        target=case.target,
    )


def page_bits(case: Case) -> Told:
    """TARGET_PAGE_BITS: the page size as a power of two."""
    source, target = (1 << min(max(bits, 0), 63) for bits in (case.source, case.target))
    return Told(
        Code.PAGE_SIZE,
        f"The guest's pages are of {source} bytes in the source and of {target} in the target.",
        CONFIGURATION,
        field="page_size",
        source=source,
        target=target,
        advice="Use the source's architecture, machine type and -cpu.",
    )


_CONFIGURATION_TYPE = 7


def section_type(case: Case) -> Told:
    """A byte that begins no section: of the stream, or of the configuration section, which has a
    type of its own."""
    if case.source == _CONFIGURATION_TYPE:
        return Told(
            Code.FIELD_MISMATCH,
            "The stream begins with the configuration section (type 7), and the target does not read one:"
            " it runs"
            " with migration.send-configuration=off, as machine types before 2.4 do.",
            CONFIGURATION,
            field="send-configuration",
            source=True,
            target=False,
            advice="Start the target with the source's machine type and without -global"
            " migration.send-configuration=off, or the source with it.",
        )
    return case.tell(SENTENCES["section-type"])


def section_unknown(case: Case) -> Told:
    """A device, or an instance of one, that only the source has."""
    name, instance = case.value("section"), int(case.value("instance"))
    path, slash, kind = name.rpartition("/")
    count = f" (instance {instance})" if instance else ""
    if slash:
        message = f"The source has a device {kind} at {path}{count}, the target has none there."
    else:
        message = f"The source has a section {name}{count}, the target has no device for it."
    return Told(
        Code.SECTION_UNKNOWN,
        message,
        name,
        instance,
        advice=advice.on_missing_section(name, kind or name, instance, []),
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


def footer_missing(case: Case) -> Told:
    """The bytes of a section that its layout here does not use up."""
    section = case.section or ""
    return Told(
        Code.SECTION_LAYOUT,
        f"QEMU read {section} by its own layout and did not end where the section does: the stream has more"
        " of it, or less, than the target's device has.",
        section,
        case.instance,
        advice=advice.advise(Code.SECTION_LAYOUT.value, kind_of(section), None),
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
        advice=advice.advise(Code.SECTION_LAYOUT.value, kind_of(section), None),
    )


def stream_error(case: Case) -> Told:
    """The stream ended, or its transport broke, while something was read."""
    what = case.section or case.value("vmsd")
    inside = f" in the middle of {what}" if what else ""
    return Told(
        Code.STREAM,
        f"The stream ended, or the connection broke{inside}.",
        case.section,
        case.instance,
        advice=_WHOLE,
    )


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


_ONLY_EQUAL_FIELD = {"virtio-gpu": "max_outputs"}
"""Of devices that compare one field: since 10.2 no message names it."""


def _inner_field(case: Case) -> str | None:
    known = _ONLY_EQUAL_FIELD.get(case.kind)
    fields = case.failure.fields
    return known or (fields[0].values["field"].rpartition(".")[2] if fields else None)


def at_most(case: Case) -> Told:
    """A number that may be at most the local one: the version_id in a PCIDevice."""
    fields = case.failure.fields
    field = fields[0].values["field"] if fields and fields[0].name == "field" else "version_id"
    return Told(
        Code.SECTION_VERSION if field == "version_id" else Code.FIELD_MISMATCH,
        f"{field} in {case.it} is {case.source} in the stream; the target takes 0 to {case.target}.",
        case.section,
        case.instance,
        field,
        source=case.source,
        target=case.target,
    )


def block_unknown(case: Case) -> Told:
    """A RAM block that only the source has."""
    block = case.value("block")
    return Told(
        Code.RAM_MISSING,
        f"The source has a RAM block {block}, the target has none of that name."
        if block
        else "The list of RAM blocks holds one without a name: the stream is damaged.",
        RAM,
        case.instance,
        block,
        advice=advice.on_ram(block, Code.RAM_MISSING.value),
    )


def block_size(case: Case) -> Told:
    """A RAM block of another size, or of a size beyond what it can grow to."""
    block, source, target = case.value("block"), case.source, case.target
    at_most = "at most " if case.cause.name == "block-too-large" else ""
    return Told(
        Code.RAM_SIZE,
        f"RAM block {block} is {byte_size(source)} in the source and {at_most}{byte_size(target)} in the"
        " target.",
        RAM,
        case.instance,
        block,
        source=source,
        target=target,
        advice=advice.on_ram(block, Code.RAM_SIZE.value),
    )


def virtio_features(case: Case) -> Told:
    """Features that the guest has negotiated and the target does not offer, by name."""
    missing = features(case.source & ~case.target, case.kind)
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


_BY_HOST = ("vhost", "virtio-vhost", "virtio-net", "vdpa")


def _on_features(kind: str, properties: list[str]) -> str | None:
    """What brings features back: the device's properties and, for what the host serves, its kernel
    or back-end."""
    told = f"Give the target's device the source's {', '.join(properties)}." if properties else ""
    if kind.startswith(_BY_HOST):
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


def blocked_device(case: Case) -> Told:
    """A device whose state cannot be saved."""
    section = case.section
    device = section or case.value("type")
    remedy = "Unplug it before the migration (device_del), or use a device that can migrate."
    if kind_of(device) == "nvme":
        remedy = (
            "Use QEMU 11.1 or later, which migrates nvme, on both sides; or unplug it first (device_del)."
        )
    return Told(
        Code.OTHER,
        f"The VM cannot be saved: the state of {device} cannot be migrated.",
        section,
        advice=remedy,
    )


def libvirt_cpu(case: Case) -> Told:
    """The features that libvirt finds missing after it has started QEMU."""
    missing, extra = case.value("source"), case.value("target")
    parts = [f"it lacks {missing}" if missing else "", f"it adds {extra}" if extra else ""]
    differs = f": {' and '.join(filter(None, parts))}" if any(parts) else ""
    return Told(
        Code.OTHER,
        f"The CPU that QEMU gives the guest on this host is not the one in its definition{differs}.",
        "cpu",
        field="cpu",
        source=missing or None,
        target=extra or None,
        advice=_on_cpu(missing, extra),
    )


def blocked(case: Case) -> Told:
    """What the source's QEMU says that it cannot be saved for, with the advice of its family."""
    reason = case.value("reason").rstrip(".")
    found = find_family(reason, named=True)
    advised = None if found is None else found[0].family.sentence.advice
    return Told(Code.OTHER, f"The VM cannot be saved: {reason}.", case.section, case.instance, advice=advised)


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


CAUSES: dict[str, Callable[[Case], Told]] = {
    "magic": magic,
    "multifd-magic": multifd_magic,
    "page-bits": page_bits,
    "section-type": section_type,
    "section-unknown": section_unknown,
    "version-too-new": version_too_new,
    "version-too-old": version_too_old,
    "footer-missing": footer_missing,
    "footer-id": footer_id,
    "stream-error": stream_error,
    "not-equal": not_equal,
    "at-most": at_most,
    "block-unknown": block_unknown,
    "block-size": block_size,
    "block-too-large": block_size,
    "config-space": bad_config_data,
    "features": virtio_features,
    "queue-size": queue_size,
    "blocked": blocked,
    "blocked-device": blocked_device,
    "libvirt-cpu": libvirt_cpu,
}
"""By the name of the wording."""
