"""What the failures in a log mean: the answer of `explain`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msixtool.documents import Document, Origin
from msixtool.documents.explain import explain_document
from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.kept import NamedTuple
from msixtool.library.answer import Answer
from msixtool.tasks import explain as task
from msixtool.tasks.explain import Explanation
from msixtool.words import plural

Log = str | os.PathLike[str] | BinaryIO
"""A path ("-": standard input), or an open binary file."""


@dataclass(frozen=True, slots=True, repr=False)
class Explained(Answer):
    """The known failures in a log, or in several of one migration; `stream` is the one that was refused."""

    log: Origin
    stream: Origin | None
    explanations: tuple[Explanation, ...]
    hint: str | None = None
    """What may be in a log in which nothing was found."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (self.log,) if self.stream is None else (self.log, self.stream)

    @property
    def ok(self) -> bool:
        """Whether no known failure was found."""
        return not self.explanations

    @property
    def is_full(self) -> bool:
        """Whether there were more failures than are explained."""
        return len(self.explanations) == task.MOST

    def document(self) -> Document:
        """`msixtool.explain/1`."""
        return explain_document(self.log, self.explanations, self.stream, self.hint)

    def summary(self) -> str:
        first = f", first {self.explanations[0].told.code.value}" if self.explanations else ""
        return f"{plural(len(self.explanations), 'failure')}{first}"


def explain(*logs: Log, text: str | None = None, stream: Log | OpenDump | None = None) -> Explained:
    """Find each known failure of a migration in a log of QEMU, libvirt or what manages them, and explain it.

    Several logs (the source's and the target's) are put together: what one side only noticed is told with
    the other's reason. A folder counts as one: each log in it is read with what was rotated out of it.
    `text` is explained instead of a log; `stream`, a path or an opened one, says for sure what was in the
    stream that was refused. A log is read once, in bounded memory.

    Raises InputError for a log or a stream that cannot be read, UsageError where there is not just one of
    logs and `text`.
    """
    if bool(logs) == (text is not None):
        raise UsageError("what to explain", expected="a LOG or --text, one of the two")
    with ExitStack() as stack:
        dump = stream if isinstance(stream, OpenDump | None) else stack.enter_context(OpenDump.open(stream))
        if text is not None:
            logs = (io.BytesIO(text.encode("utf-8", "surrogateescape")),)
        sides = [_side(log, dump) for log in logs]
        first = sides[0]
        found = first.explanations
        if len(sides) > 1:
            for side in sides:
                for each in side.explanations:
                    each.log = each.log or side.name
            found = task.together([side.explanations for side in sides])
        log = Origin(None if text is not None else first.name, first.size)
        hint = _UNREAD if not found and any(side.unread for side in sides) else None
        return Explained(log, None if dump is None else Origin.of(dump), tuple(found), hint)


_UNREAD = (
    "words of QEMU's stand in it in a wrapping that is not known (base64, hexadecimal digits, broken words):"
    " undo that first, or give QEMU's own log"
)


class _Log(NamedTuple):
    """What one log tells; a folder's logs are one."""

    name: str
    size: int
    explanations: list[Explanation]
    unread: bool


def _side(log: Log, dump: OpenDump | None) -> _Log:
    name = _name(log)
    if isinstance(log, str | os.PathLike) and name != "-" and os.path.isdir(log):
        return _folder(name, dump)
    with _opened(log) as raw:
        counted = _Counted(raw)
        found = task.explain(io.BufferedReader(counted), dump)
    return _Log(name, counted.size, found, not found and task.looks_like_qemu(bytes(counted.head)))


def _folder(name: str, dump: OpenDump | None) -> _Log:
    found: list[Explanation] = []
    size = 0
    for paths in task.logs_of(Path(name)):
        joined = task.Joined(paths)
        found += joined.located(task.explain(joined.open(), dump))
        size += joined.size
        if len(found) >= task.MOST:
            break
    return _Log(name, size, found[: task.MOST], unread=False)


def _name(log: Log) -> str:
    return os.fspath(log) if isinstance(log, str | os.PathLike) else str(getattr(log, "name", "<file>"))


def _opened(log: Log) -> AbstractContextManager[BinaryIO]:
    if not isinstance(log, str | os.PathLike):
        return nullcontext(log)
    if log == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(log, "rb")
    except OSError as error:
        raise InputError("cannot be opened", path=os.fspath(log), found=error.strerror) from None


_HEAD = 1 << 16


class _Counted(io.RawIOBase):
    """A binary file that counts the bytes that are read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.size = 0
        self.head = bytearray()
        """Its beginning, up to _HEAD bytes."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        if len(self.head) < _HEAD:
            self.head += data[: _HEAD - len(self.head)]
        return len(data)
