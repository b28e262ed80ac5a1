"""Table and pending bits as the guest reads and writes them."""

from __future__ import annotations

import pytest

from msixtool.msix import events as ev
from tests.msix.build import address, data, function

REFUSED = [(0, 1), (0, 2), (2, 4), (1, 4), (4, 3), (0, 16), (-4, 4), (0, 0)]
"""Address and size of accesses that the memory core refuses."""


def test_table_mmio_read_gives_little_endian_double_words() -> None:
    device = function(masked=[2])
    words = [device.table_mmio_read(32 + 4 * word).value for word in range(4)]
    assert words == [address(2) & 0xFFFF_FFFF, address(2) >> 32, data(2), 1]


def test_table_mmio_read_of_a_quad_word_is_two_double_words() -> None:
    device = function(masked=[2])
    assert device.table_mmio_read(32, 8) == (address(2), ())
    assert device.table_mmio_read(36, 8) == (address(2) >> 32 | data(2) << 32, ())
    assert device.table_mmio_read(40, 8) == (data(2) | 1 << 32, ())


@pytest.mark.parametrize(("at", "size"), REFUSED)
def test_table_mmio_read_of_anything_else_is_0(at: int, size: int) -> None:
    assert function().table_mmio_read(at, size) == (0, ())


@pytest.mark.parametrize("version", [(5, 2), (6, 0), (11, 1)])
def test_table_mmio_read_past_the_table_is_0(version: tuple[int, int]) -> None:
    device = function(4, qemu_version=version)
    for at in (64, 68, 4096):
        assert device.table_mmio_read(at) == (0, ())
    control = int.from_bytes(device.save()[60:64], "little")
    assert device.table_mmio_read(60, 8) == (control, ()), "the half inside is read"


def test_table_mmio_write_changes_one_double_word() -> None:
    device = function(masked=range(4))
    before = device.state
    assert device.table_mmio_write(32 + 4, 0xDEAD_BEEF) == ()
    entry = device.state.entries[2]
    assert entry.address == 0xDEAD_BEEF << 32 | address(2) & 0xFFFF_FFFF
    assert device.state.with_entry(2, before.entries[2]) == before


def test_table_mmio_write_stores_every_bit_as_written() -> None:
    device = function()
    for word in range(4):
        device.table_mmio_write(4 * word, 0xFFFF_FFFF)
    assert device.save()[:16] == b"\xff" * 16


def test_table_mmio_write_to_vector_control_masks_and_unmasks() -> None:
    device = function()
    device.set_vector_notifiers()
    assert device.table_mmio_write(16 + 12, 1) == (ev.Mask(1), ev.ReleaseNotifier(1))
    assert device.notify(1) == (ev.PendingSet(1),)
    assert device.table_mmio_write(16 + 12, 0) == (
        ev.Unmask(1),
        ev.UseNotifier(1, address(1), data(1)),
        ev.PendingCleared(1),
        ev.MessageEvent(1, address(1), data(1)),
    )


def test_table_mmio_write_of_a_quad_word_writes_the_lower_half_first() -> None:
    """Data and Vector Control in one write: the message that follows has the new data."""
    device = function(masked=[1], pending=[1])
    assert device.table_mmio_write(16 + 8, 0x77, 8) == (
        ev.Unmask(1),
        ev.PendingCleared(1),
        ev.MessageEvent(1, address(1), 0x77),
    )


def test_table_mmio_write_across_entries_updates_both_vectors() -> None:
    device = function(masked=[0])
    assert device.table_mmio_write(12, 0x5555_0000_0000, 8) == (ev.Unmask(0),)
    assert device.state.entries[1].address == address(1) & ~0xFFFF_FFFF | 0x5555


def test_table_mmio_write_keeps_no_more_than_the_access() -> None:
    device = function()
    device.table_mmio_write(8, 0xF_1234_5678)
    assert device.state.entries[0].data == 0x1234_5678
    assert device.state.entries[0].control == 0


@pytest.mark.parametrize(("at", "size"), REFUSED)
def test_table_mmio_write_of_anything_else_is_ignored(at: int, size: int) -> None:
    device = function()
    before = device.save()
    assert device.table_mmio_write(at, 0xFFFF_FFFF, size) == ()
    assert device.save() == before


@pytest.mark.parametrize("version", [(5, 2), (6, 0), (11, 1)])
def test_table_mmio_write_past_the_table_is_ignored(version: tuple[int, int]) -> None:
    device = function(4, qemu_version=version)
    before = device.save()
    assert device.table_mmio_write(64, 0) == ()
    assert device.save() == before
    assert device.table_mmio_write(60, 1 | 1 << 32, 8) == (ev.Mask(3),), "the half inside is written"
    assert len(device.save()) == 65


