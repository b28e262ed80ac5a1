"""What is no stream of QEMU's, or does not begin or go on as one."""

from __future__ import annotations

from msixtool.qemu import refusals
from msixtool.qemu.refusals import logged
from msixtool.qemu.refusals.logged import CONFIGURATION, STREAM
from msixtool.tasks.explain.case import Case
from msixtool.tasks.finding import Code, Finding

_TLS = "the greeting of a TLS client"
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
    "1603": _TLS,
    "48545450": "an answer of HTTP",
    "5353482d": "an SSH server",
}
_MULTIFD = 0x11223344
_QEVM = 0x5145564D


def magic(case: Case) -> Finding:
    """Not a migration stream: what it may be instead, by its first bytes or by the file given."""
    found = case.source
    if found == _MULTIFD:
        return _multifd(case, on_source=True)
    begins = "" if found is None else f"{found:08x}"
    if _like(begins) == _TLS:
        return case.tell(logged.TLS_ON_SOURCE, source=True, target=False)
    what = _like(begins)
    if what is None and case.evidence is not None and case.evidence.dump.layers:
        what = str(case.evidence.dump.layers[0]["kind"])
    said = (f": it begins with {begins}" if begins else "") + (f", as {what} does" if what else "")
    return case.tell(logged.MAGIC, said=said, advice=_unpack(what) or (_BY_SOCKET if what is None else None))


_BY_SOCKET = (
    "Where it came over the network: see that TLS (tls-creds, virsh migrate --tls, with certificates that"
    " both hosts accept) and multifd are on on both sides or on neither, and that nothing else connects to"
    " this port. Where it is a file: see what it is, and at which offset the stream begins."
)


def _unpack(what: str | None) -> str | None:
    if what in ("gzip", "bzip2", "xz", "zstd", "lz4", "lzop"):
        return f'Unpack it on the way: -incoming "exec:{what} -dc FILE".'
    if what in ("a libvirt save image", "libvirt"):
        return "Restore it with virsh restore; the stream in it begins behind libvirt's own header."
    if what in ("a qcow2 image", "qcow2"):
        return "Load the snapshot in it with -loadvm."
    return None


def _multifd(case: Case, *, on_source: bool) -> Finding:
    there, here = ("on", "off") if on_source else ("off", "on")
    return case.tell(logged.MULTIFD, there=there, here=here, source=on_source, target=not on_source)


def multifd_magic(case: Case) -> Finding:
    """A multifd channel that does not begin as one."""
    if case.source == _QEVM:
        return _multifd(case, on_source=False)
    return case.tell(logged.MULTIFD_CHANNEL)


def channel_magic(case: Case) -> Finding:
    """A connection that begins neither as the stream nor as one of multifd."""
    begins = f"{case.source or 0:08x}"
    if _like(begins) == _TLS:
        return case.tell(logged.TLS_ON_SOURCE, source=True, target=False)
    return case.tell(logged.CHANNEL_MAGIC, said=f" (it begins with {begins})")


def _like(begins: str) -> str | None:
    """What begins so, in hexadecimal digits."""
    return next((name for start, name in _MAGICS.items() if begins.startswith(start)), None)


_CONFIGURATION_TYPE = 7


def section_type(case: Case) -> Finding:
    """A byte that begins no section: of the stream, or of the configuration section, which has a
    type of its own."""
    if case.source == _CONFIGURATION_TYPE:
        unread = refusals.CONFIGURATION_UNREAD._replace(code=Code.FIELD_MISMATCH)
        return case.refused(unread, CONFIGURATION, source=True, target=False)
    return case.tell(STREAM["section-type"])


def stream_error(case: Case) -> Finding:
    """The stream ended, or its transport broke, while something was read."""
    what = case.section or case.value("vmsd")
    inside = f" in the middle of {what}" if what else ""
    return case.tell(logged.ENDED, inside=inside)
