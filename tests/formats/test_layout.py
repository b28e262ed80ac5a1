"""A layout is one value: sizes, places and a schema that parses and builds the section."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from construct import Int8ub, Struct
from hypothesis import given, strategies as st

from msixtool import Dump
from msixtool.errors import FormatError
from msixtool.formats import build, dump_vmstate, function, parse
from msixtool.formats.described import Described
from msixtool.formats.layout import Layout
from tests.conftest import SAMPLES, STREAMS, stream_id


@pytest.mark.parametrize("path", SAMPLES + STREAMS[::40], ids=stream_id)
def test_the_schema_of_every_section_parses_and_builds_it(path: Path) -> None:
    """Those out of step with their vmdesc excepted, whose sizes may be wrong."""
    tried = 0
    with Dump.open(path) as dump:
        for item in dump.index.full_sections():
            layout = item.layout
            if layout is None or layout.has_null_pointers or layout.size != item.data_length:
                continue
            data = dump.source.read(item.data_offset, item.data_length)
            value = parse(layout.schema(), data, what=layout.name)
            assert build(layout.schema(), value, what=layout.name) == data, item.idstr
            tried += 1
    assert tried or dump.index.description is None


def test_values_are_read_by_name(sample: Path) -> None:
    with Dump.open(sample) as dump:
        device = next(device for device in dump.devices if device.kind == "e1000e")
        layout = device.item.layout
        assert layout is not None
        data = dump.source.read(device.item.data_offset, device.item.data_length)
        value = parse(layout.schema(), data, what="e1000e")
        assert device.config is not None
        assert value["parent_obj[0]"]["config[1]"] == device.config.data
        placed = layout.of_type("msix state", "virtio")
        assert placed is not None
        assert device.item.data_offset + placed.offset == device.offset
        assert layout.place("/".join(placed.path)) == placed
        assert layout.place("parent_obj[0]/nothing") is None


def test_what_dump_vmstate_says_is_a_layout_too() -> None:
    word = {"field": "a", "version_id": 0, "field_exists": False, "size": 4}
    inner = {"name": "in", "version_id": 2, "minimum_version_id": 1, "Fields": [{**word, "num": 3}]}
    top = {
        "name": "dev",
        "version_id": 4,
        "minimum_version_id": 3,
        "Fields": [word, {**word, "field": "b", "field_exists": True, "size": 12, "Description": inner}],
        "Subsections": [{"name": "dev/x", "version_id": 1, "minimum_version_id": 1, "Fields": [word]}],
    }
    entry = {"version_id": 4, "minimum_version_id": 3, "Description": top}
    found = dump_vmstate.vmstates_of(json.dumps({"vmschkmachine": {"Name": "pc"}, "e1000e": entry}).encode())
    assert (found.machine, list(found.devices)) == ("pc", ["e1000e"])
    layout = found.devices["e1000e"].layout
    assert layout is not None
    assert (layout.name, layout.version, layout.minimum_version) == ("dev", 4, 3)
    assert [each.conditional for each in layout.fields] == [False, True]
    places = [("a", 0, 4), ("b", 4, 12), ("b/a", 4, 12), ("dev/x/a", 27, 4)]
    assert [("/".join(each.path), each.offset, each.size) for each in layout.walk()] == places
    assert [each.version for each in found.layouts("in")] == [2]


def test_a_construct_schema_is_a_layout_too() -> None:
    schema = Struct("a" / Int8ub, "b" / Struct("c" / Int8ub, "d" / Int8ub[3]))
    layout = Layout.of_schema(schema)
    assert {"/".join(p.path): (p.offset, p.size) for p in layout.walk()} == {
        "a": (0, 1),
        "b": (1, 4),
        "b/c": (1, 1),
        "b/d": (2, 3),
    }
    data = bytes(range(5))
    assert build(layout.schema(), parse(layout.schema(), data, what="it"), what="it") == data
    assert Layout.of_schema(function.AER_ERROR).size == 40


FIELD = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["uint32", "timer", "int32 le"])}),
    st.fixed_dictionaries({"type": st.just("buffer"), "size": st.integers(0, 9)}),
    st.fixed_dictionaries({"type": st.just("uint16"), "array_len": st.integers(0, 5)}),
)
SIZES = {"uint32": 4, "timer": 8, "int32 le": 4, "uint16": 2}
NAMED = st.lists(st.tuples(st.sampled_from("abc"), FIELD), max_size=5).map(
    lambda fields: [{"name": name, "size": SIZES.get(str(f["type"]), 0), **f} for name, f in fields]
)


@given(NAMED, NAMED, st.data())
def test_whatever_is_described_round_trips(
    fields: list[dict[str, Any]], more: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Names that repeat, structs and subsections included."""
    inner = Described({"vmsd_name": "in", "fields": more})
    struct = {"name": "a", "type": "struct", "size": inner.size, "struct": inner.described}
    below = {"vmsd_name": "top/more", "fields": more}
    layout = Described({"vmsd_name": "top", "fields": [*fields, struct, struct], "subsections": [below]})
    ends = [placed.offset + placed.size for placed in layout.walk()]
    assert max(ends, default=0) <= layout.size
    raw = bytearray(data.draw(st.binary(min_size=layout.size, max_size=layout.size)))
    start = layout.size - inner.size - layout.subsections[0].header_size
    raw[start : start + 2 + len("top/more")] = b"\x05\x08top/more"
    value = parse(layout.schema(), raw, what="it")
    assert build(layout.schema(), value, what="it") == bytes(raw)


def test_what_nobody_asks_for_is_not_looked_at() -> None:
    broken = {"name": "s", "type": "struct", "size": 4, "struct": {"fields": [{"name": "x", "size": -1}]}}
    layout = Described({"fields": [broken]})
    assert layout.size == 4
    with pytest.raises(FormatError, match="size of field 'x'"):
        list(layout.walk())
