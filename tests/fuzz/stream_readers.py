"""Readers of streams: the index, its devices, the fields, and the tasks over all of it."""

from __future__ import annotations

import io
import json
import os
import tempfile
from functools import lru_cache
from itertools import islice
from typing import Any

from msixtool import Dump, forge
from msixtool.documents.compat import compat_document
from msixtool.errors import OutputError
from msixtool.spec import CapabilitySpec, DeviceSpec, EntrySpec, Spec, spec_text
from msixtool.tasks.compat import compare
from msixtool.tasks.compat.risks import risks
from msixtool.tasks.fields import find
from msixtool.tasks.replay.player import play
from msixtool.tasks.replay.record import record_load
from msixtool.tasks.replay.script import parse_script
from msixtool.tasks.validate import validate
from tests.fuzz.outcome import Input, MisreadError, Outcome


def as_json(document: Any) -> None:
    """What a document must bear: to be JSON, and to be printed."""
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def outcome(dump: Dump) -> Outcome:
    """Whether anything in the stream was found to be damaged."""
    for damage in dump.damage:
        one_line(str(damage))
    return Outcome.PARTLY if dump.damage else Outcome.WHOLE


def one_line(text: str) -> None:
    """Raises MisreadError where something that is said in one line is not."""
    if "\n" in text:
        raise MisreadError(f"more than one line: {text[:200]!r}")


def read(made: Input) -> Outcome:
    """As `inspect` and `show` read: from the end where there is a vmdesc."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        as_json(dump.inspect().document())
        as_json(dump.show().document())
        return outcome(dump)


def walk(made: Input) -> Outcome:
    """As `validate` reads: every RAM record is passed over, every rule is asked."""
    with Dump.open(io.BytesIO(made.data), walk=True) as dump:
        for finding in validate(dump):
            one_line(finding.message)
        return outcome(dump)


def fields(made: Input) -> Outcome:
    """Every field of every section, and each path to one leads back to it."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        answer = dump.fields()
        as_json(answer.document())
        for section in islice(answer, 2):
            for name in list(section.tree.members)[:3]:
                _follow(section, name)
        return Outcome.PARTLY if answer.damage else outcome(dump)


def _follow(section: Any, name: str) -> None:
    from msixtool.errors import UsageError

    try:
        find(section, name)
    except UsageError:
        find_nothing = f"{name}/x[0]"
        try:
            find(section, find_nothing)
        except UsageError as error:
            one_line(str(error))


def load(made: Input) -> Outcome:
    """The load path of each device, what QEMU refuses, and the load as a script that holds."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        as_json(dump.load().document())
        for device in dump.devices[:1]:
            spec_text(device, x86=dump.is_x86, origin="a stream").encode()
            if device.vectors <= 64 and device.capability is not None:
                _replayed(device)
        return outcome(dump)


def _replayed(device: Any) -> None:
    script = record_load(device, source="a stream")
    for step in play(parse_script(script)):
        as_json(step.to_json())


@lru_cache(maxsize=8)
def _other(data: bytes) -> Dump:
    return Dump.open(io.BytesIO(data))


def compat(made: Input) -> Outcome:
    """Whether a target loads it, by a stream of that target's, and by the release alone."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        comparison = compare(dump, _other(made.other))
        as_json(compat_document({}, {}, comparison))
        for finding in risks(dump, (11, 1)):
            one_line(finding.message)
        return outcome(dump)


def compat_target(made: Input) -> Outcome:
    """The same with the mutated stream as the target."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        as_json(compat_document({}, {}, compare(_other(made.other), dump)))
        return outcome(dump)


def diff(made: Input) -> Outcome:
    """Devices, fields and RAM of two streams, and the devices after the load."""
    with Dump.open(io.BytesIO(made.data)) as dump:
        other = _other(made.other)
        as_json(dump.diff(other, loaded=True).document())
        as_json(dump.diff(other, fields=True, moving=True, ram=True).document())
        return outcome(dump)


SPEC = Spec(
    (
        DeviceSpec(
            "*",
            enabled=True,
            function_mask=False,
            capability=CapabilitySpec(),
            entries=(EntrySpec(0, address=0xFEE00000, data=0x4041, masked=False, pending=True),),
        ),
    )
)
"""What is asked of a stream that is forged."""
OTHER_SPEC = Spec((DeviceSpec("*", vectors=5),))
"""What is asked of every other one: the number of vectors, which moves all that stands behind them."""


def forged(made: Input) -> Outcome:
    """A stream forged from it: written whole or not at all, and readable."""
    with tempfile.TemporaryDirectory(prefix="msixtool-fuzz-", dir=_SHM) as folder:
        base, out = f"{folder}/base", f"{folder}/out"
        with open(base, "wb") as file:
            file.write(made.data)
        try:
            forge(base, (SPEC, OTHER_SPEC)[len(made.data) % 2], out, damaged=True)
        except OutputError as error:
            raise MisreadError(f"a sound folder was not written to: {error}") from error
        finally:
            left = set(os.listdir(folder)) - {"base", "out"}
            if left:
                raise MisreadError(f"left behind: {left}")
        with Dump.open(out) as dump:
            return outcome(dump)


def mapped(made: Input) -> Outcome:
    """A file of mapped-ram: its walk, and the pages of its blocks beside those of another."""
    walk(made)
    return diff(made)


_SHM = "/dev/shm" if os.path.isdir("/dev/shm") else None
