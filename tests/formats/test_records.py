"""Records in bulk: the same bytes, names and refusals as construct's own array of the schema."""

from __future__ import annotations

import pytest
from construct import Array, Int8ul, Int16ub, Int32ub, Int64ul, Struct
from hypothesis import given, strategies as st

from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import build, msix, parse
from msixtool.formats.records import Records

BIG = Struct("one" / Int16ub, "two" / Int32ub)
LITTLE = Struct("flag" / Int8ul, "address" / Int64ul)


@given(data=st.binary(max_size=200))
def test_what_is_parsed_is_what_construct_parses(data: bytes) -> None:
    for record in (BIG, LITTLE, msix.ENTRY):
        count = len(data) // record.sizeof()
        found = parse(Records(count, record), data, what="records")
        expected = parse(Array(count, record), data, what="records")
        names = [member.name for member in record.subcons]
        assert [[getattr(each, name) for name in names] for each in found] == [
            [each[name] for name in names] for each in expected
        ]
        size = count * record.sizeof()
        assert build(Records(count, record), found, what="records") == data[:size]
        assert build(Records(count, record), expected, what="records") == data[:size]
        assert Records(count, record).sizeof() == size


def test_a_table_that_is_cut_is_said_to_be() -> None:
    with pytest.raises(TruncatedError, match="records is cut short"):
        parse(Records(3, BIG), bytes(17), what="records")


@pytest.mark.parametrize("value", [(-1, 0), (1 << 16, 0), ("x", 0), {"one": 1}, (1,)])
def test_what_does_not_fit_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="records cannot be written"):
        build(Records(1, BIG), [value], what="records")


def test_as_many_are_built_as_there_are_to_be() -> None:
    with pytest.raises(FormatError, match="records cannot be written"):
        build(Records(2, BIG), [(1, 2)], what="records")
