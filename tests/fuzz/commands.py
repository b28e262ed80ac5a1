"""Whole runs of the command: what is asked of it, by chance, and what it must not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random

from msixtool import cli
from tests.fuzz import (
    bases,
    container_readers,
    disks,
    logs,
    stream_inputs,
    text_readers,
    trace_readers,
    virtio_readers,
)

COMMANDS = tuple(name for name in cli.COMMANDS if name != "capture")

Files = dict[str, bytes]


@dataclass(slots=True)
class Asked:
    """One run: its words, the files that have to be there, and what is to come of it."""

    command: str
    base: str
    words: list[str]
    files: Files = field(default_factory=dict)
    as_json: bool = False
    lines: bool = False
    """JSON lines: several documents, or the steps of a script."""
    output: str | None = None
    """The file that it is to write."""
    may_write_damaged: bool = False
    """`save` writes what it could read, as others print it, and says with status 2 what is damaged."""


def make(rng: Random) -> Asked:
    """A command line with its files."""
    command = rng.choice(COMMANDS)
    asked = _MAKERS[command](rng, Asked(command, "", [command]))
    if rng.random() < 0.02:
        asked.words += rng.choice(
            (
                *(["--frob"], ["--offset", "9"], ["--snapshot", "x"], ["--max-ratio", "0"], ["-"]),
                *(["--twice", "1s"], ["--ram"], ["--watch", "1s"], ["--qmp", "a"], ["--connect", "x"]),
            )
        )
    return asked


def _stream(rng: Random, asked: Asked, name: str = "a") -> str:
    """A mutated stream of any size, in a container at times, as a file of this name."""
    how = rng.random()
    if how < 0.25:
        base = rng.choice(bases.whole_streams())
        made_of, data = base.name, stream_inputs.changed(rng, base)
    elif how < 0.35:
        base = rng.choice(bases.whole_streams())
        made_of, data = base.name, stream_inputs.device_changed(rng, base)
    elif how < 0.85:
        made = stream_inputs.any_stream(rng)
        made_of, data = made.base, made.data
    else:
        maker = rng.choice((container_readers.packed, container_readers.image, disks.image))
        made = maker(rng)
        made_of, data = made.base, made.data
    asked.base = asked.base or made_of
    asked.files[name] = data
    return name


def _sound(rng: Random, asked: Asked, name: str) -> str:
    """A stream that nothing was changed in: mostly the one that the first file was made from."""
    same = [base for base in bases.whole_streams() if base.name == asked.base]
    asked.files[name] = rng.choice(same or bases.excerpts()).data
    return name


def _json(rng: Random, asked: Asked, lines: bool = False) -> Asked:
    if rng.random() < 0.6:
        asked.words.append("--json")
        asked.as_json, asked.lines = True, lines
    return asked


def _device(rng: Random, asked: Asked, share: float) -> None:
    if rng.random() < share:
        patterns = ("*", "e1000e", "virtio-*", "02.0", "03.0", "0000:00:03.0", "nothing", "*@0", "[", "??.?")
        asked.words += ["--device", rng.choice(patterns)]


def _several(rng: Random, asked: Asked) -> bool:
    """One file, now and then two: whether there are several."""
    asked.words.append(_stream(rng, asked))
    if rng.random() < 0.05:
        asked.words.append(_stream(rng, asked, "b"))
        return True
    return False


def _inspect(rng: Random, asked: Asked) -> Asked:
    several = _several(rng, asked)
    if rng.random() < 0.3:
        asked.words.append(rng.choice(("--sections", "--sections", "--xml")))
    return asked if "--xml" in asked.words else _json(rng, asked, several)


def _show(rng: Random, asked: Asked) -> Asked:
    several = _several(rng, asked)
    _device(rng, asked, 0.4)
    return _json(rng, asked, several)


def _fields(rng: Random, asked: Asked) -> Asked:
    several = _several(rng, asked)
    _device(rng, asked, 0.3)
    if rng.random() < 0.2:
        asked.words.append(rng.choice(("--all", "--desc")))
    return asked if "--desc" in asked.words else _json(rng, asked, several)


def _save(rng: Random, asked: Asked) -> Asked:
    asked.words += [_stream(rng, asked), "-o", "out"]
    asked.output, asked.may_write_damaged = "out", True
    _device(rng, asked, 0.7)
    if rng.random() < 0.5:
        asked.words.append("--text")
    return asked


def _load(rng: Random, asked: Asked) -> Asked:
    how = rng.random()
    if how < 0.15:
        made = virtio_readers.saved(rng)
        asked.base, asked.files["a"] = made.base, made.data
        asked.words += ["a", "--kind", rng.choice(("e1000e", "virtio-net", "nvme", "stranger"))]
    elif how < 0.3:
        made = text_readers.spec(rng)
        asked.base, asked.files["a"] = made.base, made.data
        asked.words.append("a")
    else:
        asked.words.append(_stream(rng, asked))
    _device(rng, asked, 0.2)
    if rng.random() < 0.3:
        asked.words += ["--qemu-version", rng.choice(("5.2", "7.2", "11.1", "3", "x", "99999999999"))]
    if rng.random() < 0.4:
        asked.words += ["-o", "out"]
        asked.output = "out"
    return _json(rng, asked)


def _replay(rng: Random, asked: Asked) -> Asked:
    if rng.random() < 0.3:
        asked.words += ["--record", _stream(rng, asked)]
        _device(rng, asked, 0.7)
        return asked
    made = text_readers.script(rng)
    asked.base, asked.files["a"] = made.base, made.data
    asked.words.append("a")
    return _json(rng, asked, lines=True)


def _validate(rng: Random, asked: Asked) -> Asked:
    several = _several(rng, asked)
    if rng.random() < 0.3:
        asked.words += rng.choice(
            (
                ["--severity", "error"],
                ["--severity", "warning"],
                ["--ignore", "vector-count"],
                ["--ignore", "frob"],
            )
        )
    return _json(rng, asked, several)


def _diff(rng: Random, asked: Asked) -> Asked:
    files = [_stream(rng, asked), _sound(rng, asked, "b") if rng.random() < 0.7 else _stream(rng, asked, "b")]
    asked.words += files if rng.random() < 0.7 else files[::-1]
    if rng.random() < 0.5:
        asked.words.append("--fields")
        asked.words += rng.choice(([], [], ["--moving"], ["--no-ram"]))
    asked.words += rng.choice(([], [], ["--loaded"]))
    _device(rng, asked, 0.2)
    return _json(rng, asked)


def _forge(rng: Random, asked: Asked) -> Asked:
    asked.words.append(_stream(rng, asked))
    if rng.random() < 0.3:
        made = text_readers.spec(rng)
        asked.files["spec"] = made.data
        asked.words += ["--spec", "spec"]
    else:
        asked.words += ["--device", rng.choice(("*", "e1000e", "virtio-net", "nvme", "*/virtio-*"))]
        for _ in range(rng.choice((1, 1, 2, 4))):
            asked.words += list(rng.choice(_CHANGES))
    if rng.random() < 0.2:
        asked.words.append("--dry-run")
    else:
        asked.words += ["-o", "out"]
        asked.output = "out"
    if rng.random() < 0.7:
        asked.words.append("--damaged")
    if rng.random() < 0.2:
        asked.words.append("--like-base")
    return asked


_CHANGES = (
    *(
        ("--unmask", "0"),
        ("--mask", "0-4"),
        ("--pending", "0"),
        ("--clear", "0,2"),
        ("--address", "0=0xfee00000"),
    ),
    *(
        ("--data", "0=0x41"),
        ("--control", "0=0xffffffff"),
        ("--pba", "01"),
        ("--enable", "on"),
        ("--vectors", "5"),
    ),
    *(("--vectors", "2048"), ("--vectors", "1"), ("--function-mask", "on"), ("--bus-master", "off")),
    *(("--config-vector", "0"), ("--queue-vector", "0=1"), ("--queue-vector", "9999999999=none")),
    *(("--field", "timer/cpu_ticks_offset=5"), ("--field", "globalstate/size=0x7"), ("--field", "x=[[[1]]]")),
)


def _compat(rng: Random, asked: Asked) -> Asked:
    asked.words.append(_stream(rng, asked))
    how = rng.random()
    if how < 0.2:
        asked.words += ["--to", rng.choice(("5.2", "7.2", "10.0", "11.1", "x"))]
    else:
        asked.words.append(_sound(rng, asked, "b") if how < 0.7 else _stream(rng, asked, "b"))
        if rng.random() < 0.3:
            asked.files["vmstate"] = text_readers.vmstate(rng).data
            asked.words += ["--target-vmstate", "vmstate"]
        if rng.random() < 0.2:
            asked.words += ["--target-version", rng.choice(("7.2", "11.1", "0", "1e9"))]
    return _json(rng, asked)


def _explain(rng: Random, asked: Asked) -> Asked:
    made = logs.log(rng)
    asked.base, asked.files["log"] = made.base, made.data
    asked.words.append("log")
    if rng.random() < 0.5:
        asked.words += ["--stream", _stream(rng, asked)]
    return _json(rng, asked)


def _trace(rng: Random, asked: Asked) -> Asked:
    if rng.random() < 0.5:
        made = trace_readers.guest(rng)
        asked.base, asked.files["a"] = made.base, made.data
        asked.words.append("a")
        if rng.random() < 0.4:
            asked.files["b"] = made.other
            asked.words += ["--later", "b"]
    else:
        asked.words.append(_stream(rng, asked))
    _device(rng, asked, 0.2)
    if rng.random() < 0.2:
        asked.words += ["--vector", rng.choice(("0", "1", "2047", "-1", "x"))]
    return _json(rng, asked)


def _cmdline(rng: Random, asked: Asked) -> Asked:
    asked.words.append(_stream(rng, asked))
    for option in ("--qemu-version", "--like-target"):
        if rng.random() < 0.2:
            asked.words += [option, rng.choice(("5.2", "7.2", "11.1", "0", "x"))]
    return _json(rng, asked)


_MAKERS: dict[str, Callable[[Random, Asked], Asked]] = {
    "inspect": _inspect,
    "show": _show,
    "fields": _fields,
    "save": _save,
    "load": _load,
    "replay": _replay,
    "validate": _validate,
    "diff": _diff,
    "forge": _forge,
    "compat": _compat,
    "explain": _explain,
    "trace": _trace,
    "cmdline": _cmdline,
}


@cache
def names() -> list[str]:
    """What the files of whole runs are made from."""
    return [*(base.name for base in bases.whole_streams()), *stream_inputs.names()]


def faults(asked: Asked, status: int, out: bytes, err: bytes, left: Files) -> list[str]:
    """What a run did that none may do; `left` are the files in its folder when it had ended."""
    found = []
    if status not in (0, 1, 2):
        found.append(f"status {status}")
    errors = err.decode("utf-8", "replace")
    if "Traceback" in errors or "defect" in errors:
        found.append("a traceback")
    lines = errors.splitlines()
    if any(not line.startswith("msixtool: ") for line in lines):
        found.append(f"a line of its own kind on standard error: {_first(lines)!r}")
    if any(len(line) > _LONGEST for line in lines):
        found.append(f"an error of {max(map(len, lines))} characters")
    if status == 2 and not lines:
        found.append("status 2 without a word")
    found += _faults_of_files(asked, status, left)
    if asked.as_json and out:
        found += _faults_of_json(asked, out)
    elif asked.as_json and status != 2:
        found.append("no JSON")
    return found


_LONGEST = 4000
"""Characters of a line on standard error: names and places beside what was expected and found."""


def _first(lines: list[str]) -> str:
    return next(line for line in lines if not line.startswith("msixtool: "))[:200]


def _faults_of_files(asked: Asked, status: int, left: Files) -> list[str]:
    found = [f"{name} was changed" for name, data in asked.files.items() if left.get(name) != data]
    strange = set(left) - set(asked.files) - {asked.output or ""}
    if strange:
        found.append(f"left behind: {sorted(strange)}")
    written = asked.output is not None and asked.output in left
    if written and status == 2 and not asked.may_write_damaged:
        found.append("an output in spite of status 2")
    if asked.output is not None and not written and status != 2:
        found.append("no output")
    if written and not left[asked.output or ""]:
        found.append("an empty output")
    return found


def _faults_of_json(asked: Asked, out: bytes) -> list[str]:
    """What is wrong with the documents on standard output."""
    try:
        text = out.decode("utf-8")
        documents = (
            [json.loads(line, parse_constant=_refuse) for line in text.splitlines()] if asked.lines else []
        )
        documents = documents or [json.loads(text, parse_constant=_refuse)]
    except ValueError as error:
        return [f"JSON that is none: {error}"]
    if asked.command == "replay":
        wanted = {"line", "action", "events", "ok"}
    else:
        wanted = {"schema", "source"} if asked.command not in ("diff",) else {"schema", "equal", "changes"}
    for document in documents:
        if not isinstance(document, dict) or not wanted <= set(document):
            return [f"a document without {sorted(wanted)}"]
        if "schema" in wanted and document["schema"] != f"msixtool.{asked.command}/1":
            return [f"schema {document['schema']!r}"]
    return []


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
