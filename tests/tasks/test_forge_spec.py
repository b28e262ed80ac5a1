"""SPEC: what it may say, what an error names, and which of two keys wins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from msixtool import Dump, InputError, MsixEntry, MsixState, UsageError
from msixtool.spec import (
    DeviceSpec,
    EntrySpec,
    apply_control,
    apply_spec,
    make_spec,
    new_control,
    new_state,
    parse_spec,
    read_spec,
    spec_text,
)
from msixtool.spec.saved import device_of

WORDS = st.integers(0, (1 << 32) - 1)


@st.composite
def states(draw: st.DrawFn, vectors: int | None = None) -> MsixState:
    """Any state that a stream can hold, bits beyond the last vector included."""
    count = draw(st.integers(1, 40)) if vectors is None else vectors
    entry = st.builds(MsixEntry, st.integers(0, (1 << 64) - 1), WORDS, WORDS)
    entries = draw(st.lists(entry, min_size=count, max_size=count))
    size = (count + 7) // 8
    return MsixState(tuple(entries), draw(st.binary(min_size=size, max_size=size)))


def device(**keys: object) -> DeviceSpec:
    (made,) = make_spec({"devices": [{"name": "e1000e", **keys}]}).devices
    return made


@given(states())
def test_the_text_of_a_state_reads_back_to_the_same_bytes(state: MsixState) -> None:
    (read,) = parse_spec(spec_text(device_of(state, "0000:00:02.0/e1000e"))).devices
    assert new_state(read).to_vmstate() == state.to_vmstate()
    assert apply_spec(read, state) == state


@given(st.integers(0, 0xFFFF), st.booleans())
def test_the_text_keeps_message_control_and_bus_mastering(control: int, bus_master: bool) -> None:
    vectors = (control & 0x7FF) + 1
    made = device_of(MsixState.reset(vectors), "nvme", control=control, bus_master=bus_master)
    (read,) = parse_spec(spec_text(made)).devices
    assert new_control(read) == apply_control(read, control, vectors) == control
    assert read.bus_master is bus_master


def test_the_text_says_what_each_vector_is_for(sample: Path) -> None:
    with Dump.open(sample) as dump:
        lines = spec_text(dump.devices[0], x86=True).splitlines()
    (first, second) = (next(line for line in lines if f"vector = {vector}," in line) for vector in (0, 1))
    assert first.endswith("# config changes; CPU 0 vector 0x22")
    assert second.endswith("# queue 0; CPU 0 vector 0x23")


def test_what_is_absent_stays_as_it_is() -> None:
    state = MsixState((MsixEntry(1 << 40, 7, 0xF0), MsixEntry()), b"\xfe")
    assert apply_spec(device(), state) == state
    assert apply_spec(device(entries=[{"vector": 0}]), state) == state
    assert apply_control(device(), 0xF801, 2) == 0xF801


def test_the_narrower_key_wins() -> None:
    state = MsixState.reset(4)
    pba = apply_spec(device(pba="f1"), state)
    assert (pba.pending, pba.stray_pending) == ((0,), (4, 5, 6, 7))
    listed = apply_spec(device(pba="f1", pending=[1, 2]), state)
    assert (listed.pending, listed.stray_pending) == ((1, 2), (4, 5, 6, 7))
    own = apply_spec(
        device(
            pba="f1",
            pending=[1, 2],
            entries=[{"vector": 2, "pending": False}, {"vector": 3, "pending": True}],
        ),
        state,
    )
    assert own.pending == (1, 3)
    masked = apply_spec(device(entries=[{"vector": 0, "control": 0xFFFFFFFF, "masked": False}]), state)
    assert masked.entries[0].control == 0xFFFFFFFE


def test_the_list_of_pending_vectors_clears_the_others() -> None:
    assert apply_spec(device(pending=[]), MsixState((MsixEntry(),) * 3, b"\xff")).pba == b"\xf8"


def test_function_mask_and_enable_change_their_own_bit_alone() -> None:
    assert apply_control(device(enabled=True), 0x3804, 5) == 0xB804
    assert apply_control(device(function_mask=True), 0x8004, 5) == 0xC004
    assert apply_control(device(enabled=False, function_mask=False), 0xC004, 5) == 0x0004
    given_twice = device(enabled=False, capability={"control": 0xC004, "function_mask": False})
    assert apply_control(given_twice, 0, 5) == 0x0004
    own = device(enabled=False, function_mask=True, capability={"enabled": True, "function_mask": False})
    assert apply_control(own, 0x8004, 5) == 0x4004


def test_another_number_of_vectors_keeps_those_that_stay_and_resets_new_ones() -> None:
    entries = tuple(MsixEntry(vector, vector, 0) for vector in range(6))
    state = MsixState(entries, b"\xe3")
    fewer = apply_spec(device(vectors=3), state)
    assert (fewer.entries, fewer.pba) == (entries[:3], b"\x03")
    more = apply_spec(device(vectors=9), state)
    assert (more.entries, more.pba) == (entries + (MsixEntry(),) * 3, b"\x23\x00")
    assert apply_spec(device(vectors=6), state) == state
    assert apply_control(device(vectors=9), 0x8005, 6) == 0x8008


def test_a_number_of_vectors_and_a_word_that_says_another_are_refused() -> None:
    with pytest.raises(UsageError, match=r"devices\[0\]\.capability\.control: expected table size 0x8"):
        apply_control(device(vectors=9, capability={"control": 0x8004}), 0x8004, 5)


def test_a_state_from_nothing_must_say_how_many_vectors_it_has() -> None:
    assert new_state(device(vectors=2, pending=[1])) == MsixState.reset(2).with_pending([1])
    with pytest.raises(UsageError, match=r"devices\[0\]\.vectors is missing"):
        new_state(device())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"vector": 4}, r"devices\[0\].entries\[0\].vector: expected a vector from 0 to 3, found 4"),
        ({"vector": -1}, r"entries\[0\].vector: expected an integer from 0 to 2047, found -1"),
        ({"vector": 0, "address": 1 << 64}, r"address: expected an integer from 0 to 0xffffffffffffffff"),
        ({"vector": 0, "address": "0xfee00000"}, r"address: expected an integer .*found \"0xfee00000\""),
        ({"vector": 0, "data": 1.5}, r"data: expected an integer from 0 to 0xffffffff, found 1.5"),
        ({"vector": 0, "data": True}, r"data: expected an integer .*found true"),
        ({"vector": 0, "masked": 1}, r"masked: expected true or false, found 1"),
        ({"vector": 0, "pending": None}, r"pending: expected true or false, found null"),
        (
            {"vector": 0, "colour": 1},
            r"unknown key devices\[0\].entries\[0\].colour: expected one of vector,",
        ),
        ({"address": 0}, r"devices\[0\].entries\[0\].vector is missing"),
        (5, r"devices\[0\].entries\[0\]: expected an object with the keys vector, address"),
    ],
)
def test_an_entry_that_cannot_be_is_named(keys: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        apply_spec(device(entries=[keys]), MsixState.reset(4))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"vectors": 0}, "vectors: expected an integer from 1 to 2048, found 0"),
        ({"vectors": 2049}, "vectors: expected an integer from 1 to 2048, found 2049"),
        ({"instance": -1}, "instance: expected an integer from 0 to 0xffffffff, found -1"),
        ({"enabled": "on"}, 'enabled: expected true or false, found "on"'),
        ({"pba": "0g"}, 'pba: expected bytes in hex, as a string, found "0g"'),
        ({"pba": 0}, "pba: expected bytes in hex, as a string, found 0"),
        ({"pending": 3}, "pending: expected a list, found 3"),
        ({"capability": 160}, "capability: expected an object with the keys offset, control"),
        ({"capability": {"table": {"offset": 4}}}, "capability.table.offset: expected a multiple of 8"),
        ({"capability": {"pba": {"bar": 8}}}, "capability.pba.bar: expected an integer from 0 to 7"),
        ({"capability": {"control": 65536}}, "capability.control: expected an integer from 0 to 65535"),
    ],
)
def test_a_device_that_cannot_be_is_refused_by_the_key(keys: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"devices[0].{message}")):
        device(**keys)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "SPEC: expected an object with the keys devices, fields, found []"),
        ({"device": []}, "unknown key device: expected one of devices, fields"),
        ({"devices": {}}, "devices: expected a list, found {}"),
        ({"devices": [{}]}, "devices[0].name is missing"),
        ({"devices": [{"name": 3}]}, "devices[0].name: expected a name, found 3"),
        ({"devices": [{"name": "a"}, {"name": "a", "instance": 0}]}, "devices: a@0 is there twice"),
        ({"devices": [{"name": "a", "entries": [{"vector": 1}] * 2}]}, "vector 1 is there twice"),
        ({"fields": [1]}, "fields: expected an object of SECTION/PATH and values, found [1]"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_by_the_key(document: object, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make_spec(document)


@pytest.mark.parametrize("size", [0, 2])
def test_pending_bytes_of_another_number_of_vectors_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match=rf"pba: expected 1 byte in hex for 4 vectors, found {size}"):
        apply_spec(device(pba="00" * size), MsixState.reset(4))


def test_a_pending_vector_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"devices\[0\].pending\[1\]: expected a vector from 0 to 3, found 4"
    ):
        apply_spec(device(pending=[0, 4]), MsixState.reset(4))


@pytest.mark.parametrize(
    "text",
    ["", " \n", "[[devices]]\nname = 'a'", '{"devices": [{"name": "a"}]}', b"\xef\xbb\xbf{}", "\n {}"],
)
def test_json_and_toml_are_told_by_content(text: str | bytes) -> None:
    assert {each.name for each in parse_spec(text).devices} <= {"a"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[",
        "a = ",
        b"\xff\xfe",
        '{"devices": [], "devices": []}',
        "[" * 5000,
        '{"a":' * 100000,
        f'{{"a": {"9" * 5000}}}',
    ],
)
def test_text_that_is_neither_is_one_line(text: str | bytes) -> None:
    with pytest.raises(UsageError, match=r"^bad\.toml[:,] ") as caught:
        parse_spec(text, path="bad.toml")
    assert "\n" not in str(caught.value)


def test_a_spec_that_cannot_be_read_says_which(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml: cannot be read"):
        read_spec(str(tmp_path / "missing.toml"))


def test_options_are_named_as_options() -> None:
    with pytest.raises(UsageError, match=r"^--unmask: expected a vector from 0 to 3, found 9"):
        apply_spec(DeviceSpec("a", entries=(EntrySpec(9, masked=False, key="--unmask"),)), MsixState.reset(4))
    with pytest.raises(UsageError, match=r"^--pba: expected 1 byte"):
        apply_spec(DeviceSpec("a", pba=b""), MsixState.reset(4))


@given(states(), st.data())
def test_a_spec_written_as_json_means_the_same(state: MsixState, data: st.DataObject) -> None:
    target = data.draw(states(vectors=state.vectors))
    spec = {
        "name": "a",
        "pba": target.pba.hex(),
        "entries": [
            {"vector": vector, "address": each.address, "data": each.data, "control": each.control}
            for vector, each in enumerate(target.entries)
        ],
    }
    (read,) = parse_spec(json.dumps({"devices": [spec]})).devices
    assert apply_spec(read, state) == target
