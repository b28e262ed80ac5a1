"""The life of a function with MSI-X: init, reset, save, load, uninit."""

from __future__ import annotations

import pytest

from msixtool.errors import FormatError, TruncatedError, UsageError
from msixtool.msix import events as ev
from msixtool.msix.bar import Placement
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.msix.versions import Behaviour
from tests.msix.build import CAP, ENABLED, FUNCTION_MASK, address, data, disabled_function, function, state

OPERATIONS = [
    *("get_message", "set_message", "is_pending", "set_pending", "clr_pending", "notify"),
    *("vector_masked", "is_masked", "handle_mask_update", "set_mask", "mask_all"),
    *("update_function_masked", "write_config", "present", "enabled"),
    *("table_mmio_read", "table_mmio_write", "pba_mmio_read", "pba_mmio_write"),
    *("init", "init_exclusive_bar", "uninit", "uninit_exclusive_bar", "save", "load", "reset"),
    *("vector_use", "vector_unuse", "unuse_all_vectors", "nr_vectors_allocated"),
    *("set_vector_notifiers", "unset_vector_notifiers"),
]
"""The operations of hw/pci/msix.c, less `msix_`."""

TABLE = Placement(3, 0, 0x4000)
PBA = Placement(3, 0x2000, 0x4000)


def message(vector: int) -> ev.MessageEvent:
    return ev.MessageEvent(vector, address(vector), data(vector))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_qemu_is_there_under_its_name_and_explained(name: str) -> None:
    method = getattr(MsixFunction, name)
    assert method.__name__ == name
    assert method.__doc__


def test_placements_and_versions_are_values() -> None:
    assert len({TABLE, PBA, Placement(3, 0, 0x4000)}) == 2
    assert len({Behaviour((7, 2)), Behaviour((7, 2)), Behaviour()}) == 2


def test_present_is_having_msix() -> None:
    assert function().present()
    assert not MsixFunction().present()
    assert not MsixFunction().enabled()
    assert MsixFunction().function_masked
    assert not MsixFunction().bus_master
    assert not MsixFunction.from_state(MsixState.reset(0), control=0x8000).enabled()


def test_from_state_holds_what_it_was_given_and_sets_nothing_off() -> None:
    given = state(4, masked=[1], pending=[0])
    device = MsixFunction.from_state(
        given, control=0x8003, capability=0x70, bus_master=True, used=[0, 2, 2], qemu_version=(5, 2)
    )
    assert device.state == given
    assert (device.control, device.capability, device.bus_master) == (0x8003, 0x70, True)
    assert device.used == (1, 0, 2, 0)
    assert device.behaviour.version == (5, 2)
    assert not device.function_masked
    assert device.write_config(0x72, ENABLED, 2) == (ev.FunctionMask(False, False), ev.IntxDeasserted())


def test_from_state_is_as_after_a_reset_unless_told_otherwise() -> None:
    device = MsixFunction.from_state(MsixState.reset(5))
    assert (device.control, device.capability, device.bus_master) == (4, 0x40, False)
    assert device.function_masked
    assert device.used == (0,) * 5
    assert device.behaviour.version == (11, 1)
    assert device.table is None
    assert device.pba is None
    device = MsixFunction.from_state(MsixState.reset(0))
    assert (device.control, device.capability) == (0, 0)


def test_from_state_refuses_a_used_vector_out_of_range() -> None:
    for vector in (4, 5, -1):
        with pytest.raises(
            UsageError, match=f"used vector is out of range: expected below 4, found {vector}"
        ):
            MsixFunction.from_state(MsixState.reset(4), used=[vector])


def test_from_state_with_a_stale_flag_reports_changes_from_it() -> None:
    device = disabled_function(2, function_masked=False)
    assert device.update_function_masked() == (ev.FunctionMask(True, False), ev.Mask(0), ev.Mask(1))


def test_init_makes_a_disabled_function_with_all_vectors_masked() -> None:
    device = MsixFunction(bus_master=True)
    assert device.init(5, TABLE, PBA, 0xA0) == ()
    assert device.present()
    assert device.nr_vectors_allocated() == 5
    assert device.state == MsixState.reset(5)
    assert (device.control, device.capability) == (4, 0xA0)
    assert (device.table, device.pba) == (TABLE, PBA)
    assert device.function_masked
    assert device.used == (0,) * 5
    assert device.bus_master
    assert device.pba_mmio_read(4).events == ()


def test_init_puts_the_capability_behind_the_header() -> None:
    device = MsixFunction()
    device.init(1, TABLE, PBA)
    assert device.capability == 0x40


