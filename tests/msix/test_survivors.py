"""What a change of one operator left unnoticed: each of these fails with that change."""

from __future__ import annotations

import pytest

from msixtool.devices.config_space import ConfigSpace
from msixtool.msix.bar import Placement
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixState
from tests.msix.build import ENABLED, function, state

RESERVED = 0x3800
"""Bits 11 to 13 of Message Control."""


def test_a_new_function_is_masked_until_it_is_enabled() -> None:
    made = MsixFunction()
    made.function_masked = False
    made.init(4, Placement(0, 0, 0x1000), Placement(0, 0x800, 0x1000))
    assert made.function_masked


def test_the_first_bit_beyond_the_vectors_is_a_stray_one() -> None:
    held = MsixState(state(4).entries, bytes([0b0001_0000]))
    assert held.stray_pending == (4,)
    assert held.pending == ()


def test_reserved_bits_of_message_control_are_kept_as_they_were_saved() -> None:
    made = function(4)
    made.restore_config(ENABLED | RESERVED | 3, bus_master=True)
    assert made.control == ENABLED | RESERVED | 3
    made = MsixFunction.from_state(state(4), control=ENABLED | RESERVED | 3)
    assert made.control == ENABLED | RESERVED | 3


@pytest.mark.parametrize("low", [0, 1, 2, 3])
def test_the_low_two_bits_of_a_capability_pointer_do_not_count(low: int) -> None:
    space = bytearray(256)
    space[0x06] = 0x10  # Status: there is a list
    space[0x34] = 0x40 | low
    space[0x40:0x42] = bytes([0x05, 0x54 | low])
    space[0x54] = 0x11
    found = ConfigSpace(bytes(space)).capabilities
    assert [(entry.id, entry.offset) for entry in found] == [(0x05, 0x40), (0x11, 0x54)]
