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
from typing import Any, BinaryIO

from msixtool.dump import Dump
from msixtool.errors import UsageError

Input = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that can seek: only `seek` and `read` are asked of it."""


def inspect(file: Input, *, offset: int = 0, snapshot: str | None = None) -> dict[str, Any]:
    """What a stream is, what it holds, and its devices with MSI-X: `msixtool.inspect/1`.

    Of a stream with vmdesc only the two ends are read: RAM, but for (some of) its last round, is left alone.
    `offset` skips leading bytes, `snapshot` chooses one of a qcow2 image.

    Raises InputError where there is no stream to be read, UsageError for an offset or a snapshot
    that is not there.
    """
    from msixtool.documents import inspect_document

    with Dump.open(file, offset=offset, snapshot=snapshot) as dump:
        return inspect_document(dump)


def validate(
    file: Input,
    *,
    ignore: Collection[str] = (),
    severity: str = "info",
    offset: int = 0,
    snapshot: str | None = None,
) -> dict[str, Any]:
    """What is wrong with a stream, rule by rule: `msixtool.validate/1`. All of it is read.

    Rules in `ignore` are left out, and so are findings below `severity`: info, warning or error.

    Raises InputError where there is no stream to be read, UsageError for a rule or a severity that
    is not known, and as `inspect` does.
    """
    from msixtool.documents import source_document, validate_document
    from msixtool.tasks.finding import Severity
    from msixtool.tasks.validate import check_ignored
    from msixtool.tasks.validate import validate as findings_of

    if severity not in tuple(Severity):
        raise UsageError("severity", expected=f"one of {', '.join(Severity)}", found=repr(severity))
    check_ignored(ignore)
    with Dump.open(file, offset=offset, snapshot=snapshot, walk=True) as dump:
        findings = findings_of(dump, ignore=ignore, severity=Severity(severity))
        return validate_document(source_document(dump), findings, dump.base_offset)


def compat(
    source: Input,
    target: Input | None = None,
    *,
    to: str | None = None,
    target_version: str | None = None,
    target_vmstate: str | None = None,
    offset: int = 0,
    snapshot: str | None = None,
) -> dict[str, Any]:
    """Whether the target loads a stream, and every reason why not: `msixtool.compat/1`.

    `target` is a fresh stream of the target's own command line; instead of it `to` says a release of
    QEMU ("11.1") or a distribution ("debian-12"), and only what is at risk there is told.
    `target_version` is the release of the target where its stream leaves it open, `target_vmstate` the
    path of what it wrote with -dump-vmstate. `offset` and `snapshot` concern the source.

    Raises InputError where there is no stream, or description, to be read, UsageError for a version
    that is none, where neither `target` nor `to` is given or both are, and as `inspect` does.
    """
    from msixtool.documents import source_document
    from msixtool.documents.compat import compat_document, damage_of
    from msixtool.qemu.vendors import target_of
    from msixtool.qemu.versions import parse_version
    from msixtool.tasks.compat import Comparison, compare, vmstate_file
    from msixtool.tasks.compat.risks import risks

    if (target is None) == (to is None):
        raise UsageError("compat needs a target", expected="a target stream, or a release as `to`")
    version = None if target_version is None else parse_version(target_version)
    vmstate = None if target_vmstate is None else vmstate_file.read(target_vmstate)
    with Dump.open(source, offset=offset, snapshot=snapshot) as dump:
        here = source_document(dump)
        if target is None:
            aim = target_of(str(to))
            found = Comparison(tuple(risks(dump, aim.release, aim.vendor)))
            return compat_document(here, aim.document(), found, damage=damage_of(dump))
        with Dump.open(target) as other:
            found = compare(dump, other, target_version=version, vmstate=vmstate)
            return compat_document(here, source_document(other), found, damage=damage_of(dump, other))
