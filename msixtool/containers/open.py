"""From a file to the bytes of its stream: the layers are found by what is in them, not by names."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from msixtool.containers.base import WINDOW, Progress, Source
from msixtool.containers.codecs import codec_of
from msixtool.containers.file import FileSource, ObjectSource, SliceSource
from msixtool.containers.forward import ForwardSource
from msixtool.containers.guess import describe
from msixtool.containers.libvirt import LibvirtSource, is_save_image
from msixtool.containers.pipe import PipeSource
from msixtool.containers.qcow2 import Qcow2Source
from msixtool.containers.unpack import MAX_RATIO, Budget, unpacked_source
from msixtool.errors import ContainerError, InputError, MsixtoolError, NotAStreamError, UsageError
from msixtool.formats import qcow2

MAGIC = b"QEVM"
"""What a QEMU migration stream begins with, whatever its version."""

DEPTH = 8
"""Layers that may lie in one another."""

SPOOL_LIMIT = 8 << 30
"""Bytes that may be kept on disk, by default: what is neither RAM nor read forward once."""

HEAD = 1024
"""Bytes that tell what a layer is."""

LOOK = 64 << 20
"""Bytes that a block of bzip2, the largest of all that are checked as one, may well unpack to."""


@dataclass
class Opened:
    """A file, opened down to its stream.

    `layers` go from the outside in, each `{"kind": …}` with the details of that layer.
    """

    source: Source
    """The bytes of the stream, from its "QEVM" on."""
    layers: list[dict[str, Any]]
    path: str
    """As it was given; "-" for standard input."""
    size: int
    """Bytes of the file as it was given; 0 for a pipe."""
    origin: int
    """Where the stream begins in the file that holds it as it is, be that the file given or what
    the innermost compression unpacks to: the offsets in a mapped-ram stream count from there."""
    warnings: list[str] = field(default_factory=list)
    """What is wrong with a layer though the stream in it can be read."""
    sources: list[Source] = field(default_factory=list)
    image: Qcow2Source | None = None
    """The qcow2 image, where there is one: `image.snapshots`, `image.snapshot`."""
    save_image: LibvirtSource | None = None
    """The libvirt save image, where there is one: `save_image.xml()`."""

    def verify(self) -> InputError | None:
        """Read to the end whatever is compressed, so that its checksums speak: the damage, if any.

        Nothing of it is kept, and sources that are not compressed are not touched. Call it when a
        stream has been read, or has turned out to be damaged: the cause may be a damaged layer.
        """
        for source in reversed(self.sources):
            if isinstance(source, ForwardSource) and source.kind:
                damage = source.verify()
                if damage is not None:
                    return damage
        return None

    def close(self) -> None:
        """Release files and memory of all layers."""
        for source in reversed(self.sources):
            source.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(
    path_or_file: str | os.PathLike[str] | BinaryIO,
    *,
    offset: int = 0,
    snapshot: str | None = None,
    max_ratio: float | None = MAX_RATIO,
    spool_limit: int = SPOOL_LIMIT,
    progress: Progress | None = None,
) -> Opened:
    """Open a file, standard input ("-") or a seekable binary file object down to the stream in it.

    `offset` skips leading bytes of the file. `snapshot` chooses one of a qcow2 image by its name
    or id (default: the newest). `max_ratio` bounds what one byte may unpack to (None: no bound),
    `spool_limit` the bytes kept in a temporary file. `progress` hears of the bytes read of the file.

    Raises NotAStreamError where there is no stream, ContainerError and TruncatedError where a
    layer is damaged or not supported, InputError where the file cannot be read, UsageError where
    the offset or the snapshot is not there.
    """
    outer, path, start = _outer(path_or_file, spool_limit, progress)
    opened = Opened(outer, [], path, 0 if outer.sequential else outer.size, 0, sources=[outer])
    try:
        if start or offset:
            _skip(opened, start, offset)
        _descend(opened, snapshot, Budget(max_ratio, spool_limit))
    except MsixtoolError as error:
        opened.close()
        raise error.at(path=path) from None
    except BaseException:
        opened.close()
        raise
    return opened


def _outer(
    path_or_file: str | os.PathLike[str] | BinaryIO, spool_limit: int, progress: Progress | None
) -> tuple[Source, str, int]:
    """The file itself, what to call it, and where to begin: standard input may have been read before."""
    if not isinstance(path_or_file, str | os.PathLike):
        path = str(getattr(path_or_file, "name", "") or "<file>")
        return ObjectSource(path_or_file, path, progress=progress), path, 0
    path = os.fspath(path_or_file)
    descriptor = _descriptor(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("is a directory", path=path, expected="a file")
    try:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return PipeSource(descriptor, path, spool_limit=spool_limit, progress=progress), path, 0
    return FileSource(path, descriptor, progress=progress), path, position


def _descriptor(path: str) -> int:
    try:
        return os.dup(sys.stdin.fileno()) if path == "-" else os.open(path, os.O_RDONLY | os.O_NOCTTY)
    except (OSError, ValueError, AttributeError) as error:  # standard input may be closed
        reason = getattr(error, "strerror", None) or error
        raise InputError("cannot be opened", path=path, found=reason) from None


def _skip(opened: Opened, start: int, offset: int) -> None:
    """Begin `offset` bytes behind `start`."""
    if offset < 0 or not opened.source.read(start + offset, 1):
        raise UsageError("no bytes at --offset", offset=offset)
    opened.source = SliceSource(opened.source, start + offset)
    opened.origin = start + offset


def _descend(opened: Opened, snapshot: str | None, budget: Budget) -> None:
    """Go from layer to layer until the stream is there."""
    while not (head := opened.source.read(0, HEAD)).startswith(MAGIC):
        if len(opened.layers) == DEPTH:
            raise ContainerError("too many layers in one another", expected=f"at most {DEPTH}")
        if is_save_image(head):
            _enter_libvirt(opened)
        elif head.startswith(qcow2.MAGIC):
            opened.image = Qcow2Source(opened.source, snapshot, budget)
            _enter(opened, opened.image)
        elif codec := codec_of(opened.source):
            outermost = not any(
                isinstance(source, ForwardSource) and source.kind for source in opened.sources
            )
            _enter(
                opened,
                unpacked_source(opened.source, codec, path=opened.path, budget=budget, outermost=outermost),
            )
        else:
            raise _not_a_stream(opened, head)
    if snapshot is not None and opened.image is None:
        raise UsageError("no qcow2 image, so there is no snapshot to choose", found=f"--snapshot {snapshot}")


def _enter(opened: Opened, source: Source) -> None:
    """Go into a layer whose bytes have no place of their own in the file below."""
    opened.sources.append(source)
    opened.layers.append({"kind": source.kind, **source.details()})
    opened.source = source
    opened.origin = 0


def _enter_libvirt(opened: Opened) -> None:
    """Go into a save image, whose stream stands in it as it is if it is not compressed."""
    image = LibvirtSource(opened.source)
    origin = opened.origin + image.start
    _enter(opened, image)
    opened.origin = origin
    opened.save_image = image
    if not image.complete:
        opened.warnings.append(
            "libvirt marked this save image as incomplete: the save, or rewriting its header at the end, "
            "did not finish; libvirt itself refuses to restore it"
        )


def _not_a_stream(opened: Opened, head: bytes) -> NotAStreamError:
    """What to say of bytes that are neither a stream nor a container of one.

    Raises the InputError of a damaged layer where that is the reason.
    """
    if opened.source.sequential:
        _look_for_damage(opened.source)
    inside = " in ".join(layer["kind"] for layer in reversed(opened.layers))
    return NotAStreamError(
        f"no QEMU migration stream{f' in {inside}' if inside else ''}",
        expected="QEVM",
        found=describe(head),
    )


def _look_for_damage(source: Source) -> None:
    """Raises the InputError of damage near the start: bytes may come out wrong before it is noticed."""
    for offset in range(0, LOOK, WINDOW):
        data = source.read(offset, WINDOW)
        source.drop(offset, offset + WINDOW)
        if len(data) < WINDOW:
            source.read(offset + len(data), 1)
            return
