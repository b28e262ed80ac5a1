"""Files that are written: whole or not at all, never over another by accident, never over the input."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from msixtool.errors import InputError, OutputError

PIECE = 1 << 20
"""Bytes that are copied at a time where the kernel does not copy by itself."""

_KERNEL_PIECE = 1 << 30
_BLOCK = 4096
_HOLE = 64 << 10
"""Zeros that are worth a hole, in bytes."""
_DESCRIPTORS = "/proc/self/fd"


class OutputFile:
    """A file that is being written from its start. Made by `create`.

    `path` is what errors call it. `patchable` says whether bytes already written can be changed and
    holes be left: in a regular file, not in a pipe.
    """

    def __init__(self, descriptor: int, path: str, *, patchable: bool) -> None:
        self.path = path
        self.patchable = patchable
        self.position = 0
        self._fd = descriptor

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`. Raises OutputError where the disk is full or fails."""
        view = memoryview(data).cast("B")
        while view:
            try:
                written = os.write(self._fd, view)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise self._failed(error) from None
            self.position += written
            view = view[written:]

    def write_sparse(self, data: bytes) -> None:
        """Append `data`; what is zero over whole blocks becomes a hole where there can be one."""
        if not self.patchable:
            self.write(data)
            return
        for start in range(0, len(data), _HOLE):
            block = data[start : start + _HOLE]
            if block.count(0) == len(block):
                self._skip(len(block))
            else:
                self.write(block)

    def patch(self, offset: int, data: bytes) -> None:
        """Change bytes that were written before, or that `copy` brought. Raises OutputError as `write`."""
        try:
            while data:
                written = os.pwrite(self._fd, data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise self._failed(error) from None

    def copy(self, descriptor: int, start: int, length: int) -> None:
        """Append `length` bytes of another file from `start`; the kernel shares or copies them.

        Holes stay holes in a regular file. Raises OutputError as `write`, InputError where the other
        file cannot be read or has become shorter.
        """
        end = start + length
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size < end:
            raise InputError("has become shorter while it was read", offset=status.st_size)
        while start < end:
            first, last = _extent(descriptor, start, end) if self.patchable else (start, end)
            self._skip(first - start)
            # Whole blocks first: only those can be shared.
            middle = max(first, last - last % _BLOCK) if first % _BLOCK == 0 else last
            self._copy(descriptor, first, middle)
            self._copy(descriptor, middle, last)
            start = last

    def reopen(self) -> int:
        """A write-only descriptor of the same file for a program that is handed it; the caller closes it.

        Raises OutputError where the system refuses.
        """
        try:
            return os.open(f"{_DESCRIPTORS}/{self._fd}", os.O_WRONLY)
        except OSError as error:
            raise self._failed(error) from None

    def finish(self) -> None:
        """Give a file that ends in a hole its size. Raises OutputError as `write`."""
        if self.patchable:
            try:
                os.ftruncate(self._fd, self.position)
            except OSError as error:
                raise self._failed(error) from None

    def _skip(self, length: int) -> None:
        if length:
            self.position = os.lseek(self._fd, length, os.SEEK_CUR)

    def _copy(self, source: int, start: int, end: int) -> None:
        while start < end:
            try:
                copied = os.copy_file_range(source, self._fd, min(end - start, _KERNEL_PIECE), start)
            except OSError:
                break  # Not between these files: reading or writing says what is wrong, if anything is.
            if not copied:
                break
            start, self.position = start + copied, self.position + copied
        while start < end:
            try:
                data = os.pread(source, min(end - start, PIECE), start)
            except OSError as error:
                raise InputError("cannot be read", offset=start, found=error.strerror) from None
            if not data:
                raise InputError("has become shorter while it was read", offset=start)
            self.write(data)
            start += len(data)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError("cannot be written", path=self.path, found=error.strerror)


def _extent(descriptor: int, start: int, end: int) -> tuple[int, int]:
    """The next run of data at or after `start`, before `end`; (end, end) where only a hole is left."""
    try:
        first = os.lseek(descriptor, start, os.SEEK_DATA)
        return min(first, end), min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
    except OSError as error:
        # ENXIO: a hole up to the end. Anything else: the file system knows no holes.
        return (end, end) if error.errno == errno.ENXIO else (start, end)


def check_output(path: str, *, force: bool = False, inputs: Sequence[str] = ()) -> None:
    """Refuse an output early. `inputs` are paths that it must not be ("-" is standard input).

    Raises OutputError where the file is one of the inputs, by whatever name, where it is there and
    `force` is not given, or where it is a directory or has none to stand in.
    """
    try:
        there = os.fstat(sys.stdout.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError):
        there = None
    if there is None:
        if path != "-" and not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise OutputError("cannot be written", path=path, found="no such directory")
        return
    if any(_same(there, name) for name in inputs):
        raise OutputError("the output is an input", path=path, expected="another file")
    if path == "-":
        return
    if stat.S_ISDIR(there.st_mode):
        raise OutputError("is a directory", path=path, expected="a file")
    if not force and not _is_pipe(there):
        raise OutputError("is there already: --force writes over it", path=path)


def _same(there: os.stat_result, name: str) -> bool:
    """Whether an input is this very file; pipes and devices may be both."""
    if not (stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode)):
        return False
    try:
        other = os.fstat(sys.stdin.fileno()) if name == "-" else os.stat(name)
    except (OSError, ValueError):
        return False
    return os.path.samestat(there, other)


