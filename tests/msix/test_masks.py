"""Masks: the vector's own bit, the cached function mask, Message Control, and what a change sets off."""

from __future__ import annotations

import pytest

from msixtool.errors import UsageError
from msixtool.msix import events as ev
from msixtool.msix.function import MsixFunction
from tests.msix.build import (
    CAP,
    ENABLE_BYTE,
    ENABLED,
    FUNCTION_MASK,
    address,
    data,
    disabled_function,
    function,
)

PIRQ_DATA = 0xABCD_EF00
"""Message data whose x86 vector (the low byte) is 0: on Xen a pirq."""


def message(vector: int) -> ev.MessageEvent:
    return ev.MessageEvent(vector, address(vector), data(vector))


def use(vector: int) -> ev.UseNotifier:
    return ev.UseNotifier(vector, address(vector), data(vector))


def test_vector_masked_is_the_mask_bit_or_the_function_mask_asked_about() -> None:
    device = function(masked=[1])
    asked = [device.vector_masked(vector, fmask) for vector in (0, 1) for fmask in (False, True)]
    assert asked == [False, True, True, True]


def test_vector_masked_looks_at_bit_0_of_vector_control_alone() -> None:
    device = function()
    device.table_mmio_write(12, 0xFFFF_FFFE)
    assert not device.vector_masked(0, False)


def test_vector_masked_of_no_vector_is_refused() -> None:
    with pytest.raises(UsageError, match="no such vector"):
        function().vector_masked(4, True)


@pytest.mark.parametrize(
    ("version", "masked"), [((2, 5), True), ((2, 6), False), ((11, 1), False)], ids=["2.5", "2.6", "11.1"]
)
def test_vector_masked_is_never_so_for_a_pirq_of_xen_since_2_6(
    version: tuple[int, int], masked: bool
) -> None:
    device = function(masked=[0, 1], xen=True, qemu_version=version)
    device.table_mmio_write(8, PIRQ_DATA)
    assert device.vector_masked(0, False) is masked
    assert device.vector_masked(0, True) is masked
    assert device.vector_masked(1, False), "data with an x86 vector is no pirq"


def test_vector_masked_knows_no_pirqs_without_xen() -> None:
    device = function(masked=[0])
    device.table_mmio_write(8, PIRQ_DATA)
    assert device.vector_masked(0, False)


def test_writing_pirq_data_unmasks_the_vector_on_xen() -> None:
    device = function(masked=[0], pending=[0], xen=True)
    assert device.table_mmio_write(8, PIRQ_DATA) == (
        ev.Unmask(0),
        ev.PendingCleared(0),
        ev.MessageEvent(0, address(0), PIRQ_DATA),
    )


def test_is_masked_uses_the_cached_function_mask() -> None:
    device = function(masked=[1])
    device.restore_config(0, bus_master=True)
    assert [device.is_masked(vector) for vector in range(4)] == [False, True, False, False]
    device.update_function_masked()
    assert all(device.is_masked(vector) for vector in range(4))


def test_handle_mask_update_does_nothing_where_the_mask_is_as_before() -> None:
    device = function(masked=[1], pending=[0, 1])
    assert device.handle_mask_update(0, False) == ()
    assert device.handle_mask_update(1, True) == ()
    assert device.state.pending == (0, 1)


def test_handle_mask_update_to_unmasked_tells_the_notifier_then_sends_what_is_pending() -> None:
    device = function(pending=[0])
    device.set_vector_notifiers()
    assert device.handle_mask_update(0, True) == (use(0), ev.PendingCleared(0), message(0))
    assert device.handle_mask_update(1, True) == (use(1),)


def test_handle_mask_update_to_masked_releases_and_keeps_the_pending_bit() -> None:
    device = function(masked=[0], pending=[0])
    device.set_vector_notifiers()
    assert device.handle_mask_update(0, False) == (ev.ReleaseNotifier(0),)
    assert device.is_pending(0)


