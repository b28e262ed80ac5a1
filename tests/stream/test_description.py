"""The vmdesc: found from the end whatever its size, and what its sizes say of places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from msixtool.containers.file import BytesSource
from msixtool.errors import FormatError
from msixtool.formats.described import Described
from msixtool.stream import description as vmdesc
from tests.stream.build import u32


def text(size: int = 0) -> bytes:
    """A vmdesc of at least `size` bytes."""
    fields = [{"name": "x" * 80, "type": "uint8", "size": 1}] * (size // 110)
    device = {"name": "a", "instance_id": 0, "vmsd_name": "a", "version": 1, "fields": fields}
    return json.dumps({"page_size": 4096, "devices": [device]}).encode()


def behind(body: bytes) -> bytes:
    """It as it stands behind an end marker."""
    return b"\0\x06" + u32(len(body)) + body


@pytest.mark.parametrize("size", [0, 1 << 16, 1 << 17, 200_000, 1 << 20, 3 << 20])
@pytest.mark.parametrize("before", [0, 100, 1 << 18])
def test_it_is_found_whatever_its_size_and_whatever_stands_before(size: int, before: int) -> None:
    body = text(size)
    found = vmdesc.find_vmdesc(BytesSource(b"\x11" * before + behind(body)))
    assert found is not None
    assert (found.offset, found.text) == (before + 1, body)
    assert found.end == before + 6 + len(body)


@pytest.mark.parametrize("rest", [b"", b"\0", bytes(70000), b"trailing"])
def test_what_follows_does_not_hide_it(rest: bytes) -> None:
    found = vmdesc.find_vmdesc(BytesSource(behind(text()) + rest))
    assert found is not None
    assert found.offset == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x06",
        b"\x06\0\0\0\x09{",
        b"\x06\xff\xff\xff\xff{}",
        b"\0\x06\0\0\0\x02[]",
        b"{}" * 100000,
        bytes(300000),
    ],
)
def test_nothing_is_found_where_there_is_none(data: bytes) -> None:
    assert vmdesc.find_vmdesc(BytesSource(data)) is None


@pytest.mark.parametrize(
    "body", [b"{nothing}", b'{"devices": 1}', b"{}", b'{"devices": []}\xff', b'{"a": [}']
)
def test_one_that_is_damaged_is_an_error_with_its_place(body: bytes) -> None:
    with pytest.raises(FormatError, match=r"offset 0x1: vmdesc"):
        vmdesc.find_vmdesc(BytesSource(behind(body)))


def test_too_many_objects_are_not_read() -> None:
    body = b'{"devices": [' + b"{}," * vmdesc.MAX_OBJECTS + b"{}]}"
    with pytest.raises(FormatError, match=f"at most {vmdesc.MAX_OBJECTS} objects"):
        vmdesc.vmdesc_of(body, 0)


@pytest.mark.parametrize("size", [4096, 1024, 65536, None, "4096", 1000, 512, 0, -4096])
def test_the_page_size_is_a_power_of_two(size: Any) -> None:
    found = vmdesc.vmdesc_of(json.dumps({"page_size": size, "devices": []}).encode(), 0)
    assert found.contents.page_size == (size if size in (4096, 1024, 65536) else None)


def field(name: str, size: int, kind: str = "uint8", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more, "size": size}


SECTION = {
    "vmsd_name": "dev",
    "fields": [
        field("a", 4),
        field("b", 2, array_len=3),
        field("c", 7, "struct", struct={"vmsd_name": "in", "fields": [field("x", 3), field("y", 4)]}),
        field("d", 2, "vstruct", vmsd_name="v", fields=[field("z", 2)]),
        field("e", 9, "qtailq", vmsd_name="q", fields=[field("element", 4)]),
        field("f", 0, "struct", struct={"vmsd_name": "none", "fields": [field("nothing", 5)]}),
    ],
    "subsections": [
        {"vmsd_name": "dev/one", "fields": [field("g", 5)], "subsections": [{"vmsd_name": "dev/one/two"}]},
        {"vmsd_name": "dev/three", "fields": [field("h", 1)]},
    ],
}


def test_sizes_add_up_with_the_headers_of_subsections() -> None:
    fields = 4 + 6 + 7 + 2 + 9
    one = 6 + len("dev/one") + 5
    two = 6 + len("dev/one/two")
    three = 6 + len("dev/three") + 1
    assert Described(SECTION).size == fields + one + two + three


def test_every_field_has_its_place() -> None:
    places = {"/".join(placed.path): (placed.offset, placed.size) for placed in Described(SECTION).walk()}
    one = 28 + 6 + len("dev/one")
    three = one + 5 + 6 + len("dev/one/two") + 6 + len("dev/three")
    assert places == {
        "a": (0, 4),
        "b": (4, 6),
        "c": (10, 7),
        "c/x": (10, 3),
        "c/y": (13, 4),
        "d": (17, 2),
        "d/z": (17, 2),
        "e": (19, 9),
        "f": (28, 0),
        "dev/one/g": (one, 5),
        "dev/three/h": (three, 1),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        field("a", -1),
        field("a", 1.5),  # type: ignore[arg-type]
        field("a", True),
        field("a", 1 << 41),
        field("a", 1, array_len=-2),
        field("a", 1, array_len=1 << 25),
        {"name": "a"},
        7,
    ],
)
def test_sizes_that_are_none_are_errors(wrong: Any) -> None:
    with pytest.raises(FormatError, match="vmdesc: "):
        assert Described({"vmsd_name": "dev", "fields": [wrong]}).size


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([field("a", 4)], False),
        ([field("a", 1, "nullptr")], True),
        ([field("a", 1, "ptr-marker")], True),
        ([field("a", 1, "struct", struct={}, array_len=256)], True),
        ([field("a", 0, "struct", struct={})], False),
        ([field("a", 5, "struct", struct={"vmsd_name": "in", "fields": [field("b", 1, "nullptr")]})], True),
    ],
)
def test_where_null_pointers_may_be(fields: list[dict[str, Any]], expected: bool) -> None:
    assert Described({"vmsd_name": "dev", "fields": fields}).has_null_pointers is expected