def _is_pipe(there: os.stat_result) -> bool:
    """Whether writing there is no writing over: a pipe, a socket, a terminal, /dev/null."""
    return not (stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode))


@contextmanager
def create(path: str, *, force: bool = False, inputs: Sequence[str] = ()) -> Iterator[OutputFile]:
    """A file to write that appears under its name when the block is left, or not at all.

    "-" is standard output, and a pipe or a device is written as it is. A regular file has no name
    until it is whole, or a temporary one in the same directory where the file system wants it so.
    `force` lets it take the place of another file; the file that a symbolic link leads to is what
    is written. Raises OutputError as `check_output` does, and where it cannot be written.
    """
    check_output(path, force=force, inputs=inputs)
    if path == "-":
        sys.stdout.flush()
        yield OutputFile(sys.stdout.fileno(), "standard output", patchable=False)
        return
    target = os.path.realpath(path)
    with _blaming(path):
        is_direct = os.path.exists(target) and not os.path.isfile(target)
        if is_direct:
            descriptor, name = os.open(target, os.O_WRONLY | os.O_NOCTTY), None
        else:
            descriptor, name = _temporary(target)
    try:
        made = OutputFile(descriptor, path, patchable=not is_direct)
        yield made
        if not is_direct:
            made.finish()
            with _blaming(path):
                _publish(descriptor, name, target, force)
    finally:
        os.close(descriptor)
        if name is not None:
            with suppress(FileNotFoundError):
                os.unlink(name)


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Turn what the system refuses about an output into an OutputError."""
    try:
        yield
    except FileExistsError:
        raise OutputError("is there already: --force writes over it", path=path) from None
    except OSError as error:
        raise OutputError("cannot be written", path=path, found=error.strerror) from None


def _temporary(target: str) -> tuple[int, str | None]:
    """A file in the directory of `target`: without a name if that can be, so that a kill leaves nothing."""
    if os.path.isdir(_DESCRIPTORS):
        with suppress(OSError):
            return os.open(os.path.dirname(target), os.O_TMPFILE | os.O_RDWR, 0o666), None
    name = _beside(target)
    return os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666), name


def _beside(target: str) -> str:
    """A name that nothing has, in the same directory."""
    folder, last = os.path.split(target)
    return os.path.join(folder, f".{last[:200]}.{secrets.token_hex(6)}")


def _publish(descriptor: int, name: str | None, target: str, force: bool) -> None:
    """Give the finished file its name. Raises FileExistsError where it is taken and `force` is not given."""
    if name is None:
        name = target if not force else _beside(target)
        _name(descriptor, name)
        if name == target:
            return
    elif not force:
        _link_or_rename(name, target)
        return
    try:
        os.replace(name, target)
    except OSError:
        os.unlink(name)
        raise


def _name(descriptor: int, name: str) -> None:
    """Give a file that has none a name that nothing has."""
    folder = os.open(_DESCRIPTORS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Only with a directory does os.link follow the link that stands for the descriptor.
        os.link(str(descriptor), name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _link_or_rename(name: str, target: str) -> None:
    """Rename without writing over: by a second link, or, where there are none, after a look."""
    try:
        os.link(name, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(name, target)


def write_file(path: str, data: bytes, *, force: bool = False, inputs: Sequence[str] = ()) -> None:
    """Write a small file in one call. Raises OutputError as `create` does."""
    with create(path, force=force, inputs=inputs) as out:
        out.write(data)


def refuse_terminal(path: str) -> None:
    """Raise OutputError where bytes for programs would go to a terminal."""
    if path == "-" and sys.stdout.isatty():
        raise OutputError("binary data on a terminal", path="standard output", expected="-o FILE or a pipe")
