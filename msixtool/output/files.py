"""Files that are written: whole or not at all, never over another by accident, never over the input."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from msixtool.errors import InputError, OutputError
from msixtool.output.unfinished import DESCRIPTORS, Unfinished

PIECE = 1 << 20
"""Bytes that are copied at a time where the kernel does not copy by itself."""

_KERNEL_PIECE = 1 << 30
_BLOCK = 4096
_HOLE = 64 << 10
"""Zeros that are worth a hole, in bytes."""


class OutputFile:
    """A file that is being written from its start. Made by `create`.

    `path` is what errors call it. `patchable` says whether bytes already written can be changed and
    holes be left: in a regular file, not in a pipe. Where `may_break` is set BrokenPipeError goes
    through: whoever reads standard output may have seen enough.
    """

    def __init__(self, descriptor: int, path: str, *, patchable: bool, may_break: bool = False) -> None:
        self.path = path
        self._may_break = may_break
        self.patchable = patchable
        self.position = 0
        self._fd = descriptor

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`. Raises OutputError where the disk is full or fails."""
        view = memoryview(data).cast("B")
        while view:
            try:
                written = os.write(self._fd, view)
            except OSError as error:
                if self._may_break and isinstance(error, BrokenPipeError):
                    raise
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
            return os.open(f"{DESCRIPTORS}/{self._fd}", os.O_WRONLY)
        except OSError as error:
            raise self._failed(error) from None

    def finish(self, *, durable: bool = False) -> None:
        """Give a file that ends in a hole its size, and have the system say what it could not write.

        With `durable` it is on the disk afterwards. Raises OutputError as `write`.
        """
        try:
            if self.patchable:
                os.ftruncate(self._fd, self.position)
                # A network file system tells of a full disk when a descriptor is closed, not before.
                os.close(os.dup(self._fd))
            if self.patchable and durable:
                os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from None

    def _skip(self, length: int) -> None:
        if not length:
            return
        try:
            self.position = os.lseek(self._fd, length, os.SEEK_CUR)
        except OSError as error:
            raise self._failed(error) from None

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


def check_output(path: str, *, force: bool = False, inputs: Sequence[str | int] = ()) -> None:
    """Refuse an output early. `inputs` are what it must not be: paths ("-" is standard input), descriptors.

    Raises OutputError where the file is one of the inputs, by whatever name, where it is there and
    `force` is not given, or where it is a directory or has none that can be written to.
    """
    there = _status(path)
    if there is not None and any(_same(there, name) for name in inputs):
        raise OutputError("the output is an input", path=path, expected="another file")
    if path == "-":
        return
    if there is None and os.path.islink(path):
        raise OutputError("is a symbolic link to nothing", path=path, expected="a file, or nothing")
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise OutputError("is a directory", path=path, expected="a file")
    if there is not None and not force and not _is_pipe(there):
        raise OutputError("is there already: --force writes over it", path=path)
    if there is None or stat.S_ISREG(there.st_mode):
        _check_folder(path)


def _status(path: str) -> os.stat_result | None:
    """What stands under a name, None for nothing. Raises OutputError where nothing can stand there."""
    if path == "-":
        return os.fstat(_standard_output())
    if not path:
        raise OutputError("the output has no name", expected="-o FILE")
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", error)
        raise OutputError("cannot be written", path=path, found=found) from None


def _standard_output() -> int:
    """The descriptor of standard output. Raises OutputError where it is closed."""
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        raise OutputError("standard output is closed", expected="-o FILE") from None


