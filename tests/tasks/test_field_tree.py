"""Every way in which a vmdesc has described fields, and what contradicts the data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from msixtool.errors import FormatError
from msixtool.formats import vmdesc
from msixtool.formats.described import Described
from msixtool.tasks import field_tree
from msixtool.tasks.field_tree import build_tree


def values(fields: str | list[dict[str, Any]], data: str, **rest: Any) -> dict[str, Any]:
    """The values of a section with these fields, given as JSON where names repeat, and this data in hex."""
    text = fields if isinstance(fields, str) else json.dumps(fields)
    device = f'{{"devices": [{{"name": "x", "fields": {text}, "rest": {json.dumps(rest)}}}]}}'
    description = dict(vmdesc.document_of(device.encode())["devices"][0])
    raw = bytes.fromhex(data)
    return build_tree(Described({**description, **rest}), raw).value(raw)


def field(name: str, type_name: str, size: int, **rest: Any) -> dict[str, Any]:
    return {"name": name, **rest, "type": type_name, "size": size}


def struct(name: str, size: int, *fields: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return field(
        name, "struct", size, struct={"vmsd_name": name, "version": 1, "fields": list(fields)}, **rest
    )


def test_scalars_are_members_by_name() -> None:
    fields = [field("level", "int16", 2), field("on", "bool", 1), field("raw", "buffer", 3)]
    assert values(fields, "fffe 01 0a0b0c") == {"level": -2, "on": True, "raw": "0a0b0c"}


def test_an_array_of_numbers_is_a_list() -> None:
    assert values([field("r", "uint16", 2, array_len=3)], "0001 0002 ffff") == {"r": [1, 2, 65535]}


def test_an_array_of_structs_in_one_object_is_a_list_of_structs() -> None:
    pair = struct("pair", 3, field("a", "uint8", 1), field("b", "uint16", 2), array_len=2)
    assert values([pair], "01 0002 03 0004") == {"pair": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}


@pytest.mark.parametrize(
    "indices",
    [(0, 1, 2), (0, 1, None), (None, None, None)],
    ids=["up to 9.2: index on all", "10.x: on all but the last", "11.x: on none"],
)
def test_an_array_whose_elements_differ_is_one_list_in_all_three_styles(
    indices: tuple[int | None, ...],
) -> None:
    elements = []
    for size, index in zip((1, 2, 1), indices, strict=True):
        element = struct("e", size, field("v", f"uint{8 * size}", size))
        elements.append(element if index is None else {**element, "index": index})
    fields = [field("before", "uint8", 1), *elements, field("after", "uint8", 1)]
    assert values(fields, "aa 01 0203 04 bb") == {
        "before": 0xAA,
        "e": [{"v": 1}, {"v": 0x203}, {"v": 4}],
        "after": 0xBB,
    }


def test_two_objects_of_one_name_are_an_array_of_two() -> None:
    element = struct("e", 1, field("v", "uint8", 1))
    assert values([element, element], "05 06") == {"e": [{"v": 5}, {"v": 6}]}


def test_one_element_with_an_index_is_a_list_too() -> None:
    assert values([{**struct("e", 1, field("v", "uint8", 1)), "index": 0}], "05") == {"e": [{"v": 5}]}


def test_names_that_qemu_made_unique_stay_as_they_are() -> None:
    fields = [field("config[0]", "uint8", 1), field("config[1]", "uint8", 1)]
    assert values(fields, "01 02") == {"config[0]": 1, "config[1]": 2}


def test_a_vstruct_and_a_tmp_have_their_fields_inline() -> None:
    inline = {"vmsd_name": "inner", "version": 2, "fields": [field("v", "uint8", 1)]}
    fields = [field("s", "vstruct", 1, **inline), field("tmp", "tmp", 1, **inline)]
    assert values(fields, "07 08") == {"s": {"v": 7}, "tmp": {"v": 8}}


def test_an_array_of_vstructs_is_a_list() -> None:
    inline = {"vmsd_name": "inner", "version": 2, "fields": [field("v", "uint8", 1)]}
    assert values([field("s", "vstruct", 1, array_len=2, **inline)], "07 08") == {"s": [{"v": 7}, {"v": 8}]}


@pytest.mark.parametrize("type_name", ["nullptr", "ptr-marker"])
def test_null_pointers_are_null_in_runs_between_elements(type_name: str) -> None:
    fields = [
        field("p", type_name, 1, array_len=2),
        struct("p", 1, field("v", "uint8", 1), array_len=2),
        field("p", type_name, 1),
    ]
    assert values(fields, "3030 0506 30") == {"p": [None, None, {"v": 5}, {"v": 6}, None]}


def test_a_null_pointer_of_an_old_qemu_is_an_empty_struct_of_one_byte() -> None:
    null = field("p", "struct", 1, struct={}, index=1)
    fields = [struct("p", 2, field("v", "uint16", 2), index=0), null, field("q", "uint32", 1, index=0)]
    assert values(fields, "0007 30 30") == {"p": [{"v": 7}, None], "q": [None]}


def test_the_marker_of_a_pointer_that_is_followed_by_its_element_is_no_element() -> None:
    fields = [
        field("sq", "ptr-marker", 1),
        struct("sq", 2, field("v", "uint16", 2)),
        field("sq", "ptr-marker", 1),
        field("sq", "ptr-marker", 1),
    ]
    assert values(fields, "31 0102 30 30") == {"sq": [{"v": 0x102}, None, None]}


def test_the_overstated_length_of_an_array_of_pointers_is_mended() -> None:
    fields = [
        struct("p", 1, field("v", "uint8", 1), array_len=5),
        field("p", "nullptr", 1, array_len=2),
        struct("p", 1, field("v", "uint8", 1)),
        field("tail", "uint8", 1),
    ]
    wanted = {"p": [{"v": 1}, {"v": 2}, None, None, {"v": 3}], "tail": 9}
    assert values(fields, "01 02 30 30 03 09") == wanted
    nested = struct("outer", 6, *fields)
    assert values([nested, field("end", "uint8", 1)], "01 02 30 30 03 09 0a") == {"outer": wanted, "end": 10}


def test_a_length_that_no_subtraction_mends_is_damage() -> None:
    for count in (2, 3):
        fields = [
            struct("p", 1, field("v", "uint8", 1), array_len=count),
            field("p", "nullptr", 1, array_len=3),
        ]
        with pytest.raises(FormatError, match="size of field 'p'"):
            values(fields, "01 30 30")
    # An array that begins with NULL tells the truth.
    fields = [field("p", "nullptr", 1, array_len=3), struct("p", 1, field("v", "uint8", 1))]
    with pytest.raises(FormatError, match="size of field 'p'"):
        values(fields, "30 30 01")


def test_an_overstated_length_is_mended_before_subsections_too() -> None:
    subsection = {"vmsd_name": "x/a", "version": 1, "fields": [field("w", "uint8", 1)]}
    fields = [struct("p", 1, field("v", "uint8", 1), array_len=3), field("p", "nullptr", 1)]
    assert values(fields, "01 02 30" + "05 03 782f61 00000001 07", subsections=[subsection]) == {
        "p": [{"v": 1}, {"v": 2}, None],
        "x/a": {"w": 7},
    }


def test_an_array_that_begins_with_null_up_to_9_2_is_bytes_and_its_neighbours_are_not() -> None:
    fields = [field("a", "uint8", 1), field("p", "struct", 1, array_len=3, struct={}), field("b", "uint8", 1)]
    assert values(fields, "01 30 0506 30 02") == {"a": 1, "p": "30050630", "b": 2}
    assert values(fields, "01 30 30 30 02") == {"a": 1, "p": [None, None, None], "b": 2}


def test_subsections_stand_behind_the_fields_under_their_own_names() -> None:
    inner = {"vmsd_name": "x/a/b", "version": 1, "fields": [field("w", "uint8", 1)]}
    outer = {"vmsd_name": "x/a", "version": 1, "fields": [field("v", "uint8", 1)], "subsections": [inner]}
    data = "01" + "05 03 782f61 00000001 02" + "05 05 782f612f62 00000001 03"
    fields = [field("u", "uint8", 1)]
    assert values(fields, data, subsections=[outer]) == {"u": 1, "x/a": {"v": 2, "x/a/b": {"w": 3}}}


def test_a_struct_holds_its_own_subsections() -> None:
    inner = {"vmsd_name": "s/t", "version": 1, "fields": [field("v", "uint8", 1)]}
    outer = {"vmsd_name": "s", "version": 1, "fields": [], "subsections": [inner]}
    fields = [field("s", "struct", 10, struct=outer), field("end", "uint8", 1)]
    assert values(fields, "05 03 732f74 00000001 07 08") == {"s": {"s/t": {"v": 7}}, "end": 8}


def test_a_queue_keeps_all_elements_although_their_keys_repeat() -> None:
    element = '"vmsd_name": "e", "version": 1, "fields": [{"name": "v", "type": "uint8", "size": 1}]'
    for type_name in ("qtailq", "qlist"):
        fields = f'[{{"name": "q", "type": "{type_name}", {element}, {element}, "size": 5}}]'
        assert values(fields, "01 05 01 06 00") == {"q": [{"v": 5}, {"v": 6}]}


def test_what_is_added_to_an_array_copies_nothing_that_is_there() -> None:
    """A vmdesc may have the same name 10^5 times."""
    array = field_tree.Elements()
    array.add([field_tree.Leaf("uint8", 0, 1, None)])
    before = array.elements
    array.add([field_tree.Leaf("uint8", 1, 1, None)])
    assert array.elements is before
    assert array.value(b"\1\2") == [1, 2]


def test_an_empty_queue_is_an_empty_list() -> None:
    assert values([field("q", "qtailq", 1)], "00") == {"q": []}


def test_elements_of_a_queue_may_have_subsections() -> None:
    bare = '"vmsd_name": "e", "version": 1, "fields": [{"name": "v", "type": "uint8", "size": 1}]'
    sub = '{"vmsd_name": "e/f", "version": 1, "fields": [{"name": "w", "type": "uint8", "size": 1}]}'
    fields = f'[{{"name": "q", "type": "qtailq", {bare}, "subsections": [{sub}], {bare}, "size": 15}}]'
    assert values(fields, "01 05 05 03 652f66 00000001 07 01 06 00") == {
        "q": [{"v": 5, "e/f": {"w": 7}}, {"v": 6}]
    }


def test_a_tree_has_keys_and_values() -> None:
    value = '"vmsd_name": "v", "version": 1, "fields": [{"name": "v", "type": "uint8", "size": 1}]'
    key = '"vmsd_name": "k", "version": 1, "fields": [{"name": "k", "type": "uint16", "size": 2}]'
    direct = f'[{{"name": "t", "type": "gtree", {value}, {value}, "size": 25}}]'
    assert values(direct, "00000002 01 0000000000000003 07 01 0000000000000004 08 00") == {
        "t": [{"key": 3, "value": {"v": 7}}, {"key": 4, "value": {"v": 8}}]
    }
    keyed = f'[{{"name": "t", "type": "gtree", {key}, {value}, {key}, {value}, "size": 13}}]'
    assert values(keyed, "00000002 01 0005 09 01 0006 0a 00") == {
        "t": [{"key": {"k": 5}, "value": {"v": 9}}, {"key": {"k": 6}, "value": {"v": 10}}]
    }


def test_interrupt_levels_are_numbers() -> None:
    assert values([field("irq_state", "pci irq state", 16)], "00000001" + "00" * 12) == {
        "irq_state": [1, 0, 0, 0]
    }


def test_a_type_that_nobody_knows_is_bytes_of_its_size() -> None:
    assert values([field("x", "virtio-gpu", 3)], "010203") == {"x": "010203"}
    assert values([field("x", "buffer", 0), field("y", "msix state", 0)], "") == {"x": "", "y": ""}


def test_a_struct_without_anything_in_it_is_an_empty_struct() -> None:
    assert values([struct("s", 0), struct("t", 0, field("m", "msix state", 0))], "") == {
        "s": {},
        "t": {"m": ""},
    }


def test_elements_of_no_size_cannot_be_multiplied() -> None:
    assert values([struct("s", 0, array_len=1 << 24)], "") == {"s": [{}]}
    assert values([field("s", "buffer", 0, array_len=1 << 24)], "") == {"s": []}


@pytest.mark.parametrize(
    ("fields", "data", "expected"),
    [
        ([field("a", "uint32", 4)], "0000", "size of field 'a'"),
        ([field("a", "uint8", 1)], "0000", "expected 2 bytes as in the stream, found 1"),
        ([struct("s", 2, field("v", "uint8", 1))], "0000", "expected 2 bytes as in the stream, found 1"),
        ([struct("s", 1, field("v", "uint16", 2))], "0000", "size of field 'v'"),
        (
            [field("a", "uint8", 1), struct("s", 1, field("v", "uint16", 2))],
            "0000",
            "size of field 'v': expected at most the 1 bytes left, found 2",
        ),
        ([{"name": "s", "type": "vstruct", "fields": [], "size": 1}], "00", "vmdesc of s: expected 1 bytes"),
        ([field("q", "qtailq", 2)], "0000", "expected to end where the vmdesc says, found 1 bytes less"),
        ([field("q", "qtailq", 1)], "02", "marker of an element: expected 00, found 02"),
        ([field("t", "gtree", 5)], "0000000100", "expected 1 nodes, found 0"),
        ([field("a", "uint8", -1)], "00", "expected a size, found -1"),
        ([field("a", "uint8", 1, array_len=1 << 40)], "00", "expected at most"),
        ([{"name": "a", "type": "struct", "struct": {"fields": 7}, "size": 1}], "00", "a list of objects"),
    ],
)
def test_a_vmdesc_that_contradicts_the_data_is_damage(
    fields: list[dict[str, Any]], data: str, expected: str
) -> None:
    with pytest.raises(FormatError, match=expected):
        values(fields, data)


def test_a_subsection_that_is_not_in_the_data_is_damage() -> None:
    subsection = {"vmsd_name": "x/a", "version": 1, "fields": []}
    with pytest.raises(FormatError, match="subsection 'x/a': expected 0503782f61, found 0503782f62"):
        values([], "05 03 782f62 00000001", subsections=[subsection])
    with pytest.raises(FormatError, match="a header of its own"):
        values([], "05 03 782f61 0000", subsections=[subsection])


def test_an_element_of_an_array_has_a_place_of_its_own() -> None:
    leaf = field_tree.Leaf("uint16", 10, 2, 4)
    assert (leaf.element(3).offset, leaf.element(3).length, leaf.length) == (16, 2, 8)
    assert leaf.element(3).value(bytes(16) + b"\1\2") == 0x102


def test_more_values_than_any_device_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_tree, "MAX_VALUES", 10)
    assert len(values([field("a", "uint8", 1, array_len=10)], "00" * 10)["a"]) == 10
    with pytest.raises(FormatError, match="at most 10 values"):
        values([struct("s", 1, field("v", "uint8", 1), array_len=6)], "00" * 6)


_NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4)
_TYPES = st.sampled_from([("uint8", 1), ("int32", 4), ("bool", 1), ("buffer", 3), ("timer", 8)])


@st.composite
def described(draw: st.DrawFn, depth: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Fields of unique names, nested, and the bytes that they take."""
    fields, size = [], 0
    for name in draw(st.lists(_NAMES, max_size=4, unique=True)):
        count = draw(st.sampled_from([None, 2, 3]))
        if depth < 2 and draw(st.booleans()):
            inner, one = draw(described(depth=depth + 1))
            entry = struct(name, one, *inner)
        else:
            type_name, one = draw(_TYPES)
            entry = field(name, type_name, one)
        fields.append(entry if count is None else {**entry, "array_len": count})
        size += one * (count or 1)
    return fields, size


