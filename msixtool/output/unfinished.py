"""A file on its way to its name: without one if that can be, and never taking it half-written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

DESCRIPTORS = "/proc/self/fd"
"""Where Linux shows the descriptors of a process; a file without a name is reached through it."""

MARK = "msixtool"
"""What a temporary name says of who left it behind."""

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


class Unfinished:
    """The file that will stand at `target`, a path without symbolic links. All methods raise OSError.

    `descriptor` is that of the file once it is open. A temporary name is noted before anything has it
    and given back by `close`, wherever an exception (a signal) comes in between; only SIGKILL leaves
    it: `.NAME.msixtool-XXXXXX` beside the target. A `private` one nobody but its owner can read or write;
    nobody can who may not do so with each of the files that `like` is of.
    """

    def __init__(self, target: str, *, private: bool = False, like: Sequence[os.stat_result] = ()) -> None:
        self.descriptor = -1
        self._target = target
        self._private = private
        self._like = like
        self._name: str | None = None

    def open(self) -> None:
        """Make the file, in the directory of the target: a name comes last, so that a kill leaves none."""
        # What takes the place of a private file is private from the start.
        mode = 0o600 if self._private or os.path.lexists(self._target) else 0o666
        self._open(mode & self._allowed(os.getegid()))
        made = os.fstat(self.descriptor)
        narrower = stat.S_IMODE(made.st_mode) & self._allowed(made.st_gid)  # A directory may give its group.
        if narrower != stat.S_IMODE(made.st_mode):
            os.fchmod(self.descriptor, narrower)

    def _allowed(self, group: int) -> int:
        """The permissions that a file of a group may have, for all that those it is like have."""
        allowed = 0o777
        for file in self._like:
            mode = stat.S_IMODE(file.st_mode)
            allowed &= 0o700 | mode if file.st_gid == group else 0o707 & mode | (mode & 0o007) << 3 | 0o700
        return allowed

    def _open(self, mode: int) -> None:
        if os.path.isdir(DESCRIPTORS):
            with suppress(OSError):
                folder = os.path.dirname(self._target)
                self.descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, mode)
                return
        self._name = _beside(self._target)
        self.descriptor = os.open(self._name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)

    def publish(self, force: bool) -> None:
        """Give the file its name. Raises FileExistsError where it is taken and `force` is not given."""
        if force:
            self._take_over()
            if self._name is None:
                self._name = _beside(self._target)
                self._link(self._name)
            os.replace(self._name, self._target)
            self._name = None
        elif self._name is None:
            self._link(self._target)
        else:
            _move(self._name, self._target)

    def sync_name(self) -> None:
        """Have the directory on the disk, and with it the name that `publish` gave, where it can be."""
        try:
            folder = os.open(os.path.dirname(self._target), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
                raise
            # A directory that cannot be read, a file system that syncs none: the file has its name.

    def close(self) -> None:
        """Close the file, and take away a temporary name that is left."""
        if self._name is not None:
            with suppress(OSError):
                os.unlink(self._name)
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def _take_over(self) -> None:
        """Group and permissions of the file of one's own whose place this one takes, as far as can be.

        In the place of another user's file it stays private: he might have put it there to get this one.
        """
        try:
            there = os.stat(self._target)
        except FileNotFoundError:
            return
        if there.st_uid != os.fstat(self.descriptor).st_uid:
            return
        with suppress(OSError):
            os.fchown(self.descriptor, -1, there.st_gid)
        allowed = 0o600 if self._private else self._allowed(os.fstat(self.descriptor).st_gid)
        os.fchmod(self.descriptor, stat.S_IMODE(there.st_mode) & allowed)

    def _link(self, name: str) -> None:
        """Give the file, which has none, a name that nothing has."""
        folder = os.open(DESCRIPTORS, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Only with a directory does os.link follow the link that stands for the descriptor.
            os.link(str(self.descriptor), name, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)


def _beside(target: str) -> str:
    """A name that nothing has, in the same directory: as long as a name may be, in bytes."""
    folder, last = os.path.split(os.fsencode(target))
    name = b".%s.%s-%s" % (last[:200], MARK.encode(), os.urandom(6).hex().encode())
    return os.fsdecode(os.path.join(folder, name))


def _move(name: str, target: str) -> None:
    """Rename without writing over: by a second link, or, where there are none, in one call of Linux."""
    try:
        os.link(name, target)
    except FileExistsError:
        raise
    except OSError:
        _rename(name, target)


def _rename(name: str, target: str) -> None:
    """Rename where there are no links (FAT), without writing over; after a look where nothing better is."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        paths = os.fsencode(name), os.fsencode(target)
        if not call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_NOREPLACE):
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number), target)
    if os.path.lexists(target):
        raise FileExistsError(target)
    os.rename(name, target)
