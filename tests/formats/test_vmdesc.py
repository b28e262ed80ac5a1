"""The text of a vmdesc, and what is equal in it."""

from __future__ import annotations

from msixtool.formats import vmdesc


def test_objects_whose_repeated_names_hold_other_values_are_not_equal() -> None:
    first, same, other = (
        vmdesc.document_of(b'{"devices": [{"name": "a", "name": %s, "name": "c"}]}' % name)["devices"][0]
        for name in (b'"b"', b'"b"', b'"x"')
    )
    plain = {"name": "c"}
    assert first == same
    assert first != other
    assert first != plain
    assert plain != first
