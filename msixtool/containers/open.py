"""From a file to the bytes of its stream: the layers are found by what is in them, not by names."""

from __future__ import annotations

import io
import os
import stat
import sys
from dataclasses import dataclass, field
from types import EllipsisType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from msixtool.containers.base import MAGIC, Progress, Source, believed_ratio
from msixtool.containers.file import FileSource, ObjectSource, SliceSource
from msixtool.errors import InputError, MsixtoolError, UsageError

if TYPE_CHECKING:
    from msixtool.containers.libvirt import LibvirtSource
    from msixtool.containers.qcow2 import Qcow2Source

SPOOL_LIMIT = 8 << 30
"""Bytes that may be kept on disk, by default: what is neither RAM nor read forward once."""


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
    file: FileSource | ObjectSource | None = None
    """The file itself; None for a pipe."""
    change: InputError | None = None
    """That the file has changed, once that was noticed."""

    def check_unchanged(self) -> None:
        """Raises InputError where the file has changed since it was opened: what was read may be torn.

        A qcow2 image may change, as that of a running VM does, while the snapshot in it stands: that is
        a warning, and so is another file that took the name of the one that was read.
        """
        if self.file is None:
            return
        if self.change is None:
            try:
                self.file.check_unchanged()
            except InputError as change:
                self.change = None if self._snapshot_stands() else change
        if self.change is not None:
            raise self.change
        if self.file.is_replaced():
            self._warn("another file took its name while it was read; this is of the one that was opened")

    def _snapshot_stands(self) -> bool:
        """Whether it is a qcow2 image that has changed, but not where the snapshot is; it is renewed then."""
        if self.file is None or self.image is None or self.image.sequential:
            return False
        before = self.file.size
        self.file.renew()
        if self.file.size < before or not self.image.is_current():
            return False
        self._warn("is written to while it is read, as by a running VM; the snapshot that is read stands")
        return True

    def check_rest(self) -> None:
        """As `check_unchanged`, where something was read since that was last called."""
        if self.file is not None and self.file.unchecked:
            self.check_unchanged()

    def cause_of(self, error: MsixtoolError) -> MsixtoolError:
        """The error to raise instead: that the file has changed, where it has, or `error` itself."""
        try:
            self.check_unchanged()
        except InputError as change:
            return change
        return error

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def verify(self) -> InputError | None:
        """Read to the end whatever is compressed, so that its checksums speak: the damage, if any.

        Nothing of it is kept, and sources that are not compressed are not touched. Call it when a
        stream has been read, or has turned out to be damaged: the cause may be a damaged layer.
        """
        if not self.layers:
            return None
        from msixtool.containers.forward import ForwardSource

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
    max_ratio: float | EllipsisType | None = ...,
    spool_limit: int = SPOOL_LIMIT,
    progress: Progress | None = None,
) -> Opened:
    """Open a file, standard input ("-") or a seekable binary file object down to the stream in it.

    `offset` skips leading bytes of the file. `snapshot` chooses one of a qcow2 image by its name
    or id (default: the newest). `max_ratio` bounds what one byte may unpack to (None: no bound;
    left out: what `believed_ratio` says), `spool_limit` the bytes kept in a temporary file.
    `progress` hears of the bytes read of the file.

    Raises NotAStreamError where there is no stream, ContainerError and TruncatedError where a
    layer is damaged or not supported, InputError where the file cannot be read, UsageError where
    the offset or the snapshot is not there.
    """
    outer, path, start = _outer(path_or_file, spool_limit, progress)
    opened = Opened(outer, [], path, 0 if outer.sequential else outer.size, 0, sources=[outer])
    opened.file = outer if isinstance(outer, FileSource | ObjectSource) else None
    try:
        if start or offset:
            _skip(opened, start, offset)
        if opened.source.read(0, len(MAGIC)) != MAGIC:
            ratio = believed_ratio.get() if isinstance(max_ratio, EllipsisType) else max_ratio
            _descend(opened, snapshot, ratio, spool_limit)
        if snapshot is not None and opened.image is None:
            raise UsageError(
                "no qcow2 image, so there is no snapshot to choose", found=f"--snapshot {snapshot}"
            )
    except MsixtoolError as error:
        cause = opened.cause_of(error)
        opened.close()
        raise cause.at(path=path) from None
    except BaseException:
        opened.close()
        raise
    return opened


def _descend(opened: Opened, snapshot: str | None, max_ratio: float | None, spool_limit: int) -> None:
    from msixtool.containers.layers import descend
    from msixtool.containers.unpack import Budget

    descend(opened, snapshot, Budget(max_ratio, spool_limit))


def _outer(
    path_or_file: str | os.PathLike[str] | BinaryIO, spool_limit: int, progress: Progress | None
) -> tuple[Source, str, int]:
    """The file itself, what to call it, and where to begin: standard input may have been read before."""
    if not isinstance(path_or_file, str | os.PathLike):
        path = _name(path_or_file)
        return ObjectSource(_thrifty(path_or_file, path), path, progress=progress), path, 0
    path = os.fspath(path_or_file)
    descriptor = _descriptor(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("is a directory", path=path, expected="a file")
    try:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        from msixtool.containers.pipe import PipeSource

        return PipeSource(descriptor, path, spool_limit=spool_limit, progress=progress), path, 0
    return FileSource(path, descriptor, progress=progress), path, position


def _name(file: BinaryIO) -> str:
    """What a file object says it is called: `full_name` is the URL of one of fsspec."""
    names = (getattr(file, attribute, None) for attribute in ("full_name", "name", "path"))
    return next((name for name in names if isinstance(name, str) and name), "<file>")


def _thrifty(file: BinaryIO, path: str) -> BinaryIO:
    """The file itself where reading is cheap; else, as over a network, one that fetches nothing twice."""
    if isinstance(file, io.BytesIO) or isinstance(getattr(file, "raw", file), io.FileIO):
        return file
    from msixtool.containers.objects import FetchedFile

    try:
        return cast(BinaryIO, FetchedFile(file))
    except (OSError, ValueError) as error:
        raise InputError("cannot be read at any offset", path=path, found=error) from None


def _descriptor(path: str) -> int:
    if path == "-" and sys.stdin is None:
        raise InputError("cannot be opened", path=path, found="standard input is closed")
    try:
        return os.dup(sys.stdin.fileno()) if path == "-" else os.open(path, os.O_RDONLY | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError("cannot be opened", path=path, found=reason) from None


def _skip(opened: Opened, start: int, offset: int) -> None:
    """Begin `offset` bytes behind `start`."""
    if offset < 0 or not opened.source.read(start + offset, 1):
        raise UsageError("no bytes at --offset", offset=offset)
    opened.source = SliceSource(opened.source, start + offset)
    opened.origin = start + offset
