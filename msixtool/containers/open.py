"""From a file to the bytes of its stream: the layers are found by what is in them, not by names."""

from __future__ import annotations

import io
import os
import stat
import sys
from types import EllipsisType
from typing import BinaryIO, cast

from msixtool.containers.base import MAGIC, Progress, Source, believed_ratio
from msixtool.containers.file import FileSource, ObjectSource, SliceSource
from msixtool.containers.opened import Opened
from msixtool.errors import InputError, MsixtoolError, UsageError

SPOOL_LIMIT = 8 << 30
"""Bytes that may be kept on disk, by default: what is neither RAM nor read forward once."""


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
    opened = Opened(outer, [], path, 0 if outer.sequential else outer.size, 0)
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
    path, called = os.fspath(path_or_file), str(path_or_file)
    descriptor = _descriptor(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("is a directory", path=path, expected="a file")
    position = _position(descriptor)
    if position is None:
        from msixtool.containers.pipe import PipeSource

        return PipeSource(descriptor, path, spool_limit=spool_limit, progress=progress), called, 0
    return FileSource(path, descriptor, progress=progress), called, position


def _position(descriptor: int) -> int | None:
    """Where a file stands; None for what can be read in its order alone.

    A character device (/dev/zero) lets itself be sought, and always stands at its beginning and its end.
    """
    if stat.S_ISCHR(os.fstat(descriptor).st_mode):
        return None
    try:
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return None


def _name(file: BinaryIO) -> str:
    """What a file object says it is called: `full_name` is the URL of one of fsspec."""
    names = (getattr(file, attribute, None) for attribute in ("full_name", "name", "path"))
    return next((name for name in names if isinstance(name, str) and name), "<file>")


def _thrifty(file: BinaryIO, path: str) -> BinaryIO:
    """The file itself where reading is cheap; else, as over a network, one that fetches nothing twice.

    A class made from one of Python's may read and seek otherwise, so it is looked at as any other.
    """
    is_python = type(file).__module__ in ("_io", "tempfile")
    if is_python and isinstance(getattr(file, "raw", file), io.BytesIO | io.FileIO):
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
