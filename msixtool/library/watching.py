"""A running VM, look after look: its vectors, and what has changed since the look before."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from msixtool.documents import Document, Origin
from msixtool.documents.diff import change_document
from msixtool.library.answer import Answer
from msixtool.library.comparing import Difference
from msixtool.library.dump import Dump
from msixtool.library.vectors import Vectors
from msixtool.tasks.capture import Address, Captured, moments
from msixtool.words import plural


@dataclass(frozen=True, slots=True, repr=False)
class Look(Answer):
    """The vectors of a VM at one moment. `since` is what differs from the look before, None at the first."""

    vectors: Vectors
    vm: Captured
    since: Difference | None = None

    @property
    def origins(self) -> tuple[Origin, ...]:
        return self.vectors.origins

    def document(self) -> Document:
        """`msixtool.show/1`, with what has `changed` since the look before and for how long the VM stood."""
        changed = None if self.since is None else [change_document(each) for each in self.since.changes]
        return self.vectors.document() | {"changed": changed, "paused_ms": self.vm.paused_ms}

    def summary(self) -> str:
        changes = 0 if self.since is None else len(self.since.changes)
        return f"{self.vectors.summary()}, {plural(changes, 'change')}"


def watch_vm(
    vm: Address | os.PathLike[str], device: str | None = None, *, every: float = 2.0
) -> Iterator[Look]:
    """The vectors of a running VM now, and again every so many seconds, without end.

    `vm` is the path of its QMP socket or what `address_of` gives. Each look is of device state alone, for
    which the guest stands for milliseconds; in between its monitor is free. Half of the time at
    least nothing is done, however short `every` is.

    Raises InputError where there is no VM, or none any more; UsageError where no device matches.
    """
    address = os.fspath(vm) if isinstance(vm, os.PathLike) else vm
    with ExitStack() as before:
        dump: Dump | None = None
        while True:
            began = time.monotonic()
            with ExitStack() as opened:
                (moment,) = moments(address)
                opened.enter_context(moment.stream)
                now = opened.enter_context(Dump.open(moment.stream))
                vectors = now.show(device)
                since = None if dump is None else dump.diff(now, device=device)
                kept = opened.pop_all()
            before.close()
            before.push(kept)
            dump = now
            yield Look(vectors, moment.captured, since)
            spent = time.monotonic() - began
            time.sleep(max(every - spent, min(spent, every)))
