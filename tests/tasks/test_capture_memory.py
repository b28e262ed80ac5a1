"""Pieces of guest memory that are read of a VM that stands: what is asked for, and what counts as read."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from msixtool.ram.looked_at import MemoryPiece, Span
from msixtool.tasks.capture.guest_memory import (
    APART,
    AT_ONCE,
    BUDGET,
    affordable,
    merged,
    pieces,
    reading,
    same,
)

SPANS = st.lists(st.builds(Span, st.integers(0, 1 << 16), st.integers(1, 600)), max_size=20)


@given(SPANS)
def test_what_is_read_holds_every_span_and_lies_apart(spans: list[Span]) -> None:
    found = merged(spans)
    for start, length in spans:
        assert any(each.start <= start and start + length <= each.start + each.length for each in found)
    for first, second in pairwise(found):
        assert first.start + first.length + APART < second.start


def test_the_guest_stands_for_no_more_than_can_be_read_in_time() -> None:
    many = [Span(at << 20, 4) for at in range(1000)]
    assert affordable(0.0001, many) == AT_ONCE
    assert affordable(1.0, many) == int(1000 * BUDGET)
    assert affordable(100.0, many) == 0
    assert affordable(0.001, many[:3]) == 3


def test_what_is_equal_before_and_after_was_so_in_between() -> None:
    still, before, after = MemoryPiece(0, b"still"), MemoryPiece(8, b"1"), MemoryPiece(8, b"2")
    assert same([still, before], [still, after]) == [still]


def test_an_answer_is_bytes_in_their_order() -> None:
    span = Span(0x1000, 10)
    assert reading(span) == ("human-monitor-command", {"command-line": "xp /10xb 0x1000"})
    dump = "0000000000001000: 0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07\r\n0000000000001008: 0x08 0xff\r\n"
    assert pieces([span], [dump]) == [MemoryPiece(0x1000, bytes(range(9)) + b"\xff")]


@given(
    st.lists(
        st.one_of(st.text(), st.none(), st.integers(), st.just("1000: 0x00\r\n1001: Cannot access memory"))
    )
)
def test_what_is_no_dump_of_all_its_bytes_is_nothing(answers: list[object]) -> None:
    assert pieces([Span(0x1000, 10)] * len(answers), answers) == []