def test_init_puts_the_capability_in_the_first_gap() -> None:
    device = MsixFunction(capabilities={0x40: 9, 0x54: 4, 0xA0: 12})
    device.init(1, TABLE, PBA)
    assert device.capability == 0x58, "0x4c to 0x53 is too small"


def test_init_leaves_masks_to_the_flag_and_to_xen() -> None:
    device = MsixFunction(xen=True)
    assert device.init(2, TABLE, PBA) == (ev.Unmask(0), ev.Unmask(1)), "data 0 is a pirq"


REFUSALS = [
    ({"msi_supported": False}, 5, TABLE, PBA, 0, "ENOTSUP: the interrupt controller does not support MSI-X"),
    ({}, 0, TABLE, PBA, 0, "EINVAL: number of vectors: expected 1 to 2048, found 0"),
    ({}, 2049, TABLE, PBA, 0, "EINVAL: number of vectors: expected 1 to 2048, found 2049"),
    ({}, 65541, TABLE, PBA, 0, "EINVAL: number of vectors: expected 1 to 2048, found 65541"),
    ({}, 5, TABLE, Placement(3, 0x48, 0x4000), 0, "EINVAL: table and PBA overlap in BAR 3"),
    ({}, 5, Placement(3, 0x2000, 0x4000), PBA, 0, "EINVAL: table and PBA overlap in BAR 3"),
    ({}, 5, Placement(1, 0, 79), PBA, 0, "EINVAL: table ends at 0x50 in BAR 1 of 0x4f bytes"),
    ({}, 5, TABLE, Placement(3, 0x2000, 0x2007), 0, "EINVAL: PBA ends at 0x2008 in BAR 3 of 0x2007 bytes"),
    ({}, 5, Placement(3, 4, 0x4000), PBA, 0, "EINVAL: table at 0x4 is not aligned to 8 bytes"),
    ({}, 5, TABLE, Placement(3, 0x2001, 0x4000), 0, "EINVAL: PBA at 0x2001 is not aligned to 8 bytes"),
    ({"capabilities": {0xA8: 8}}, 5, TABLE, PBA, 0xA0, "EINVAL: capability at 0xa0 overlaps another one"),
    (
        {"capabilities": {0x40: 0xC0}},
        5,
        TABLE,
        PBA,
        0,
        "QEMU aborts: no room for the capability in configuration space",
    ),
]


@pytest.mark.parametrize(("options", "vectors", "table", "pba", "cap_pos", "reason"), REFUSALS)
def test_init_is_refused_with_its_reason(
    options: dict[str, object], vectors: int, table: Placement, pba: Placement, cap_pos: int, reason: str
) -> None:
    device = MsixFunction(**options)  # type: ignore[arg-type]
    assert device.init(vectors, table, pba, cap_pos) == (ev.Error(reason),)
    assert not device.present()
    assert (device.capability, device.table, device.pba) == (0, None, None)


def test_init_of_a_function_with_msix_is_refused() -> None:
    device = function()
    assert device.init(5, TABLE, PBA) == (ev.Error("EINVAL: the function has MSI-X already"),)
    assert device.nr_vectors_allocated() == 4


def test_init_cut_the_number_of_vectors_to_16_bits_before_10_2() -> None:
    device = MsixFunction(qemu_version=(10, 1))
    device.init(65536 + 5, TABLE, PBA)
    assert device.nr_vectors_allocated() == 5
    assert device.control == 4


def test_init_exclusive_bar_places_table_and_pending_bits_in_one_bar() -> None:
    device = MsixFunction()
    assert device.init_exclusive_bar(4, 1) == ()
    assert device.control == 3
    assert device.table == Placement(1, 0, 4096)
    assert device.pba == Placement(1, 0x800, 4096)
    assert device.state == MsixState.reset(4)
    assert device.capability == 0x40


def test_init_exclusive_bar_is_refused_as_init_is() -> None:
    assert MsixFunction(msi_supported=False).init_exclusive_bar(4, 1) == (
        ev.Error("ENOTSUP: the interrupt controller does not support MSI-X"),
    )
    device = MsixFunction()
    assert device.init_exclusive_bar(2049, 1) == (
        ev.Error("EINVAL: number of vectors: expected 1 to 2048, found 2049"),
    )
    assert not device.present()


@pytest.mark.parametrize("name", ["uninit", "uninit_exclusive_bar"])
def test_uninit_takes_msix_away(name: str) -> None:
    device = MsixFunction()
    device.init_exclusive_bar(4, 1)
    device.vector_use(0)
    device.vector_use(3)
    device.set_pending(3)
    assert getattr(device, name)() == (
        ev.VectorUnused(0, 0),
        ev.VectorUnused(3, 0),
        ev.PendingCleared(3),
    )
    assert not device.present()
    assert device.nr_vectors_allocated() == 0
    assert (device.capability, device.control, device.table, device.pba) == (0, 0, None, None)
    assert device.save() == b""
    assert getattr(device, name)() == ()
    assert device.init_exclusive_bar(2, 1) == ()