def _check_folder(path: str) -> None:
    """Raises OutputError where no file can be made in the directory of an output."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise OutputError("cannot be written", path=path, found="no such directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        is_fixed = os.statvfs(folder).f_flag & os.ST_RDONLY
        reason = os.strerror(errno.EROFS if is_fixed else errno.EACCES)
        raise OutputError("cannot be written", path=path, found=f"{reason} (directory {folder})")


def _same(there: os.stat_result, name: str | int) -> bool:
    """Whether an input is this very file; pipes and devices may be both."""
    if not (stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode)):
        return False
    try:
        other = os.fstat(sys.stdin.fileno()) if name == "-" else os.stat(name)
    except (OSError, ValueError, AttributeError):
        return False
    if stat.S_ISBLK(there.st_mode) and stat.S_ISBLK(other.st_mode):
        return there.st_rdev == other.st_rdev
    return os.path.samestat(there, other)


def _is_pipe(there: os.stat_result) -> bool:
    """Whether writing there is no writing over: a pipe, a socket, a terminal, /dev/null."""
    return not (stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode))


@contextmanager
def create(
    path: str,
    *,
    force: bool = False,
    inputs: Sequence[str | int] = (),
    durable: bool = False,
    private: bool = False,
) -> Iterator[OutputFile]:
    """A file to write that appears under its name when the block is left, or not at all.

    "-" is standard output, and a pipe or a device is written as it is. A regular file has no name
    until it is whole, or a temporary one in the same directory where the file system wants it so.
    `force` lets it take the place of another file: of one's own with its permissions, of another user's
    without, since he is not to have what is in it. The file that a symbolic link leads to is what is written;
    a link to nothing, which anybody may have put there, is refused. A VM's memory is a secret: nobody may
    read the file who could not read each of the inputs. `durable`, for what cannot be made again, has it
    on the disk before it has its name, and then the name. `private`, for what holds a VM's memory: nobody
    but its owner can read it (0600), whatever the permissions of a file whose place it takes.

    Raises OutputError as `check_output` does, and where it cannot be written.
    """
    check_output(path, force=force, inputs=inputs)
    if path == "-":
        sys.stdout.flush()
        yield OutputFile(_standard_output(), "standard output", patchable=False, may_break=True)
        return
    there = _status(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        yield from _direct(path)
        return
    unfinished = Unfinished(_target(path, there), private=private, like=_files(inputs))
    try:
        with _blaming(path):
            unfinished.open()
        made = OutputFile(unfinished.descriptor, path, patchable=True)
        yield made
        made.finish(durable=durable)
        check_output(path, force=force, inputs=inputs)
        with _blaming(path):
            unfinished.publish(force)
            if durable:
                unfinished.sync_name()
    finally:
        unfinished.close()


def _target(path: str, there: os.stat_result | None) -> str:
    """Where the file is made: a link that is put there meanwhile is not followed."""
    if there is not None:
        return os.path.realpath(path)
    folder, last = os.path.split(path)
    return os.path.join(os.path.realpath(folder), last)


def _files(inputs: Sequence[str | int]) -> list[os.stat_result]:
    """What the system says of those of the inputs that are files."""
    found = []
    for name in inputs:
        with suppress(OSError, ValueError, AttributeError):
            status = os.fstat(sys.stdin.fileno()) if name == "-" else os.stat(name)
            if stat.S_ISREG(status.st_mode):
                found.append(status)
    return found


def _direct(path: str) -> Iterator[OutputFile]:
    """A pipe or a device, which is written as it is."""
    with _blaming(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY)
    try:
        made = OutputFile(descriptor, path, patchable=False)
        yield made
    finally:
        os.close(descriptor)


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Turn what the system refuses about an output into an OutputError."""
    try:
        yield
    except FileExistsError:
        raise OutputError("is there already: --force writes over it", path=path) from None
    except OSError as error:
        raise OutputError("cannot be written", path=path, found=error.strerror) from None


def write_file(path: str, data: bytes, *, force: bool = False, inputs: Sequence[str | int] = ()) -> None:
    """Write a small file in one call. Raises OutputError as `create` does."""
    with create(path, force=force, inputs=inputs) as out:
        out.write(data)


def refuse_terminal(path: str) -> None:
    """Raise OutputError where bytes for programs would go to a terminal."""
    if path == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise OutputError("binary data on a terminal", path="standard output", expected="-o FILE or a pipe")
