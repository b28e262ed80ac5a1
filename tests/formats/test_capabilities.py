"""Registers stand in their capabilities where the specifications have them."""

from __future__ import annotations

from typing import Any

import pytest

from msixtool.formats import capabilities as fmt, sizeof


@pytest.mark.parametrize(
    ("schema", "name", "offset", "size"),
    [
        (fmt.POWER, "Power Management Control/Status", 4, 2),
        (fmt.msi(0), "MSI data", 8, 2),
        (fmt.msi(fmt.MSI_64BIT), "MSI data", 12, 2),
        (fmt.msi(fmt.MSI_MASKABLE), "MSI pending bits", 16, 4),
        (fmt.msi(fmt.MSI_64BIT | fmt.MSI_MASKABLE), "MSI pending bits", 20, 4),
        (fmt.VIRTIO_NOTIFY, "virtio notify multiplier", 16, 4),
        (fmt.RESERVE, "pref64-reserve", 24, 8),
        (fmt.EXPRESS, "Link Status", 0x12, 2),
        (fmt.EXPRESS, "Slot Status", 0x1A, 2),
        (fmt.EXPRESS, "Slot Status 2", 0x3A, 2),
        (fmt.AER, "Root Error Status", 0x30, 4),
        (fmt.AER, "AER TLP prefix log", 0x38, 16),
        (fmt.ADDRESS_TRANSLATION, "ATS Control", 6, 2),
        (fmt.VIRTUAL_FUNCTIONS, "SR-IOV NumVFs", 0x10, 2),
        (fmt.VIRTUAL_FUNCTIONS, "VF BARs", 0x24, 24),
    ],
)
def test_a_register_stands_where_its_specification_has_it(
    schema: Any, name: str, offset: int, size: int
) -> None:
    assert fmt.capability_register(schema, name, 0x40) == (0x40 + offset, size)


def test_capabilities_are_as_long_as_the_specifications_have_them() -> None:
    lengths = {0x3C: fmt.EXPRESS, 0x40: fmt.VIRTUAL_FUNCTIONS, 0x48: fmt.AER, 12: fmt.SERIAL_NUMBER}
    assert {sizeof(schema): schema for schema in lengths.values()} == lengths