def test_reset_clears_everything_but_the_use_counters() -> None:
    device = function(4, masked=[1], pending=[1, 3], control=ENABLED | FUNCTION_MASK, used=[0, 1, 1])
    assert device.reset() == (ev.Reset(), ev.PendingCleared(1), ev.PendingCleared(3))
    assert device.state == MsixState.reset(4)
    assert device.control == 3
    assert device.used == (1, 2, 0, 0)
    assert device.bus_master


def test_reset_clears_the_padding_bits_too() -> None:
    device = function(4)
    device.set_pending(5)
    device.set_pending(60)
    device.reset()
    assert device.pba_mmio_read(0, 8).value == 0


def test_reset_does_not_compute_the_function_mask_anew() -> None:
    device = function(2, masked=[1])
    assert device.reset() == (ev.Reset(), ev.Mask(0))
    assert not device.enabled()
    assert not device.function_masked
    assert device.set_mask(0, False) == (ev.Unmask(0),)


def test_reset_releases_every_vector_where_the_flag_is_clear_even_masked_ones() -> None:
    device = function(2, masked=[1])
    device.set_vector_notifiers()
    assert device.reset() == (ev.Reset(), ev.Mask(0), ev.ReleaseNotifier(0), ev.ReleaseNotifier(1))


def test_reset_releases_nothing_where_the_flag_is_set() -> None:
    device = function(2, control=ENABLED | FUNCTION_MASK)
    device.set_vector_notifiers()
    assert device.reset() == (ev.Reset(),)


def test_reset_without_msix_does_nothing() -> None:
    assert MsixFunction().reset() == ()


def test_save_is_the_table_then_the_pending_bits_unpadded() -> None:
    given = state(9, masked=[1], pending=[0, 8])
    device = function(9, masked=[1], pending=[0, 8])
    assert device.save() == given.to_vmstate()
    assert len(device.save()) == 9 * 16 + 2
    assert MsixFunction().save() == b""


def fresh(vectors: int, used: range | None = None, **options: object) -> MsixFunction:
    """A device in the destination of a migration: reset, configuration space not restored yet."""
    return MsixFunction.from_state(
        MsixState.reset(vectors),
        capability=CAP,
        used=range(vectors) if used is None else used,
        **options,  # type: ignore[arg-type]
    )


def test_load_sends_what_is_pending_and_unmasked() -> None:
    device = fresh(4)
    device.restore_config(ENABLED | 3, bus_master=True)
    assert device.load(state(4, masked=[1, 2], pending=[0, 1]).to_vmstate()) == (
        ev.StateRestored(),
        ev.FunctionMask(False, True),
        ev.Unmask(0),
        ev.PendingCleared(0),
        message(0),
        ev.Unmask(3),
    )
    assert device.state == state(4, masked=[1, 2], pending=[1])


def test_load_loses_the_interrupt_of_a_vector_that_is_not_used_yet() -> None:
    device = fresh(4, used=range(1))
    device.restore_config(ENABLED | 3, bus_master=True)
    events = device.load(state(4, pending=[0, 1]).to_vmstate())
    assert ev.MessageDropped(1, "vector-unused") in events
    assert message(0) in events
    assert device.state.pending == ()


def test_load_loses_the_interrupt_without_bus_mastering() -> None:
    device = fresh(1)
    device.restore_config(ENABLED, bus_master=False)
    assert device.load(state(1, pending=[0]).to_vmstate())[-2:] == (
        ev.PendingCleared(0),
        ev.MessageDropped(0, "bus-master-off"),
    )


@pytest.mark.parametrize("control", [0, FUNCTION_MASK, ENABLED | FUNCTION_MASK])
def test_load_keeps_pending_bits_under_the_function_mask(control: int) -> None:
    device = fresh(4)
    device.restore_config(control | 3, bus_master=True)
    given = state(4, pending=[0, 3])
    assert device.load(given.to_vmstate()) == (ev.StateRestored(), ev.FunctionMask(True, True))
    assert device.state == given


def test_load_without_restored_configuration_leaves_every_vector_masked() -> None:
    assert fresh(4).load(state(4, pending=[0]).to_vmstate())[1:] == (ev.FunctionMask(True, True),)