def test_pba_mmio_read_gives_pending_bits_padded_to_64() -> None:
    device = function(70, masked=range(70), pending=[0, 33, 69])
    assert [device.pba_mmio_read(at).value for at in (0, 4, 8, 12)] == [1, 2, 1 << 5, 0]
    assert device.pba_mmio_read(0, 8) == (1 | 1 << 33, ())


@pytest.mark.parametrize(("at", "size"), REFUSED)
def test_pba_mmio_read_of_anything_else_is_0_and_polls_nobody(at: int, size: int) -> None:
    device = function(pending=range(4))
    device.set_vector_notifiers(poll=True)
    assert device.pba_mmio_read(at, size) == (0, ())


def test_pba_mmio_read_past_the_pending_bits_is_0_and_polls_nobody() -> None:
    device = function()
    device.set_vector_notifiers(poll=True)
    for at in (8, 12, 4096):
        assert device.pba_mmio_read(at) == (0, ())
    assert len(device.pba_mmio_read(4, 8).events) == 1, "the half inside is polled"


@pytest.mark.parametrize(
    ("version", "at", "start", "end"),
    [
        ((7, 2, 16), 4, 32, 64),
        ((10, 0), 0, 0, 32),
        ((10, 0), 4, 32, 64),
        ((10, 0), 8, 64, 96),
        ((10, 0), 12, 96, 100),
        ((11, 1), 4, 32, 64),
        ((9, 2), 0, 0, 32),
        ((9, 2), 4, 32, 36),
        ((9, 2), 12, 96, 44),
    ],
)
def test_pba_mmio_read_polls_a_range_that_was_too_short_before_10_0(
    version: tuple[int, int], at: int, start: int, end: int
) -> None:
    device = function(100, qemu_version=version)
    device.set_vector_notifiers(poll=True)
    assert device.pba_mmio_read(at).events == (ev.PollNotifier(start, end),)


def test_pba_mmio_read_polled_backwards_far_into_the_pending_bits_before_10_0() -> None:
    device = function(512, qemu_version=(9, 2))
    device.set_vector_notifiers(poll=True)
    assert device.pba_mmio_read(36).events == (ev.PollNotifier(288, 68),)


def test_pba_mmio_read_polls_no_vector_at_or_above_n() -> None:
    device = function(4)
    device.set_vector_notifiers(poll=True)
    assert device.pba_mmio_read(0).events == (ev.PollNotifier(0, 4),)
    old = function(4, qemu_version=(9, 2))
    old.set_vector_notifiers(poll=True)
    assert old.pba_mmio_read(0).events == (ev.PollNotifier(0, 4),)


def test_pba_mmio_read_of_a_quad_word_polls_twice() -> None:
    device = function(64)
    device.set_vector_notifiers(poll=True)
    assert device.pba_mmio_read(0, 8).events == (ev.PollNotifier(0, 32), ev.PollNotifier(32, 64))


def test_pba_mmio_read_without_a_poll_notifier_asks_nobody() -> None:
    device = function()
    device.set_vector_notifiers(poll=False)
    assert device.pba_mmio_read(0).events == ()


def test_pba_mmio_write_is_ignored() -> None:
    device = function(masked=range(4), pending=[1])
    assert device.pba_mmio_write(0, 0xFFFF_FFFF) == ()
    assert device.pba_mmio_write(0, 0, 8) == ()
    assert device.state.pending == (1,)


def test_pba_mmio_write_ended_qemu_before_2_5() -> None:
    (error,) = function(qemu_version=(2, 4)).pba_mmio_write(0, 0)
    assert error == ev.Error("QEMU aborts: no handler for writes to the pending bits")
    assert function(qemu_version=(2, 5)).pba_mmio_write(0, 0) == ()


@pytest.mark.parametrize(("at", "read"), [(1, 0x77665544000000), (2, 0x665544330000), (3, 0x5544332200)])
def test_of_eight_bytes_that_are_not_aligned_the_double_word_inside_counts(at: int, read: int) -> None:
    device = function()
    before = device.save()
    device.table_mmio_write(at, 0x8877665544332211, 8)
    assert device.save()[:4] == before[:4]
    assert device.save()[8:] == before[8:]
    assert device.table_mmio_read(at, 8).value == read
    assert int.from_bytes(device.save()[4:8], "little") == read >> 8 * (4 - at) & 0xFFFFFFFF
