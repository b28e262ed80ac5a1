"""One stream in, one plain document out: what engines map over the streams of a fleet.

`inspect`, `validate` and `compat` are the commands of these names as functions. Each takes a path
or an open file, opens nothing else but what it is given, keeps nothing between calls, and returns
the JSON document of the contract: dictionaries, lists, strings, numbers, booleans and None. Both
arguments and result can be pickled where they are paths, so any engine can send them to a worker.

Damage stands in the document. What cannot be read at all is an error of msixtool.errors, which
names the path.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, BinaryIO, Unpack

from msixtool.documents import Document
from msixtool.library.dump import Dump

if TYPE_CHECKING:
    from msixtool.dump import OpenOptions

Input = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that can seek: only `seek` and `read` are asked of it."""


def inspect(file: Input, **where: Unpack[OpenOptions]) -> Document:
    """What a stream is, what it holds, and its devices with MSI-X: `msixtool.inspect/1`.

    Of a stream with vmdesc only the two ends are read: RAM, but for (some of) its last round, is left alone.
    The keywords are those of OpenOptions.

    Raises InputError where there is no stream to be read, UsageError for an offset or a snapshot
    that is not there.
    """
    with Dump.open(file, **where) as dump:
        return dump.inspect().document()


def validate(
    file: Input, *, ignore: Collection[str] = (), severity: str = "info", **where: Unpack[OpenOptions]
) -> Document:
    """What is wrong with a stream, rule by rule: `msixtool.validate/1`. All of it is read.

    Rules in `ignore` are left out, and so are findings below `severity`: info, warning or error.

    Raises InputError where there is no stream to be read, UsageError for a rule or a severity that
    is not known, and as `inspect` does.
    """
    from msixtool.library.checking import check_rules

    check_rules(ignore, severity)
    with Dump.open(file, walk=True, **where) as dump:
        return dump.validate(ignore=ignore, severity=severity).document()


def compat(
    source: Input,
    target: Input | None = None,
    *,
    to: str | None = None,
    target_version: str | None = None,
    target_vmstate: str | None = None,
    strict: bool = False,
    offset: int = 0,
    snapshot: str | None = None,
) -> Document:
    """Whether the target loads a stream, and every reason why not: `msixtool.compat/1`.

    `target` is a fresh stream of the target's own command line; instead of it `to` says a release of
    QEMU ("11.1") or a distribution ("debian-12"), and only what is at risk there is told.
    The next three are as in `target_of`; nothing is started. `offset` and `snapshot` concern the source.

    Raises InputError where there is no stream, or description, to be read, UsageError for a version
    that is none, where neither `target` nor `to` is given or both are, and as `inspect` does.
    """
    from msixtool.library.compatibility import target_of

    named = target_of(
        target, to=to, target_version=target_version, target_vmstate=target_vmstate, strict=strict
    )
    with named as opened, Dump.open(source, offset=offset, snapshot=snapshot) as dump:
        return opened.answer(dump).document()
