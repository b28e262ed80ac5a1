"""MsixState guards itself: a vector that is not there is a usage error, whoever asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from msixtool import MsixEntry, MsixState, UsageError

FOUR = MsixState.reset(4)
ENTRY = MsixEntry(0xFEE00000, 0x21, 0)
QUESTIONS: dict[str, Callable[[MsixState, int], object]] = {
    "with_entry": lambda state, vector: state.with_entry(vector, ENTRY),
    "with_pending": lambda state, vector: state.with_pending([0, vector]),
    "is_pending": lambda state, vector: state.is_pending(vector),
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("vector", [-1, -(1 << 70), 4, 7, 8, 9, 2048, 1 << 70])
def test_a_vector_that_is_not_there_is_refused(name: str, vector: int) -> None:
    with pytest.raises(UsageError, match=f"a vector from 0 to 3, found {vector}"):
        QUESTIONS[name](FOUR, vector)
    with pytest.raises(UsageError, match="there are no vectors"):
        QUESTIONS[name](MsixState.reset(0), vector)


def test_a_negative_number_of_vectors_is_refused() -> None:
    with pytest.raises(UsageError, match="found -1"):
        MsixState.reset(-1)


@given(st.integers(1, 70), st.data())
def test_what_is_there_changes_alone(vectors: int, data: st.DataObject) -> None:
    vector = data.draw(st.integers(0, vectors - 1))
    before = MsixState((MsixEntry(),) * vectors, b"\xff" * -(-vectors // 8))
    entry, pending = before.with_entry(vector, ENTRY), before.with_pending([vector])
    assert entry.vectors == pending.vectors == vectors
    assert [v for v in range(vectors) if entry.entries[v] != before.entries[v]] == [vector]
    assert pending.pending == (vector,)
    assert pending.stray_pending == before.stray_pending == tuple(range(vectors, 8 * len(before.pba)))
