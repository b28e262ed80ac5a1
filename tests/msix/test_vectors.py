"""Operations on vectors: messages, pending bits, use counters, and what notify makes of them."""

from __future__ import annotations

import pytest

from msixtool.errors import UsageError
from msixtool.msix import events as ev
from msixtool.msix.function import MsixFunction
from tests.msix.build import FUNCTION_MASK, address, data, disabled_function, function, state

OUT_OF_RANGE = [-1, 4, 5, 4000]


def message(vector: int) -> ev.MessageEvent:
    return ev.MessageEvent(vector, address(vector), data(vector))


def test_get_message_gives_address_and_data_of_the_entry() -> None:
    assert function().get_message(3) == (address(3), data(3))


def test_get_message_reads_all_64_bits_of_the_address_and_all_32_of_the_data() -> None:
    device = function()
    device.set_message(1, 2**64 - 1, 2**32 - 1)
    assert device.get_message(1) == (2**64 - 1, 2**32 - 1)


@pytest.mark.parametrize("vector", OUT_OF_RANGE)
def test_get_message_of_no_vector_is_refused(vector: int) -> None:
    with pytest.raises(UsageError, match=f"no such vector: expected below 4, found {vector}"):
        function().get_message(vector)


def test_set_message_changes_one_entry_and_clears_only_its_mask_bit() -> None:
    device = function(masked=[1, 2])
    device.table_mmio_write(16 * 1 + 12, 0xFFFF_FFFF)
    before = device.state
    device.set_message(1, 0x1234, 0x5678)
    entry = device.state.entries[1]
    assert (entry.address, entry.data, entry.control) == (0x1234, 0x5678, 0xFFFF_FFFE)
    assert device.state.with_entry(1, before.entries[1]) == before


def test_set_message_unmasks_without_a_mask_update() -> None:
    """The pending bit stays and no notifier is told: firmware goes behind QEMU's back."""
    device = function(masked=[1], pending=[1])
    device.set_vector_notifiers()
    assert device.set_message(1, 0x1234, 0x5678) == (ev.Unmask(1),)
    assert device.is_pending(1)
    assert not device.is_masked(1)


def test_set_message_under_the_function_mask_changes_no_effective_mask() -> None:
    device = function(masked=[1], control=0x8000 | FUNCTION_MASK)
    assert device.set_message(1, 0, 0) == ()
    assert device.is_masked(1)


def test_set_message_cuts_values_to_their_registers() -> None:
    device = function()
    device.set_message(0, 2**64 + 5, 2**32 + 6)
    assert device.get_message(0) == (5, 6)


@pytest.mark.parametrize("vector", OUT_OF_RANGE)
def test_set_message_of_no_vector_is_an_error_and_changes_nothing(vector: int) -> None:
    device = function()
    before = device.save()
    (error,) = device.set_message(vector, 0, 0)
    assert error == ev.Error(f"undefined: no such vector: expected below 4, found {vector}")
    assert device.save() == before


def test_is_pending_tells_each_bit() -> None:
    device = function(20, pending=[0, 7, 8, 19])
    assert [vector for vector in range(20) if device.is_pending(vector)] == [0, 7, 8, 19]


def test_is_pending_knows_the_padding_to_64_bits_and_refuses_beyond() -> None:
    device = function(4)
    device.set_pending(63)
    assert device.is_pending(63)
    for vector in (64, 65, -1):
        with pytest.raises(UsageError, match=f"no such pending bit: expected below 64, found {vector}"):
            device.is_pending(vector)


def test_set_pending_sets_one_bit_and_says_so_once() -> None:
    device = function(20)
    assert device.set_pending(10) == (ev.PendingSet(10),)
    assert device.set_pending(10) == ()
    assert device.state.pending == (10,)


def test_set_pending_beyond_the_padding_is_an_error() -> None:
    device = function(65)
    assert device.set_pending(127) == (ev.PendingSet(127),)
    assert device.set_pending(128) == (
        ev.Error("undefined: no such pending bit: expected below 128, found 128"),
    )


def test_clr_pending_clears_one_bit_and_sends_nothing() -> None:
    device = function(20, pending=[9, 10, 11])
    assert device.clr_pending(10) == (ev.PendingCleared(10),)
    assert device.clr_pending(10) == ()
    assert device.state.pending == (9, 11)


def test_clr_pending_beyond_the_padding_is_an_error() -> None:
    (error,) = function().clr_pending(64)
    assert isinstance(error, ev.Error)


def test_notify_sends_the_message_of_a_live_vector() -> None:
    device = function()
    assert device.notify(2) == (message(2),)
    assert device.state == state()


def test_notify_of_a_masked_vector_sets_its_pending_bit_once() -> None:
    device = function(masked=[2])
    assert device.notify(2) == (ev.PendingSet(2),)
    assert device.notify(2) == ()
    assert device.state.pending == (2,)


