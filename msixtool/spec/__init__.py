"""SPEC of the contract: JSON or TOML that says what a state should be, read and written.

`forge` and `load` read it, `save --text` writes it. What it says as values, and what that makes of a
state, is in `msixtool.spec.values`; the names are the same here.
"""

from __future__ import annotations

from msixtool.spec.read import make_spec, parse_spec, read_spec
from msixtool.spec.values import (
    CapabilitySpec,
    DeviceSpec,
    EntrySpec,
    PlaceSpec,
    Spec,
    apply_control,
    apply_spec,
    new_control,
    new_state,
)
from msixtool.spec.write import spec_text

__all__ = [
    "CapabilitySpec",
    "DeviceSpec",
    "EntrySpec",
    "PlaceSpec",
    "Spec",
    "apply_control",
    "apply_spec",
    "make_spec",
    "new_control",
    "new_state",
    "parse_spec",
    "read_spec",
    "spec_text",
]
