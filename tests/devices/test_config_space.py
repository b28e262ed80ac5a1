"""Configuration space: the capability list, and the MSI-X capability in it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from msixtool.devices.config_space import BarPlace, ConfigSpace

MSIX_AT = 0x70


def space(*, control: int = 0xC004, table: int = 0x3, pba: int = 0x2003, following: int = 0) -> bytearray:
    """Configuration space with one capability, MSI-X, at 0x70."""
    data = bytearray(256)
    data[6] = 0x10
    data[0x34] = MSIX_AT
    data[MSIX_AT : MSIX_AT + 12] = (
        bytes([0x11, following])
        + control.to_bytes(2, "little")
        + table.to_bytes(4, "little")
        + pba.to_bytes(4, "little")
    )
    return data


def test_the_msix_capability_says_count_state_and_places() -> None:
    capability = ConfigSpace(bytes(space())).msix
    assert capability is not None
    assert (capability.offset, capability.vectors) == (MSIX_AT, 5)
    assert (capability.enabled, capability.function_mask, capability.function_masked) == (True, True, True)
    assert capability.table == BarPlace(3, 0)
    assert capability.pba == BarPlace(3, 0x2000)


@pytest.mark.parametrize(
    ("control", "masked"), [(0x0004, True), (0x4004, True), (0x8004, False), (0xC004, True)]
)
def test_the_function_is_masked_unless_enabled_and_open(control: int, masked: bool) -> None:
    capability = ConfigSpace(bytes(space(control=control))).msix
    assert capability is not None
    assert capability.function_masked is masked


def test_a_list_that_loops_ends_with_a_word_about_it() -> None:
    config = ConfigSpace(bytes(space(following=MSIX_AT)))
    assert config.msix is not None
    assert config.damage == "capability list: the pointer at 0x71 leads back to 0x70"


def test_a_pointer_into_the_header_ends_the_list() -> None:
    config = ConfigSpace(bytes(space(following=0x10)))
    assert "into the header" in (config.damage or "")


def test_without_the_status_bit_there_is_no_list() -> None:
    data = space()
    data[6] = 0
    assert ConfigSpace(bytes(data)).capabilities == ()
    assert ConfigSpace(bytes(data)).msix is None


def test_bus_mastering_is_bit_2_of_the_command() -> None:
    data = space()
    assert not ConfigSpace(bytes(data)).bus_master
    data[4] = 4
    assert ConfigSpace(bytes(data)).bus_master


@given(st.binary(min_size=256, max_size=256))
def test_no_configuration_space_hangs_or_raises(data: bytes) -> None:
    config = ConfigSpace(data)
    assert len(config.capabilities) <= 48
    assert config.msix is None or config.msix.offset in {entry.offset for entry in config.capabilities}
    assert config.header.vendor_id == int.from_bytes(data[:2], "little")
