"""Two descriptions of one vmsd side by side: which fields are the same, and which only one side has.

A field that only one side has can be one that depends on the state (QEMU asks when it has read what
comes before it), on a property, or on the release. Its vmdesc does not say which.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

from msixtool.formats import virtio_types
from msixtool.formats.layout import element_count, field_size, nested
from msixtool.qemu.vmstates import SIZED_BY_STATE
from msixtool.stream.description import objects

Field = dict[str, Any]
Pair = tuple[Field | None, Field | None]
"""The source's field and the target's; None where that side has none."""

POINTER = "ptr-marker"

DYNAMIC_TYPES = frozenset({"qtailq", "qlist", "gtree", "scsi-requests", "bitmap", "virtio", virtio_types.GPU})
"""Field types whose length is the content's, not the layout's."""


BY_STATE = "sized by state"
"""The type that `merged` gives to what is as long as a field of the stream says."""
MARKERS = "markers"
"""The key under which `merged` puts how many markers an array of pointers has."""


def merged(description: Field) -> list[Field]:
    """The fields of a vmsd, with one for each array that is as long as its state.

    Of its elements a vmdesc has one object or many: all of them are one field, of type BY_STATE, or
    `ptr-marker` for pointers each of which has a marker before it.
    """
    vmsd = str(description.get("vmsd_name", ""))
    found: list[Field] = []
    for name, group in groupby(objects(description, "fields"), key=_name):
        fields = list(group)
        size = sum(map(total_size, fields))
        markers = [field for field in fields if field.get("type") == POINTER]
        if (vmsd, name) in SIZED_BY_STATE:
            found.append({"name": name, "type": BY_STATE, "size": size})
        elif markers:
            count = sum(map(element_count, markers))
            found.append({"name": name, "type": POINTER, "size": size, MARKERS: count})
        else:
            found += fields
    return found


def align(source: dict[str, Any], target: dict[str, Any]) -> list[Pair] | None:
    """The fields of both in order; None where the layouts differ in more than fields that one side lacks.

    A field of another name at the same place counts as renamed (of another version only if it is of the same
    type); one of another size, or an array of another length, as another layout.
    """
    renamed = _renamed if source.get("version") == target.get("version") else _renamed_at_most
    theirs, ours = merged(source), merged(target)
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
            and (_name(there) == _name(here) or renamed(there, here, left_theirs, left_ours))
        ):
            if not _fits(there, here):
                return None
        elif here is not None and _name(here) not in names_theirs:
            there = None
        elif there is not None and _name(there) not in names_ours:
            here = None
        else:
            return None
        pairs.append((there, here))
        if there is not None:
            left_theirs[_name(there)] -= 1
            i += 1
        if here is not None:
            left_ours[_name(here)] -= 1
            j += 1
    return pairs


def _renamed(there: Field, here: Field, left_theirs: Counter[str], left_ours: Counter[str]) -> bool:
    """Whether two fields of different names may be one: neither side has the other's any more."""
    return not left_ours[_name(there)] and not left_theirs[_name(here)]


def _renamed_at_most(there: Field, here: Field, left_theirs: Counter[str], left_ours: Counter[str]) -> bool:
    """The same for descriptions of different versions, where one may be gone and the other be new."""
    return there.get("type") == here.get("type") and _renamed(there, here, left_theirs, left_ours)


def _fits(there: Field, here: Field) -> bool:
    """Whether a field has the same size on both sides; what is nested or dynamic is looked at later."""
    if (
        total_size(there) == total_size(here)
        or there.get("type") == here.get("type") in (BY_STATE, POINTER)
        or str(here.get("type")) in DYNAMIC_TYPES
    ):
        return True
    are_structs = nested(there) is not None and nested(here) is not None
    return are_structs and element_count(there) == element_count(here) == 1


def total_size(field: Field) -> int:
    """Bytes of a field, all elements of an array together."""
    return field_size(field) * element_count(field)


def _name(field: Field) -> str:
    return str(field.get("name", ""))
