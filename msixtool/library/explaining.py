"""What the failures in a log mean: the answer of `explain`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

from msixtool import dump as door
from msixtool.documents import Document, Origin
from msixtool.documents.explain import explain_document
from msixtool.errors import InputError, UsageError
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
        return explain_document(self.log, self.explanations, self.stream)

    def summary(self) -> str:
        first = f", first {self.explanations[0].told.code.value}" if self.explanations else ""
        return f"{plural(len(self.explanations), 'failure')}{first}"


def explain(*logs: Log, text: str | None = None, stream: Log | door.Dump | None = None) -> Explained:
    """Find each known failure of a migration in a log of QEMU, libvirt or what manages them, and explain it.

    Several logs (the source's and the target's) are put together: what one side only noticed is told with
    the other's reason. `text` is explained instead of a log; `stream`, a path or an opened one, says for
    sure what was in the stream that was refused. A log is read once, in bounded memory.

    Raises InputError for a log or a stream that cannot be read, UsageError where there is not just one of
    logs and `text`.
    """
    if bool(logs) == (text is not None):
        raise UsageError("what to explain", expected="a LOG or --text, one of the two")
    with ExitStack() as stack:
        dump = stream if isinstance(stream, door.Dump | None) else stack.enter_context(door.Dump.open(stream))
        first = io.BytesIO((text or "").encode("utf-8", "surrogateescape")) if text is not None else logs[0]
        with _opened(first) as raw:
            counted = _Counted(raw)
            found = task.explain(io.BufferedReader(counted), dump)
        if len(logs) > 1:
            named = [(_name(logs[0]), found)]
            for other in logs[1:]:
                with _opened(other) as more:
                    named.append((_name(other), task.explain(more, dump)))
            found = task.together(named)
        log = Origin(None if text is not None else _name(logs[0]), counted.size)
        return Explained(log, None if dump is None else Origin.of(dump), tuple(found))


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


class _Counted(io.RawIOBase):
    """A binary file that counts the bytes that are read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        return len(data)