def test_handle_mask_update_clears_the_pending_bit_even_where_the_message_is_lost() -> None:
    device = function(pending=[0], used=[])
    assert device.handle_mask_update(0, True) == (ev.PendingCleared(0), ev.MessageDropped(0, "vector-unused"))


def test_handle_mask_update_of_no_vector_is_an_error() -> None:
    assert function().handle_mask_update(4, True) == (
        ev.Error("undefined: no such vector: expected below 4, found 4"),
    )


def test_set_mask_masks_and_unmasks_one_vector() -> None:
    device = function(pending=[])
    assert device.set_mask(1, True) == (ev.Mask(1),)
    assert device.notify(1) == (ev.PendingSet(1),)
    assert device.set_mask(1, True) == ()
    assert device.set_mask(1, False) == (ev.Unmask(1), ev.PendingCleared(1), message(1))
    assert device.set_mask(1, False) == ()


def test_set_mask_keeps_the_other_bits_of_vector_control() -> None:
    device = function()
    device.table_mmio_write(12, 0xFFFF_FFFE)
    device.set_mask(0, True)
    assert device.state.entries[0].control == 0xFFFF_FFFF
    device.set_mask(0, False)
    assert device.state.entries[0].control == 0xFFFF_FFFE


def test_set_mask_of_no_vector_is_refused_and_since_7_2_ends_qemu() -> None:
    rest = "no such vector: expected below 4, found 4"
    assert function().set_mask(4, True) == (ev.Error(f"QEMU aborts: {rest}"),)
    assert function(qemu_version=(7, 1)).set_mask(4, True) == (ev.Error(f"EINVAL: {rest}"),)


def test_mask_all_masks_every_vector_and_releases_the_live_ones() -> None:
    device = function(masked=[1, 2])
    device.set_vector_notifiers()
    assert device.mask_all() == (ev.Mask(0), ev.ReleaseNotifier(0), ev.Mask(3), ev.ReleaseNotifier(3))
    assert all(entry.control == 1 for entry in device.state.entries)


@pytest.mark.parametrize(
    ("control", "masked"),
    [(0, True), (FUNCTION_MASK, True), (ENABLED, False), (ENABLED | FUNCTION_MASK, True), (0x3FFF, True)],
)
def test_update_function_masked_is_set_unless_enabled_without_function_mask(
    control: int, masked: bool
) -> None:
    for was in (False, True):
        device = function(control=0, function_masked=was)
        device.restore_config(control, bus_master=True)
        assert device.update_function_masked()[0] == ev.FunctionMask(masked, was)
        assert device.function_masked is masked


def test_update_function_masked_changes_effective_masks_but_runs_no_mask_update() -> None:
    device = disabled_function(2, pending=[0], masked=[1])
    device.set_vector_notifiers()
    device.restore_config(ENABLED, bus_master=True)
    assert device.update_function_masked() == (ev.FunctionMask(False, True), ev.Unmask(0))
    device.restore_config(0, bus_master=True)
    assert device.update_function_masked() == (ev.FunctionMask(True, False), ev.Mask(0))
    assert device.is_pending(0)


def test_write_config_enables_and_sends_what_is_pending() -> None:
    device = disabled_function(masked=[1], pending=[0, 1])
    assert device.write_config(CAP + 2, ENABLED, 2) == (
        ev.FunctionMask(False, True),
        ev.IntxDeasserted(),
        ev.Unmask(0),
        ev.PendingCleared(0),
        message(0),
        ev.Unmask(2),
        ev.Unmask(3),
    )
    assert device.enabled()


def test_write_config_of_the_function_mask_updates_every_vector_with_the_old_function_mask() -> None:
    device = function(masked=[1])
    device.set_vector_notifiers()
    assert device.write_config(ENABLE_BYTE, 0xC0, 1) == (
        ev.FunctionMask(True, False),
        ev.IntxDeasserted(),
        ev.Mask(0),
        ev.ReleaseNotifier(0),
        ev.Mask(2),
        ev.ReleaseNotifier(2),
        ev.Mask(3),
        ev.ReleaseNotifier(3),
    )
    assert device.write_config(ENABLE_BYTE, 0x80, 1) == (
        ev.FunctionMask(False, True),
        ev.IntxDeasserted(),
        ev.Unmask(0),
        use(0),
        ev.Unmask(2),
        use(2),
        ev.Unmask(3),
        use(3),
    )


