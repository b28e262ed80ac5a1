"""`Dump`: an opened stream with a method for every question."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, BinaryIO, Unpack

from msixtool.documents import Origin
from msixtool.dump import OpenDump, OpenOptions
from msixtool.errors import NotAStreamError

if TYPE_CHECKING:
    from msixtool.containers.base import Progress
    from msixtool.library.checking import Validation
    from msixtool.library.command import Command
    from msixtool.library.comparing import Difference
    from msixtool.library.compatibility import Compatibility
    from msixtool.library.fields import Description, Fields
    from msixtool.library.loading import Load
    from msixtool.library.options import CommandOptions, DiffOptions, TargetOptions
    from msixtool.library.reading import Inspection
    from msixtool.library.saved import Saved
    from msixtool.library.tracing import Tracing
    from msixtool.library.vectors import Vectors
    from msixtool.tasks.diff_sides import Operand


class Dump(OpenDump):
    """A migration stream in whatever container it came, opened for reading; each question is a method.

    Use `Dump.open`, as a context manager: leaving the block releases the file. Answers stay valid then,
    save those of `fields`, whose sections are read as they are asked for.
    """

    def inspect(self) -> Inspection:
        """What the stream is, what it holds, and its devices with MSI-X. RAM is left alone."""
        from msixtool.library.reading import Inspection

        return Inspection(Origin.of(self), self)

    def show(self, device: str | None = None) -> Vectors:
        """Each vector of the devices that `device` names (None: all). Raises UsageError where none does."""
        from msixtool.library.vectors import Vectors

        return Vectors(Origin.of(self), tuple(self.select(device)), self.is_x86)

    def fields(self, section: str | None = None) -> Fields:
        """The sections that `section` names (None: all), each with every decoded field by its path.

        They are read as they are asked for, while the stream is open. Raises UsageError where none is named.
        """
        from msixtool.library.fields import Fields
        from msixtool.tasks.fields import select_sections

        return Fields(Origin.of(self), self, tuple(select_sections(self, section)))

    def description(self, section: str | None = None) -> Description:
        """What the vmdesc says of the sections that `section` names; all of it for None.

        Raises UsageError where the stream has none, or no such section.
        """
        from msixtool.library.fields import description_of

        return description_of(self, section)

    def load(self, device: str | None = None, *, qemu_version: str | None = None, xen: bool = False) -> Load:
        """What a load sets off in each device, and why QEMU would refuse the stream.

        `qemu_version` is the QEMU that loads, by default the newest known; with `xen` it runs under Xen,
        where a vector that is remapped to a pirq is never masked. Raises UsageError for a version that is
        none, and where no device matches.
        """
        from msixtool.library.loading import load_stream

        return load_stream(self, device, qemu_version, xen=xen)

    def validate(self, *, ignore: Collection[str] = (), severity: str = "info") -> Validation:
        """What is wrong, without the rules in `ignore` and what is below `severity` (info, warning, error).

        RAM records are checked where the stream was opened with `walk`. Raises UsageError for a rule or a
        severity that is not known.
        """
        from msixtool.library.checking import validate_stream

        return validate_stream(self, ignore, severity)

    def diff(self, other: Operand | str | os.PathLike[str], **how: Unpack[DiffOptions]) -> Difference:
        """What differs from `other`, a Dump, a Saved or a path: devices by name and instance, field by field.

        The keywords are those of DiffOptions. Raises UsageError where nothing is selected, and where a SPEC
        does not fit.
        """
        from msixtool.library.comparing import difference_of, opened

        with opened(other) as operand:
            return difference_of(self, operand, **how)

    def compat(
        self,
        target: str | os.PathLike[str] | BinaryIO | OpenDump | None = None,
        **how: Unpack[TargetOptions],
    ) -> Compatibility:
        """Whether one target loads the stream, and every reason why not; it is named as in `target_of`.

        To ask one target of many streams, open it once with `target_of`. Raises as that does.
        """
        from msixtool.library.compatibility import target_of

        with target_of(target, **how) as opened:
            return opened.answer(self)

    def trace(
        self, device: str | None = None, *, vector: int | None = None, later: OpenDump | None = None
    ) -> Tracing:
        """Where each interrupt is, from its cause to its CPU; of `vector` alone where it is given.

        `later` is a stream of the same VM a second or more later. Raises UsageError where no device matches.
        """
        from msixtool.library.tracing import trace_stream

        return trace_stream(self, device, vector, later)

    def cmdline(self, **how: Unpack[CommandOptions]) -> Command:
        """The command line of a QEMU that loads the stream: machine, memory, every device at its place.

        The keywords are those of CommandOptions. Raises InputError for a stream without machine type, or
        where a QEMU to `check` it does not start.
        """
        from msixtool.library.command import command_for

        return command_for(self, **how)

    def save(
        self,
        output: str | os.PathLike[str],
        device: str | None = None,
        *,
        text: bool = False,
        force: bool = False,
    ) -> None:
        """Write the MSI-X state of one device: 16·n bytes of table, ceil(n/8) of PBA, or with `text` a SPEC.

        Raises UsageError, naming the candidates, where `device` does not name just one, OutputError where
        `output` must not or cannot be written, InputError where the stream's file has changed.
        """
        from msixtool.output.files import write_file
        from msixtool.spec import spec_text

        chosen = self.select_one(device)
        data = (
            spec_text(chosen, x86=self.is_x86, origin=self.path).encode()
            if text
            else chosen.state.to_vmstate()
        )
        self.check_unchanged()
        write_file(os.fspath(output), data, force=force, inputs=[self.path])

    def record(self, device: str | None = None, *, qemu_version: str | None = None) -> str:
        """The load path of one device as a script for `replay`, which expects what `load` says.

        Raises UsageError, naming the candidates, where `device` does not name just one, InputError for one
        whose configuration space is not in the stream.
        """
        from msixtool.msix.versions import NEWEST
        from msixtool.qemu.versions import whole_version
        from msixtool.tasks.replay.record import record_load

        version = whole_version(qemu_version) if qemu_version else NEWEST
        return record_load(self.select_one(device), version, source=self.path)

    def __repr__(self) -> str:
        machine = self.index.machine or "no machine type"
        return f"<Dump of {self.path[-60:]!r}: {machine[:40]!r}, {len(self.index.items)} sections>"


def open_input(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    kind: str | None = None,
    vectors: int | None = None,
    walk: bool = False,
    progress: Progress | None = None,
    **where: Unpack[OpenOptions],
) -> Dump | Saved:
    """Open what may be a stream (a Dump), or a SPEC or a saved state (a Saved); both are context managers.

    `walk` and `progress` are those of `Dump.open`; `kind` and `vectors` say what a raw vmstate is of.

    Raises InputError where the file is none of these, and UsageError as `Dump.open` and `Saved.read` do.
    """
    from msixtool.library.saved import Saved

    try:
        return Dump.open(file, walk=walk, progress=progress, **where)
    except NotAStreamError as error:
        if any(where.values()) or not isinstance(file, str | os.PathLike):
            raise
        return Saved.read(os.fspath(file), error, kind=kind, vectors=vectors)
