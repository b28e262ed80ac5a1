"""Two descriptions of one vmsd side by side: which fields are the same, and which only one side has.

A field that only one side has can be one that depends on the state (QEMU asks when it has read what
comes before it), on a property, or on the release. Its vmdesc does not say which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from msixtool.formats.layout import Field, Layout
from msixtool.formats.opaque import OPAQUE
from msixtool.formats.vmstate import VIRTIO_BLOB
from msixtool.kept import NamedTuple

MARKED_POINTER = "ptr-marker"

DYNAMIC_TYPES = frozenset({"qtailq", "qlist", "gtree", "bitmap", VIRTIO_BLOB, *OPAQUE})
"""Field types whose length is the content's, not the layout's."""


BY_STATE = "sized by state"
"""The type of a `FieldRun` that is as long as a field of the stream says."""


class FieldRun(NamedTuple):
    """A field of a vmsd, or all fields of one name that are one array: `length` is that of all, in bytes."""

    name: str
    type: str
    length: int
    elements: int = 1
    inside: Layout | None = None
    markers: int = 0
    """Of an array of pointers each of which has a marker before it: how many there are."""


Pair = tuple[FieldRun | None, FieldRun | None]
"""The source's and the target's; None where that side has none."""


def field_runs(layout: Layout) -> list[FieldRun]:
    """The fields of a vmsd, with one for each array that is as long as its state.

    Of its elements a vmdesc has one object or many: all of them are one member, of type BY_STATE, or
    `ptr-marker` for pointers.
    """
    return [member for name, group in groupby(layout.fields, _name) for member in _run(name, list(group))]


def _run(name: str, fields: list[Field]) -> Iterator[FieldRun]:
    length = sum(field.length for field in fields)
    markers = sum(field.elements for field in fields if field.type == MARKED_POINTER)
    if fields[0].sized_by is not None:
        yield FieldRun(name, BY_STATE, length)
    elif markers:
        yield FieldRun(name, MARKED_POINTER, length, markers=markers)
    else:
        for field in fields:
            yield FieldRun(name, field.type, field.length, field.elements, field.inside)


def pair_fields(source: Layout, target: Layout) -> list[Pair] | None:
    """The fields of both in order; None where the layouts differ in more than fields that one side lacks.

    A field of another name at the same place counts as renamed (of another version only if it is of the same
    type); one of another size, or an array of another length, as another layout.
    """
    renamed = _renamed if source.version == target.version else _renamed_at_most
    theirs, ours = field_runs(source), field_runs(target)
    left_theirs, left_ours = Counter(map(_name, theirs)), Counter(map(_name, ours))
    names_theirs, names_ours = frozenset(left_theirs), frozenset(left_ours)
    pairs: list[Pair] = []
    i = j = 0
    while i < len(theirs) or j < len(ours):
        there = theirs[i] if i < len(theirs) else None
        here = ours[j] if j < len(ours) else None
        if (
            there is not None
            and here is not None
            and (there.name == here.name or renamed(there, here, left_theirs, left_ours))
        ):
            if not _fits(there, here):
                return None
        elif here is not None and here.name not in names_theirs:
            there = None
        elif there is not None and there.name not in names_ours:
            here = None
        else:
            return None
        pairs.append((there, here))
        if there is not None:
            left_theirs[there.name] -= 1
            i += 1
        if here is not None:
            left_ours[here.name] -= 1
            j += 1
    return pairs


def _renamed(there: FieldRun, here: FieldRun, left_theirs: Counter[str], left_ours: Counter[str]) -> bool:
    """Whether two fields of different names may be one: neither side has the other's any more."""
    return not left_ours[there.name] and not left_theirs[here.name]


def _renamed_at_most(
    there: FieldRun, here: FieldRun, left_theirs: Counter[str], left_ours: Counter[str]
) -> bool:
    """The same for descriptions of different versions, where one may be gone and the other be new."""
    return there.type == here.type and _renamed(there, here, left_theirs, left_ours)


def _fits(there: FieldRun, here: FieldRun) -> bool:
    """Whether a field has the same size on both sides; what is nested or dynamic is looked at later."""
    if (
        there.length == here.length
        or there.type == here.type in (BY_STATE, MARKED_POINTER)
        or here.type in DYNAMIC_TYPES
    ):
        return True
    are_structs = there.inside is not None and here.inside is not None
    return are_structs and there.elements == here.elements == 1


def _name(field: Field | FieldRun) -> str:
    return field.name
