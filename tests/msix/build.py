"""Functions with MSI-X for the tests, and their states in short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixEntry, MsixState

ENABLED = 0x8000
FUNCTION_MASK = 0x4000
CAP = 0xA0
ENABLE_BYTE = CAP + 3


def address(vector: int) -> int:
    """The message address of a vector in the tests: its upper half is not zero."""
    return 0x1_0020_0000_0000 + 0x10 * vector


def data(vector: int) -> int:
    return 0xA1B2_C300 + vector + 1


def state(vectors: int = 4, *, masked: Iterable[int] = (), pending: Iterable[int] = ()) -> MsixState:
    """`vectors` vectors, each with a message of its own."""
    held = frozenset(masked)
    entries = tuple(MsixEntry(address(v), data(v), int(v in held)) for v in range(vectors))
    return MsixState(entries, MsixState.reset(vectors).pba).with_pending(pending)


def function(
    vectors: int = 4,
    *,
    masked: Iterable[int] = (),
    pending: Iterable[int] = (),
    control: int = ENABLED,
    used: Iterable[int] | None = None,
    bus_master: bool = True,
    **options: Any,
) -> MsixFunction:
    """A function with all vectors used, MSI-X enabled and bus mastering on, unless told otherwise."""
    return MsixFunction.from_state(
        state(vectors, masked=masked, pending=pending),
        control=control | vectors - 1,
        capability=CAP,
        bus_master=bus_master,
        used=range(vectors) if used is None else used,
        **options,
    )


def disabled_function(vectors: int = 4, **options: Any) -> MsixFunction:
    """As `function`, with MSI-X not enabled."""
    return function(vectors, control=0, **options)