def test_load_clears_pending_bits_below_n_first_and_overwrites_saved_bytes() -> None:
    device = function(4, masked=range(4), pending=[1, 2])
    device.set_pending(6)
    device.set_pending(60)
    assert device.load(state(4, masked=range(4), pending=[2]).to_vmstate()) == (
        ev.PendingCleared(1),
        ev.PendingCleared(2),
        ev.StateRestored(),
        ev.FunctionMask(False, False),
    )
    assert device.state.pending == (2,)
    assert not device.is_pending(6), "in the last byte that the stream holds"
    assert device.is_pending(60), "beyond it"


def test_load_keeps_bits_at_or_above_n() -> None:
    device = fresh(4)
    given = MsixState(state(4, masked=range(4)).entries, b"\xf1")
    device.restore_config(ENABLED | 3, bus_master=True)
    device.load(given.to_vmstate())
    assert device.save() == given.to_vmstate()
    assert device.pba_mmio_read(0).value == 0xF1


def test_load_keeps_every_bit_of_the_table() -> None:
    device = fresh(2)
    given = MsixState((MsixEntry(2**64 - 1, 2**32 - 1, 2**32 - 1),) * 2, b"\x00")
    device.load(given.to_vmstate())
    assert device.state == given


def test_load_takes_every_vector_for_masked_before() -> None:
    """Into a device that is live already: notifiers hear again, though no mask changes."""
    device = function(2, masked=[1])
    device.set_vector_notifiers()
    assert device.load(state(2, pending=[1]).to_vmstate()) == (
        ev.StateRestored(),
        ev.FunctionMask(False, False),
        ev.UseNotifier(0, address(0), data(0)),
        ev.Unmask(1),
        ev.UseNotifier(1, address(1), data(1)),
        ev.PendingCleared(1),
        message(1),
    )


def test_load_into_a_live_device_masks_without_releasing() -> None:
    device = function(1)
    device.set_vector_notifiers()
    assert device.load(state(1, masked=[0]).to_vmstate()) == (
        ev.StateRestored(),
        ev.FunctionMask(False, False),
        ev.Mask(0),
    )


@pytest.mark.parametrize("vectors", [1, 8, 9, 64, 65, 120, 129, 2048])
def test_load_of_a_save_keeps_the_last_vector_and_the_size_of_memory(vectors: int) -> None:
    device = fresh(vectors)
    given = state(vectors, masked=range(vectors), pending=[0, vectors - 1])
    assert device.load(given.to_vmstate())[0] == ev.StateRestored()
    assert device.save() == given.to_vmstate()
    padding = (vectors + 63) // 64 * 64
    assert device.set_pending(padding - 1) == (() if padding == vectors else (ev.PendingSet(padding - 1),))
    assert isinstance(device.set_pending(padding)[0], ev.Error)


def test_load_uses_the_restored_enable_and_not_the_size_of_the_table() -> None:
    device = fresh(4)
    device.restore_config(ENABLED | 1, bus_master=True)
    assert ev.Unmask(3) in device.load(state(4).to_vmstate())


def test_load_refuses_data_of_another_size() -> None:
    device = function(4)
    before = device.save()
    with pytest.raises(TruncatedError):
        device.load(bytes(64))
    with pytest.raises(FormatError, match="expected 65 bytes, found 66"):
        device.load(bytes(66))
    assert device.save() == before
    assert device.notify(0) == (message(0),), "the device goes on"


def test_load_takes_a_state_as_well_as_its_bytes() -> None:
    given = state(4, masked=[1], pending=[0, 1])
    loaded = [(*(device := function(4)).load(saved), device.save()) for saved in (given, given.to_vmstate())]
    assert loaded[0] == loaded[1]
    with pytest.raises(FormatError, match="expected 4 vectors, found 5"):
        function(4).load(state(5))


def test_load_without_msix_reads_nothing() -> None:
    assert MsixFunction().load(b"") == ()
    with pytest.raises(FormatError):
        MsixFunction().load(b"\x00")


@pytest.mark.parametrize(
    ("version", "support_first"), [((5, 2), True), ((10, 0, 6), True), ((10, 0, 7), False), ((10, 2), False)]
)
def test_without_msi_support_an_exclusive_bar_asks_for_it_first_but_since_10_2(
    version: tuple[int, ...], support_first: bool
) -> None:
    device = MsixFunction(qemu_version=version, msi_supported=False)
    (error,) = device.init_exclusive_bar(0, 1)
    assert isinstance(error, ev.Error)
    assert error.message.startswith("ENOTSUP") is support_first


def test_a_capability_position_has_8_bits() -> None:
    device = MsixFunction()
    place = Placement(0, 0, 4096)
    assert device.init(4, place, Placement(0, 0x800, 4096), 0x1FD) == ()
    assert device.capability == 0xFD
