"""What holds of every function with MSI-X, whatever is done to it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings, strategies as st

from msixtool.formats.msix import pba_size
from msixtool.msix import events as ev
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixEntry, MsixState
from tests.msix.build import CAP, ENABLED, FUNCTION_MASK

Action = Callable[[MsixFunction], ev.Events]

entries = st.builds(
    MsixEntry, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
)
controls = st.sampled_from([0, FUNCTION_MASK, ENABLED, ENABLED | FUNCTION_MASK])


@st.composite
def states(draw: st.DrawFn, most: int = 20) -> MsixState:
    table = tuple(draw(st.lists(entries, min_size=1, max_size=most)))
    return MsixState(table, draw(st.binary(min_size=pba_size(len(table)), max_size=pba_size(len(table)))))


@st.composite
def functions(draw: st.DrawFn) -> MsixFunction:
    state = draw(states())
    function = MsixFunction.from_state(
        state,
        control=draw(controls) | state.vectors - 1,
        capability=CAP,
        bus_master=draw(st.booleans()),
        used=draw(st.lists(st.integers(0, state.vectors - 1), max_size=2 * state.vectors)),
        xen=draw(st.booleans()),
    )
    if draw(st.booleans()):
        function.set_vector_notifiers(poll=draw(st.booleans()))
    return function


def vectors() -> st.SearchStrategy[int]:
    return st.integers(0, 24)


def table_write(at: int, value: int, size: int) -> Action:
    return lambda function: function.table_mmio_write(4 * at, value, size)


actions: st.SearchStrategy[Action] = st.one_of(
    vectors().map(lambda v: lambda f: f.notify(v)),
    vectors().map(lambda v: lambda f: f.set_pending(v)),
    vectors().map(lambda v: lambda f: f.clr_pending(v)),
    vectors().map(lambda v: lambda f: f.vector_use(v)),
    vectors().map(lambda v: lambda f: f.vector_unuse(v)),
    st.tuples(vectors(), st.booleans()).map(lambda a: lambda f: f.set_mask(*a)),
    st.tuples(vectors(), st.integers(0, 300)).map(lambda a: lambda f: f.set_message(a[0], 0x1000, a[1])),
    st.builds(table_write, st.integers(0, 90), st.integers(0, 2**64 - 1), st.sampled_from([4, 8])),
    controls.map(lambda control: lambda f: f.write_config(CAP + 2, control, 2)),
    st.sampled_from([0, 4]).map(lambda command: lambda f: f.write_config(4, command, 1)),
    st.sampled_from(
        [
            lambda f: f.reset(),
            lambda f: f.mask_all(),
            lambda f: f.update_function_masked(),
            lambda f: f.unuse_all_vectors(),
            lambda f: f.load(f.save()),
            lambda f: f.set_vector_notifiers(),
            lambda f: f.unset_vector_notifiers(),
            lambda f: f.pba_mmio_read(0).events,
        ]
    ),
)


def masks(function: MsixFunction) -> list[bool]:
    return [function.is_masked(vector) for vector in range(function.nr_vectors_allocated())]


@given(states(), controls, st.booleans())
def test_load_of_a_save_gives_the_same_state_where_nothing_can_be_sent(
    state: MsixState, control: int, bus_master: bool
) -> None:
    """Pending bits at or above n and every reserved bit come through."""
    quiet = MsixState(tuple(entry.with_masked(True) for entry in state.entries), state.pba)
    function = MsixFunction.from_state(MsixState.reset(state.vectors))
    function.restore_config(control, bus_master=bus_master)
    function.load(quiet.to_vmstate())
    assert function.save() == quiet.to_vmstate()


@given(states(), controls, st.booleans(), st.data())
def test_after_a_load_no_vector_is_pending_and_unmasked(
    state: MsixState, control: int, bus_master: bool, data: st.DataObject
) -> None:
    used = data.draw(st.sets(st.integers(0, state.vectors - 1)))
    function = MsixFunction.from_state(MsixState.reset(state.vectors), used=used)
    function.restore_config(control, bus_master=bus_master)
    events = function.load(state.to_vmstate())
    live = [vector for vector in state.pending if not function.is_masked(vector)]
    assert function.state == state.with_pending(set(state.pending) - set(live))
    sent = [event.vector for event in events if isinstance(event, ev.MessageEvent)]
    dropped = {event.vector: event.reason for event in events if isinstance(event, ev.MessageDropped)}
    assert sent == [vector for vector in live if vector in used and bus_master]
    assert dropped == {
        vector: "bus-master-off" if vector in used else "vector-unused"
        for vector in live
        if vector not in sent
    }


@given(functions(), st.lists(actions, max_size=12))
def test_a_second_load_of_what_a_load_left_sends_nothing(function: MsixFunction, steps: list[Action]) -> None:
    for step in steps:
        step(function)
    function.load(function.save())
    saved = function.save()
    again = function.load(saved)
    assert function.save() == saved
    assert not any(isinstance(event, ev.MessageEvent | ev.MessageDropped) for event in again)


@given(states(), st.integers(1, 5), st.data())
def test_notify_while_masked_then_unmask_delivers_exactly_once(
    state: MsixState, times: int, data: st.DataObject
) -> None:
    vector = data.draw(st.integers(0, state.vectors - 1))
    function = MsixFunction.from_state(
        state.with_pending([]), control=ENABLED, bus_master=True, used=[vector]
    )
    function.set_mask(vector, True)
    held = [event for _ in range(times) for event in function.notify(vector)]
    assert held == [ev.PendingSet(vector)]
    entry = state.entries[vector]
    assert function.set_mask(vector, False) == (
        ev.Unmask(vector),
        ev.PendingCleared(vector),
        ev.MessageEvent(vector, entry.address, entry.data),
    )
    assert function.set_mask(vector, False) == ()


@settings(max_examples=200)
@given(functions(), st.lists(actions, max_size=20))
def test_mask_and_unmask_events_are_exactly_the_changes_of_the_effective_mask(
    function: MsixFunction, steps: list[Action]
) -> None:
    for step in steps:
        known = masks(function)
        for event in step(function):
            if isinstance(event, ev.Mask | ev.Unmask):
                assert known[event.vector] is isinstance(event, ev.Unmask)
                known[event.vector] = not known[event.vector]
        assert known == masks(function)


@settings(max_examples=200)
@given(functions(), st.lists(actions, max_size=20))
def test_pending_events_are_exactly_the_changes_of_the_pending_bits(
    function: MsixFunction, steps: list[Action]
) -> None:
    for step in steps:
        count = function.nr_vectors_allocated()
        known = {vector for vector in range(count) if function.is_pending(vector)}
        for event in step(function):
            if isinstance(event, ev.StateRestored):
                break
            if isinstance(event, ev.PendingSet | ev.PendingCleared) and event.vector < count:
                assert (event.vector in known) is isinstance(event, ev.PendingCleared)
                known ^= {event.vector}
        else:
            assert known == {vector for vector in range(count) if function.is_pending(vector)}


@given(functions(), st.lists(actions, max_size=20))
def test_an_error_is_the_last_event_of_an_operation(function: MsixFunction, steps: list[Action]) -> None:
    for step in steps:
        assert not any(isinstance(event, ev.Error) for event in step(function)[:-1])


@given(functions(), st.lists(actions, max_size=20))
def test_every_event_has_plain_numbers_in_its_json(function: MsixFunction, steps: list[Action]) -> None:
    for step in steps:
        for event in step(function):
            form = event.to_json()
            assert form["event"] == event.event
            assert all(isinstance(value, int | str | bool) for value in form.values())
