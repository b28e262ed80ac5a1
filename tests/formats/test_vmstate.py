"""The encodings of vmstate field types: each type, its edges, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from msixtool.errors import FormatError
from msixtool.formats import vmstate


@pytest.mark.parametrize(
    ("type_name", "data", "value"),
    [
        ("bool", "00", False),
        ("bool", "01", True),
        ("int8", "ff", -1),
        ("uint8", "ff", 255),
        ("uint8 equal", "ff", 255),
        ("int16", "8000", -32768),
        ("uint16", "8000", 32768),
        ("uint16 equal", "0102", 0x102),
        ("int32", "fffffffe", -2),
        ("int32 equal", "fffffffe", -2),
        ("int32 le", "00000002", 2),
        ("uint32", "fffffffe", 0xFFFFFFFE),
        ("uint32 equal", "01020304", 0x01020304),
        ("int64", "8000000000000000", -(1 << 63)),
        ("uint64", "8000000000000000", 1 << 63),
        ("int64 equal", "ffffffffffffffff", (1 << 64) - 1),
        ("timer", "ffffffffffffffff", vmstate.TIMER_OFF),
        ("fd", "ffffffff", -1),
        ("float64", "3ff8000000000000", 1.5),
        ("CPU_Double_U", "bff8000000000000", -1.5),
        ("float64", "7ff8000000000001", "7ff8000000000001"),
        ("float64", "fff0000000000000", "fff0000000000000"),
        ("nullptr", "30", None),
        ("ptr-marker", "30", None),
        ("struct", "30", "30"),
        ("buffer", "00ff10", "00ff10"),
        ("unused_buffer", "ffff", "ffff"),
        ("bitmap", "0000000000000005", "0000000000000005"),
        ("shpc", "0a0b", "0a0b"),
        ("never heard of", "7e", "7e"),
        ("buffer", "", ""),
    ],
)
def test_each_type_has_its_value_and_its_bytes(type_name: str, data: str, value: Any) -> None:
    raw = bytes.fromhex(data)
    assert vmstate.decode(type_name, raw) == value
    assert type(vmstate.decode(type_name, raw)) is type(value)
    assert vmstate.encode(type_name, value, len(raw)) == raw


@pytest.mark.parametrize("type_name", sorted(vmstate.INTEGERS))
def test_an_integer_keeps_every_value_of_its_range(type_name: str) -> None:
    low, high = vmstate.integer_range(type_name)
    size = vmstate.fixed_size(type_name)
    assert size is not None
    assert high - low == (1 << 8 * size) - 1
    for value in (low, low + 1, high - 1, high):
        assert vmstate.decode(type_name, vmstate.encode(type_name, value, size)) == value
    for value in (low - 1, high + 1):
        with pytest.raises(FormatError, match=f"an integer from {low} to {high}"):
            vmstate.encode(type_name, value, size)


def test_a_null_element_of_an_old_array_of_pointers_has_the_type_of_what_is_not_there() -> None:
    assert vmstate.decode("uint32", b"0") is None
    assert vmstate.encode("uint32", None, 1) == b"0"
    assert vmstate.decode("uint8", b"0") == 0x30


def test_a_marker_that_is_no_null_shows_itself() -> None:
    assert vmstate.decode("ptr-marker", b"1") == "31"


@pytest.mark.parametrize(("type_name", "size"), [("uint32", 3), ("bool", 4), ("timer", 16)])
def test_a_size_that_is_not_the_types_own_is_bytes(type_name: str, size: int) -> None:
    assert vmstate.decode(type_name, bytes(size)) == "00" * size


@pytest.mark.parametrize(
    ("type_name", "value", "size", "expected"),
    [
        ("uint8", True, 1, "an integer from 0 to 255"),
        ("uint8", 1.0, 1, "an integer from 0 to 255"),
        ("uint8", "1", 1, "an integer from 0 to 255"),
        ("bool", 1, 1, "true or false"),
        ("float64", "xy", 8, "8 bytes in hex"),
        ("float64", None, 8, "a number"),
        ("buffer", "00", 2, "2 bytes in hex"),
        ("buffer", "0g", 1, "1 bytes in hex"),
        ("buffer", 7, 1, "1 bytes in hex"),
        ("nullptr", 0, 1, "null"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(
    type_name: str, value: Any, size: int, expected: str
) -> None:
    with pytest.raises(FormatError, match=expected):
        vmstate.encode(type_name, value, size)


def test_a_long_wrong_value_is_cut_in_the_error() -> None:
    with pytest.raises(FormatError) as error:
        vmstate.encode("uint8", "z" * 10_000, 1)
    assert len(str(error.value)) < 200


@given(
    st.sampled_from(["uint8", "int16", "uint32", "int64", "timer", "bool", "bitmap"]),
    st.integers(1, 20),
    st.data(),
)
def test_an_array_is_its_elements_one_after_another(type_name: str, count: int, data: st.DataObject) -> None:
    size = vmstate.fixed_size(type_name) or 8
    raw = data.draw(st.binary(min_size=size * count, max_size=size * count))
    values = vmstate.decode_array(type_name, raw, count)
    assert values == [vmstate.decode(type_name, raw[i : i + size]) for i in range(0, len(raw), size)]


@given(st.sampled_from([*sorted(vmstate.INTEGERS), "float64", "buffer", "bitmap"]), st.data())
def test_what_was_decoded_is_encoded_to_the_same_bytes(type_name: str, data: st.DataObject) -> None:
    size = vmstate.fixed_size(type_name) or data.draw(st.integers(0, 40))
    raw = data.draw(st.binary(min_size=size, max_size=size))
    assert vmstate.encode(type_name, vmstate.decode(type_name, raw), len(raw)) == raw


def test_an_array_without_elements_is_empty() -> None:
    assert vmstate.decode_array("uint32", b"", 0) == []
    assert vmstate.decode_array("buffer", b"", 0) == []
