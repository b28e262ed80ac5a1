"""explain on hostile logs: what a decoder makes of one is bounded, however it was written."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from msixtool.containers.layers import DEPTH
from msixtool.errors import InputError
from msixtool.tasks.explain import explain
from msixtool.tasks.explain.packed import text_of
from msixtool.tasks.explain.readings import SHORT, readings

MOST_READINGS = 24
"""Ways to join lines times ways to decode them."""
GROWS_TO = 3
"""Typographic marks apart, no decoder makes more of a byte than this."""

HOSTILE = {
    "quotes": b"> " * (SHORT // 2),
    "soft breaks": b"=\n" * (SHORT // 2),
    "hex": b"=3D" * (SHORT // 3),
    "percent": b"%20%0A" * (SHORT // 6),
    "backslashes": b"\\\\" * (SHORT // 2),
    "hex escapes": b"\\x0a" * (SHORT // 4),
    "bars": b"|" * SHORT,
    "an open row": b"| " + b" " * (SHORT - 2),
    "rows": b"|  |\n" * (SHORT // 5),
    "borders": b"+" * SHORT,
    "byte array": b'"MESSAGE":[' + b"9," * (SHORT // 2 - 8) + b"9]",
    "open byte arrays": b'"MESSAGE":[' * (SHORT // 11),
    "times": b"03:04:05 " * (SHORT // 9),
    "falling times": b"".join(b"%02d:00:00\n" % (23 - at % 24) for at in range(SHORT // 9)),
    "indents": b"  x\n" * (SHORT // 4),
    "long lines": (b"x" * 60 + b"\n") * (SHORT // 61),
    "colons": b"a: " * (SHORT // 3),
    "nothing": b"\n" * SHORT,
    "zeros": bytes(SHORT),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_the_decoders_make_of_a_hostile_log_is_bounded(name: str) -> None:
    made = [reading.data for reading in readings(HOSTILE[name])]
    assert len(made) <= MOST_READINGS
    assert max(map(len, made)) <= GROWS_TO * SHORT
    assert explain(io.BytesIO(HOSTILE[name])) == []


@given(st.binary(max_size=400))
def test_any_bytes_keep_their_lines_in_every_reading(data: bytes) -> None:
    for reading in readings(data):
        assert reading.data.count(b"\n") == data.count(b"\n")


def test_a_byte_array_of_no_bytes_is_left_out() -> None:
    line = json.dumps({"MESSAGE": [300, 256, 104, 105]}).encode()
    assert b'"MESSAGE":"hi"' in next(reading.data for reading in readings(line) if b'"hi"' in reading.data)


def test_a_log_that_is_packed_over_and_over_is_refused() -> None:
    data = b"nothing\n"
    for _ in range(DEPTH):
        data = gzip.compress(data)
    assert text_of(io.BytesIO(data)).read() == b"nothing\n"
    with pytest.raises(InputError, match="packed too often"):
        text_of(io.BytesIO(gzip.compress(data)))


def test_a_log_that_unpacks_to_very_much_takes_no_memory() -> None:
    bomb = gzip.compress(gzip.compress(bytes(1 << 24)))
    tracemalloc.start()
    assert explain(io.BytesIO(bomb)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
