"""A saved state made from nothing: the vmstate of a device that never ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.qemu.kinds import check_kind, kind_of


def fixed_vectors(kind: str) -> int | None:
    """How many vectors every device of a kind has; None where a property says it."""
    msix = kind_of(kind).msix
    return None if msix is None else msix.vectors


def asked_vectors(kind: str | None, vectors: int | None) -> int:
    """How many vectors a device of `kind` has: as asked, or as the kind has always.

    Raises UsageError where neither says it, where they disagree, and for a kind that is not known.
    """
    if kind is not None:
        check_kind(kind)
    fixed = fixed_vectors(kind or "")
    if vectors is None:
        vectors = fixed
    if vectors is None:
        raise UsageError("the number of vectors is missing", expected=f"1 to {fmt.MAX_VECTORS}")
    if not 1 <= vectors <= fmt.MAX_VECTORS:
        raise UsageError("number of vectors", expected=f"1 to {fmt.MAX_VECTORS}", found=vectors)
    if fixed not in (None, vectors):
        raise UsageError(f"number of vectors of {kind}", expected=fixed, found=vectors)
    return vectors


def make_state(
    vectors: int | None = None,
    *,
    kind: str | None = None,
    entries: Mapping[int, MsixEntry] | None = None,
    unmasked: Iterable[int] = (),
    pending: Iterable[int] = (),
) -> MsixState:
    """A state in one call: that of `vectors` vectors after a reset, but for what is asked.

    `entries` are put into the table, then the mask bits of `unmasked` are cleared and the pending
    bits of `pending` set; `kind` gives the number of vectors where a kind of device has a fixed one.
    `make_state(...).to_vmstate()` is what msix_save writes: 16·n table bytes, ceil(n/8) PBA bytes.

    Raises UsageError for a vector that is not there, and where the number of vectors is not known.
    """
    count = asked_vectors(kind, vectors)
    state = MsixState.reset(count)
    for vector, entry in (entries or {}).items():
        state = state.with_entry(_checked(vector, count), entry)
    for vector in unmasked:
        state = state.with_entry(_checked(vector, count), state.entries[vector].with_masked(False))
    state = state.with_pending(_checked(vector, count) for vector in pending)
    state.to_vmstate()  # raises FormatError for a value that no register holds
    return state


def _checked(vector: int, count: int) -> int:
    if not 0 <= vector < count:
        raise UsageError("vector", expected=f"0 to {count - 1}", found=vector)
    return vector
