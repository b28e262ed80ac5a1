"""Logs for `explain`: as they are written, and wrapped in what people and programs put them into."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import quopri
from collections.abc import Callable
from functools import cache
from importlib import import_module
from random import Random
from urllib.parse import quote

from msixtool import explain
from tests.containers.recorded import ZSTD
from tests.fuzz import bases, octets, plain_text, text_readers
from tests.fuzz.outcome import Input, Outcome
from tests.fuzz.stream_readers import as_json

_WORDS = ("virtio", "0x0", "ram", "i=0x9a")


@cache
def _logs() -> list[tuple[str, str]]:
    paths = sorted((bases.DATA / "logs").glob("*.log"))
    return [(path.name, path.read_text(errors="replace")) for path in paths]


@cache
def _passages() -> list[tuple[str, str]]:
    """A few lines of a log each: what one failure left, in each way that logs are wrapped."""
    found = []
    for name, text in _logs():
        lines = text.splitlines()
        for at in range(0, len(lines), 3):
            found.append((f"{name}:{at + 1}", "\n".join(lines[at : at + 6])))
    return found


def names() -> list[str]:
    return [name for name, _ in _passages()]


def log(rng: Random) -> Input:
    """Some lines of a log, changed; now and then wrapped as JSON, HTML or syslog do, or very long."""
    name, text = rng.choice(_passages())
    text = plain_text.mutate(rng, text, _WORDS, [rng.choice(_passages())[1]])
    how = rng.random()
    if how < 0.05:
        text = json.dumps({"log": json.dumps(text)})
    elif how < 0.1:
        text = text.replace("\n", "#012").replace('"', "&quot;")
    elif how < 0.13:
        text = _times(text.replace("\n", " "), rng.choice((1, 20)))
    elif how < 0.14:
        text = _times(text, 300)
    stream = rng.choice(text_readers.streams()).data if rng.random() < 0.4 else b""
    return Input(name, text.encode("utf-8", "replace"), stream)


def _times(text: str, count: int) -> str:
    """A text so many times, as far as it does not get too long."""
    return text * max(1, min(count, plain_text.MOST // max(1, len(text))))


def _lines(change: Callable[[bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    return lambda _, data: b"\n".join(map(change, data.split(b"\n")))


def _journal(rng: Random, data: bytes) -> bytes:
    """journalctl -o json: a message a line, as text or as numbers."""
    spaces = rng.choice(((",", ":"), (", ", " : ")))
    found = []
    for line in data.split(b"\n"):
        message = list(line) if rng.random() < 0.7 else line.decode("utf-8", "replace")
        found.append(json.dumps({"_PID": "1", "MESSAGE": message}, separators=spaces).encode())
    return b"\n".join(found)


def _folded(rng: Random, data: bytes) -> bytes:
    """Broken at a width, or at blanks with what follows set in, as YAML and mail do it."""
    width = rng.choice((40, 76, 80))
    indent = rng.choice((b"", b"  ", b"\t", b"> "))
    text = data.replace(b" ", b"\n" + indent) if rng.random() < 0.1 else data
    return b"\n".join(
        (indent if at else b"") + line[at : at + width]
        for line in text.split(b"\n")
        for at in range(0, max(1, len(line)), width)
    )


_UTF16 = ("utf-16", "utf-16-le", "utf-16-be")
_WRAPS: tuple[Callable[[Random, bytes], bytes], ...] = (
    lambda _, data: quopri.encodestring(data),
    lambda _, data: quote(data).encode(),
    lambda _, data: repr(data).encode(),
    lambda _, data: b"message: |\n" + data.replace(b"\n", b"\n  "),
    lambda _, data: b"message: '" + data.replace(b"'", b"''").replace(b"\n", b"\n\n  ") + b"'",
    lambda _, data: b'1,"' + data.replace(b'"', b'""') + b'",x',
    lambda _, data: b"\n".join(reversed(data.split(b"\n"))),
    lambda _, data: json.dumps({"log": data.decode("utf-8", "replace")}).encode(),
    lambda _, data: base64.b64encode(data),
    lambda rng, data: data.decode("utf-8", "replace").encode(
        rng.choice(("utf-16", "utf-16-le", "utf-16-be"))
    ),
    _lines(lambda line: b"> " + line),
    _lines(lambda line: b"2026-11-28T10:00:00.000000000Z stderr F " + line),
    _journal,
    _folded,
)
_PACKS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: gzip.compress(data, mtime=0),
    bz2.compress,
    lambda data: lzma.compress(data, preset=0),
    lambda data: bytes(import_module(ZSTD).compress(data)),
    lambda data: bytes(import_module("lz4.frame").compress(data)),
)


def wrapped(rng: Random) -> Input:
    """Some lines of a log in one to a few wrappings and packings, changed before or after each."""
    made = log(rng)
    data = made.data
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(_WRAPS)(rng, data) if rng.random() < 0.75 else rng.choice(_PACKS)(data)
        if rng.random() < 0.3:
            data = octets.mutate(rng, data)
    return Input(made.base, data, made.other)


def mutate(rng: Random, data: bytes) -> bytes:
    """Any log with other lines and words, or wrapped once more."""
    if rng.random() < 0.3:
        return rng.choice(_WRAPS)(rng, data)[: octets.MOST]
    return plain_text.mutate(rng, data.decode("utf-8", "replace"), _WORDS).encode("utf-8", "replace")


def read(made: Input) -> Outcome:
    """The failures in a log, with a stream beside it or without."""
    dump = text_readers.dump_of(made.other) if made.other else None
    found = explain(io.BytesIO(made.data), stream=dump)
    as_json(found.document())
    return Outcome.REFUSED if found.ok else Outcome.WHOLE