@given(described(), st.data())
def test_the_leaves_of_a_tree_cover_the_data_exactly(case: tuple[Any, int], data: st.DataObject) -> None:
    fields, size = case
    raw = data.draw(st.binary(min_size=size, max_size=size))
    tree = build_tree(Described({"fields": fields}), raw)
    reached = 0
    for leaf in leaves(tree):
        assert leaf.offset == reached
        reached += leaf.length
    assert reached == size
    assert json.loads(json.dumps(tree.value(raw))) == one_by_one(tree, raw)


def one_by_one(node: field_tree.Node, raw: bytes) -> Any:
    """The value of a tree, out of the values of its leaves: no element stands for another."""
    if isinstance(node, field_tree.Leaf):
        return node.value(raw)
    if isinstance(node, field_tree.Elements):
        return [one_by_one(element, raw) for element in node.elements]
    return {name: one_by_one(member, raw) for name, member in node.members.items()}


def test_elements_can_be_counted_and_taken_by_index_and_by_slice() -> None:
    raw = bytes.fromhex("01 0002 03 0004 05 0006")
    pair = struct("pair", 3, field("a", "uint8", 1), field("b", "uint16", 2), array_len=3)
    array = build_tree(Described({"fields": [pair]}), raw).members["pair"]
    assert isinstance(array, field_tree.Elements)
    assert len(array.elements) == 3
    assert array.elements[-1].value(raw) == {"a": 5, "b": 6}
    assert [each.value(raw)["a"] for each in array.elements[1:]] == [3, 5]  # type: ignore[index, call-overload]
    with pytest.raises(IndexError):
        array.elements[3]


def leaves(node: field_tree.Node) -> list[field_tree.Leaf]:
    if isinstance(node, field_tree.Leaf):
        return [node]
    below = node.elements if isinstance(node, field_tree.Elements) else node.members.values()
    return [leaf for member in below for leaf in leaves(member)]