def test_notify_under_the_function_mask_sets_the_pending_bit() -> None:
    assert function(control=0x8000 | FUNCTION_MASK).notify(2) == (ev.PendingSet(2),)


def test_notify_while_msix_is_disabled_sets_the_pending_bit() -> None:
    assert disabled_function().notify(2) == (ev.PendingSet(2),)


def test_notify_looks_at_the_cached_function_mask_and_not_at_enable() -> None:
    assert disabled_function(function_masked=False).notify(2) == (message(2),)


@pytest.mark.parametrize("masked", [[], [2]])
def test_notify_of_an_unused_vector_is_lost_masked_or_not(masked: list[int]) -> None:
    device = function(masked=masked, used=[0, 1, 3])
    assert device.notify(2) == (ev.MessageDropped(2, "vector-unused"),)
    assert device.state.pending == ()


def test_notify_without_bus_mastering_loses_the_message() -> None:
    device = function(bus_master=False, masked=[1])
    assert device.notify(2) == (ev.MessageDropped(2, "bus-master-off"),)
    assert device.notify(1) == (ev.PendingSet(1),)
    assert device.state.pending == (1,)


@pytest.mark.parametrize(
    ("version", "expected"), [((2, 1), message(2)), ((2, 2), ev.MessageDropped(2, "bus-master-off"))]
)
def test_notify_needs_bus_mastering_since_2_2(version: tuple[int, int], expected: ev.MsixEvent) -> None:
    assert function(bus_master=False, qemu_version=version).notify(2) == (expected,)


@pytest.mark.parametrize("vector", OUT_OF_RANGE)
def test_notify_of_no_vector_ends_qemu_since_7_2(vector: int) -> None:
    aborts = ev.Error(f"QEMU aborts: no such vector: expected below 4, found {vector}")
    assert function().notify(vector) == (aborts,)
    assert function(qemu_version=(7, 2)).notify(vector) == (aborts,)
    assert function(qemu_version=(7, 1)).notify(vector) == ()


def test_vector_use_counts() -> None:
    device = function(used=[])
    assert device.vector_use(1) == (ev.VectorUsed(1, 1),)
    assert device.vector_use(1) == (ev.VectorUsed(1, 2),)
    assert device.used == (0, 2, 0, 0)
    assert device.notify(1) == (message(1),)


@pytest.mark.parametrize("vector", OUT_OF_RANGE)
def test_vector_use_of_no_vector_is_refused_and_since_7_2_ends_qemu(vector: int) -> None:
    rest = f"no such vector: expected below 4, found {vector}"
    assert function().vector_use(vector) == (ev.Error(f"QEMU aborts: {rest}"),)
    assert function(qemu_version=(7, 1)).vector_use(vector) == (ev.Error(f"EINVAL: {rest}"),)


def test_vector_unuse_clears_the_pending_bit_at_zero_only() -> None:
    device = function(masked=[1], pending=[1], used=[1, 1])
    assert device.vector_unuse(1) == (ev.VectorUnused(1, 1),)
    assert device.is_pending(1)
    assert device.vector_unuse(1) == (ev.VectorUnused(1, 0), ev.PendingCleared(1))
    assert device.used == (0, 0, 0, 0)


def test_vector_unuse_of_an_unused_vector_does_nothing() -> None:
    device = function(masked=[1], pending=[1], used=[0])
    assert device.vector_unuse(1) == ()
    assert device.is_pending(1)
    assert device.used == (1, 0, 0, 0)


@pytest.mark.parametrize("vector", OUT_OF_RANGE)
def test_vector_unuse_of_no_vector_is_ignored_and_since_7_2_ends_qemu(vector: int) -> None:
    rest = f"no such vector: expected below 4, found {vector}"
    assert function().vector_unuse(vector) == (ev.Error(f"QEMU aborts: {rest}"),)
    assert function(qemu_version=(7, 1)).vector_unuse(vector) == ()


def test_unuse_all_vectors_forgets_counts_and_pending_bits_of_all() -> None:
    device = function(masked=range(4), pending=[1, 2], used=[0, 1, 1])
    device.set_pending(5)
    assert device.unuse_all_vectors() == (
        ev.VectorUnused(0, 0),
        ev.VectorUnused(1, 0),
        ev.PendingCleared(1),
        ev.PendingCleared(2),
    )
    assert device.used == (0, 0, 0, 0)
    assert device.is_pending(5), "bits at or above n stay"


def test_nr_vectors_allocated_is_the_size_of_the_table_whatever_message_control_says() -> None:
    device = function(4)
    device.restore_config(0x8001, bus_master=True)
    assert device.nr_vectors_allocated() == 4
    assert MsixFunction().nr_vectors_allocated() == 0
