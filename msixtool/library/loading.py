"""What a load sets off: the answer of `load`, for streams, SPECs and saved states."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from msixtool.documents import Document, Origin, load_document
from msixtool.dump import OpenDump
from msixtool.errors import NotAStreamError, UsageError
from msixtool.library.answer import OfOne
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.qemu.versions import whole_version
from msixtool.spec.saved import SavedFile
from msixtool.tasks.finding import Finding, Severity
from msixtool.tasks.load import Loaded, load_device
from msixtool.tasks.refusals import TOLD, refusals, warnings
from msixtool.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msixtool.dump import OpenOptions
    from msixtool.tasks.forge_output import Base


@dataclass(frozen=True, slots=True, repr=False)
class Load(OfOne):
    """What a load sets off in each device, and why QEMU would refuse it or might (`findings`).

    `written` is the file with the state after the load, None where none was asked for, or where the
    input is damaged and none was written.
    """

    origin: Origin
    devices: tuple[Loaded, ...]
    findings: tuple[Finding, ...] = ()
    x86: bool = False
    written: str | None = None

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Why the load fails, in the order in which QEMU meets it; empty where nothing stops it."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """What may go wrong without stopping the load."""
        return tuple(each for each in self.findings if each.severity is not Severity.ERROR)

    @property
    def lost(self) -> tuple[tuple[str, int, int], ...]:
        """The interrupts that are lost: name and instance of the device, and the vector."""
        return tuple((each.name, each.instance, vector) for each in self.devices for vector in each.lost)

    @property
    def ok(self) -> bool:
        """Whether the load would succeed and lose no interrupt, as far as that is known."""
        return not self.refusals and not self.lost

    def document(self) -> Document:
        """`msixtool.load/1`."""
        return load_document(self.origin, self.findings, self.devices)

    def summary(self) -> str:
        refused = plural(len(self.refusals), "refusal")
        return f"{plural(len(self.devices), 'device')}, {len(self.lost)} lost, {refused}"


def load_stream(
    dump: OpenDump, device: str | None = None, qemu_version: str | None = None, *, xen: bool = False
) -> Load:
    """The load of an opened stream. Raises UsageError where no device matches."""
    version = _version(qemu_version)
    findings = (*refusals(dump, version), *warnings(dump, version))
    loaded = tuple(load_device(each, version, xen=xen) for each in dump.select(device))
    return Load(Origin.of(dump, told=TOLD), loaded, findings, dump.is_x86)


def load_saved_file(
    saved: SavedFile, device: str | None = None, qemu_version: str | None = None, *, xen: bool = False
) -> Load:
    """The load of a SPEC or a raw vmstate. Raises UsageError where no device matches, or no kind is said."""
    from msixtool.tasks.load_file import load_saved

    _, loaded = load_saved(saved, device, _version(qemu_version), xen=xen)
    return Load(Origin(saved.path, saved.size), tuple(loaded))


def _version(text: str | None) -> QemuVersion:
    return whole_version(text) if text else NEWEST


def load(
    file: str | os.PathLike[str],
    *,
    device: str | None = None,
    qemu_version: str | None = None,
    xen: bool = False,
    kind: str | None = None,
    vectors: int | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    **where: Unpack[OpenOptions],
) -> Load:
    """Take each device of a stream, a SPEC or a saved state through QEMU's load path.

    `qemu_version` is the QEMU that loads (None: the newest known), with `xen` under Xen; `kind` and `vectors`
    are a raw vmstate's. The state after is written to `output`, as `file` is, where one is given.

    Raises InputError where `file` is none of these, UsageError for a version, a kind or a device that is
    not known, OutputError where `output` must not or cannot be written.
    """
    _version(qemu_version)
    path = os.fspath(file)
    out = None if output is None else os.fspath(output)
    try:
        with _stream(path, out, force, where) as (dump, base):
            if kind or vectors:
                raise UsageError("kind and vectors", path=path, expected="a raw vmstate", found="a stream")
            answer = load_stream(dump, device, qemu_version, xen=xen)
            if base is None or out is None or answer.damage:
                return answer
            from msixtool.tasks.load_file import write_loaded_stream

            write_loaded_stream(base, answer.devices, out, force=force)
            return replace(answer, written=out)
    except NotAStreamError as error:
        saved = SavedFile.read(path, error, kind=kind, vectors=vectors)
        if saved.state is not None and kind is None:
            # It was meant to be a stream: say what is wrong with it as one.
            error.expected = "QEVM, or a raw vmstate with its --kind"
            raise
    answer = load_saved_file(saved, device, qemu_version, xen=xen)
    if out is None:
        return answer
    from msixtool.tasks.load_file import write_loaded_saved

    write_loaded_saved(saved, saved.select(device), answer.devices, out, force=force)
    return replace(answer, written=out)


@contextmanager
def _stream(
    file: str, output: str | None, force: bool, where: OpenOptions
) -> Iterator[tuple[OpenDump, Base | None]]:
    """The stream, and where it is to be written again, as the base of that: then a pipe is kept on disk."""
    if output is None:
        with OpenDump.open(file, **where) as dump:
            yield dump, None
        return
    from msixtool.output.files import check_output
    from msixtool.tasks.forge_output import open_base

    if output == "-":
        raise UsageError("the report of the load goes to standard output", expected="-o FILE", found="-o -")
    check_output(output, force=force, inputs=[file])
    with open_base(file, damaged=True, **where) as base:
        yield base.dump, base
