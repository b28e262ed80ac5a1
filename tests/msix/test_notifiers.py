"""Use, release and poll notifiers: how those who handle interrupts outside QEMU learn of vectors."""

from __future__ import annotations

import pytest

from msixtool.msix import events as ev
from msixtool.msix.function import MsixFunction
from tests.msix.build import ENABLED, FUNCTION_MASK, address, data, disabled_function, function


def use(vector: int) -> ev.UseNotifier:
    return ev.UseNotifier(vector, address(vector), data(vector))


def test_set_vector_notifiers_tells_of_the_live_vectors() -> None:
    assert function(masked=[1, 2]).set_vector_notifiers() == (use(0), use(3))


def test_set_vector_notifiers_polls_all_vectors_last() -> None:
    assert function(2, masked=[1]).set_vector_notifiers(poll=True) == (use(0), ev.PollNotifier(0, 2))
    assert disabled_function(2).set_vector_notifiers(poll=True) == (ev.PollNotifier(0, 2),)
    assert MsixFunction().set_vector_notifiers(poll=True) == (ev.PollNotifier(0, 0),)


@pytest.mark.parametrize("control", [0, FUNCTION_MASK, ENABLED | FUNCTION_MASK])
def test_set_vector_notifiers_looks_at_configuration_space_and_not_at_the_flag(control: int) -> None:
    device = function(control=control, function_masked=False)
    assert not device.is_masked(0)
    assert device.set_vector_notifiers() == ()


def test_set_vector_notifiers_tells_of_no_vector_that_the_flag_masks() -> None:
    device = function(control=ENABLED, function_masked=True)
    assert device.set_vector_notifiers() == ()


def test_set_vector_notifiers_is_undone_last_first_when_one_fails() -> None:
    device = function(6, masked=[1])
    assert device.set_vector_notifiers(failing=[4]) == (
        use(0),
        use(2),
        use(3),
        use(4),
        ev.ReleaseNotifier(3),
        ev.ReleaseNotifier(2),
        ev.ReleaseNotifier(0),
        ev.Error("the use notifier failed for vector 4"),
    )
    assert device.set_mask(0, True) == (ev.Mask(0),), "nothing is registered any more"


@pytest.mark.parametrize(
    ("version", "polls"),
    [((7, 2, 7), True), ((7, 2, 8), False), ((8, 1), True), ((8, 2), False), ((11, 1), False)],
)
def test_set_vector_notifiers_left_the_poll_notifier_behind_before_8_2(
    version: tuple[int, ...], polls: bool
) -> None:
    device = function(4, qemu_version=version)
    events = device.set_vector_notifiers(poll=True, failing=[0])
    assert events == (use(0), ev.Error("the use notifier failed for vector 0"))
    assert bool(device.pba_mmio_read(0).events) is polls


def test_set_vector_notifiers_does_not_ask_about_masked_vectors_that_would_fail() -> None:
    device = function(2, masked=[1])
    assert device.set_vector_notifiers(failing=[1]) == (use(0),)


def test_use_notifier_that_fails_in_a_mask_update_ends_qemu() -> None:
    device = function(3, masked=[0, 1, 2], pending=[1])
    device.set_vector_notifiers(failing=[1])
    assert device.set_mask(1, False) == (
        ev.Unmask(1),
        use(1),
        ev.Error("QEMU aborts: the use notifier failed for vector 1 in a mask update"),
    )
    assert device.is_pending(1)


def test_use_notifier_that_fails_stops_the_operation_on_all_vectors() -> None:
    device = disabled_function(3)
    device.set_vector_notifiers(failing=[1])
    kinds = [event.event for event in device.write_config(0xA2, ENABLED, 2)]
    assert kinds == [
        "function-mask",
        "intx-deasserted",
        "unmask",
        "use-notifier",
        "unmask",
        "use-notifier",
        "error",
    ]


def test_unset_vector_notifiers_releases_the_live_vectors() -> None:
    device = function(masked=[1, 2])
    device.set_vector_notifiers(poll=True)
    assert device.unset_vector_notifiers() == (ev.ReleaseNotifier(0), ev.ReleaseNotifier(3))
    assert device.set_mask(0, True) == (ev.Mask(0),)
    assert device.pba_mmio_read(0).events == ()


def test_unset_vector_notifiers_looks_at_configuration_space_and_not_at_the_flag() -> None:
    """After a reset the flag is still clear, yet no vector is released: the unmasked one is forgotten."""
    device = function(2)
    device.set_vector_notifiers()
    device.reset()
    device.set_mask(0, False)
    assert not device.is_masked(0)
    assert device.unset_vector_notifiers() == ()


def test_unset_vector_notifiers_ends_qemu_where_none_are_set() -> None:
    error = ev.Error("QEMU aborts: no vector notifiers are set")
    device = function()
    assert device.unset_vector_notifiers() == (error,)
    device.set_vector_notifiers()
    device.unset_vector_notifiers()
    assert device.unset_vector_notifiers() == (error,)


def test_release_notifier_is_told_of_a_vector_that_is_masked() -> None:
    device = function()
    device.set_vector_notifiers()
    assert device.set_mask(2, True) == (ev.Mask(2), ev.ReleaseNotifier(2))