def test_write_config_that_changes_nothing_still_takes_intx_down() -> None:
    device = function(pending=[0])
    device.set_vector_notifiers()
    assert device.write_config(ENABLE_BYTE, 0x80, 1) == (ev.FunctionMask(False, False), ev.IntxDeasserted())
    assert device.is_pending(0)


def test_write_config_that_disables_updates_the_flag_and_runs_no_mask_update() -> None:
    device = function(2, masked=[1])
    device.set_vector_notifiers()
    assert device.write_config(CAP + 2, 0, 2) == (ev.FunctionMask(True, False), ev.Mask(0))
    assert device.function_masked
    assert not device.enabled()


def test_write_config_writes_enable_and_function_mask_alone() -> None:
    device = disabled_function(4)
    device.write_config(CAP + 2, 0xFFFF, 2)
    assert device.control == ENABLED | FUNCTION_MASK | 3
    device.write_config(CAP + 2, 0, 2)
    assert device.control == 3


@pytest.mark.parametrize(
    ("at", "value", "length", "counts"),
    [
        (CAP + 3, 0x80, 1, True),
        (CAP + 2, 0x8000, 2, True),
        (CAP, 0x8000_0000, 4, True),
        (CAP + 3, 0x80, 4, True),
        (CAP + 2, 0x80, 1, False),
        (CAP + 1, 0x8080, 2, False),
        (CAP + 4, 0x8080_8080, 4, False),
        (CAP - 1, 0x8080_8080, 4, False),
    ],
)
def test_write_config_counts_only_where_it_covers_the_enable_byte(
    at: int, value: int, length: int, counts: bool
) -> None:
    device = disabled_function()
    assert bool(device.write_config(at, value, length)) is counts
    assert device.enabled() is counts


@pytest.mark.parametrize(
    ("at", "value", "length", "bus_master"),
    [
        (0x04, 0x04, 1, True),
        (0x04, 0x0407, 2, True),
        (0x04, 0xFFFB, 2, False),
        (0x02, 0x0004_0000, 4, True),
        (0x05, 0x04, 1, None),
        (0x06, 0x04, 2, None),
    ],
)
def test_write_config_of_the_command_register_sets_bus_mastering(
    at: int, value: int, length: int, bus_master: bool | None
) -> None:
    for before in (False, True):
        device = function(bus_master=before)
        assert device.write_config(at, value, length) == ()
        assert device.bus_master is (before if bus_master is None else bus_master)


@pytest.mark.parametrize("length", [-1, 0, 3, 5, 8, 10**12])
def test_write_config_of_no_access_width_is_an_error(length: int) -> None:
    assert function().write_config(CAP, 0, length) == (
        ev.Error(f"width of a configuration write: expected 1, 2 or 4 bytes, found {length}"),
    )


def test_write_config_without_msix_has_only_bus_mastering_to_change() -> None:
    device = MsixFunction()
    assert device.write_config(0x04, 0x04, 1) == ()
    assert device.write_config(0x03, 0xC0, 1) == ()
    assert device.bus_master
    assert device.control == 0


def test_restore_config_leaves_the_cached_function_mask() -> None:
    device = disabled_function(pending=[0])
    device.restore_config(ENABLED | 3, bus_master=False)
    assert device.enabled()
    assert device.control == ENABLED | 3
    assert not device.bus_master
    assert device.function_masked
    assert device.is_masked(0)


def test_enabled_is_bit_15_of_message_control() -> None:
    assert function(control=ENABLED).enabled()
    assert not function(control=0x7FFF).enabled()
