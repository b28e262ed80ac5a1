"""What `diff` finds between devices: each kind of change, and what is no change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from msixtool import Dump
from msixtool.errors import UsageError
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.spec import Spec, parse_spec, spec_text
from msixtool.spec.saved import SavedFile
from msixtool.tasks.diff import Change, DeviceView, diff_devices, side_of, spec_alone, spec_side
from msixtool.tasks.diff_sides import sides_of
from tests.conftest import REPOSITORY

SAMPLES = REPOSITORY / "samples"
FACTS = {
    "capability.offset",
    "capability.control",
    "capability.enabled",
    "capability.function_mask",
    "function_masked",
    "capability.table.bar",
    "capability.table.offset",
    "capability.pba.bar",
    "capability.pba.offset",
    "bus_master",
}


def state(vectors: int = 5) -> MsixState:
    return replace(
        MsixState.reset(vectors),
        entries=tuple(MsixEntry(0xFEE00000, 0x4000 + v, v & 1) for v in range(vectors)),
    )


def side(
    made: MsixState | None = None, name: str = "e1000e", instance: int = 0, **facts: object
) -> DeviceView:
    return DeviceView(
        name, instance, made or state(), {key.replace("__", "."): v for key, v in facts.items()}
    )


def brief(changes: list[Change]) -> list[tuple[str, int | None, object, object]]:
    return [(change.field, change.vector, change.a, change.b) for change in changes]


def test_equal_devices_have_no_changes() -> None:
    assert diff_devices([side(bus_master=True)], [side(bus_master=True)]) == []


def test_each_register_of_a_vector_is_a_change_of_its_own() -> None:
    other = state().with_entry(2, MsixEntry(0xFEE01000, 0x4041, 0xFFFF0001))
    assert brief(diff_devices([side()], [side(other)])) == [
        ("address", 2, 0xFEE00000, 0xFEE01000),
        ("data", 2, 0x4002, 0x4041),
        ("control", 2, 0, 0xFFFF0001),
        ("masked", 2, False, True),
    ]


def test_bits_of_vector_control_besides_the_mask_are_no_change_of_the_mask() -> None:
    other = state().with_entry(1, MsixEntry(0xFEE00000, 0x4001, 3))
    assert brief(diff_devices([side()], [side(other)])) == [("control", 1, 1, 3)]


def test_pending_bits_are_changes_of_their_vectors() -> None:
    a, b = state().with_pending([1, 3]), state().with_pending([3, 4])
    assert brief(diff_devices([side(a)], [side(b)])) == [
        ("pending", 1, True, False),
        ("pending", 4, False, True),
    ]


def test_pending_bits_beyond_the_last_vector_are_not_overlooked() -> None:
    stray = replace(state(), pba=b"\x80")
    assert brief(diff_devices([side()], [side(stray)])) == [("pba", None, "00", "80")]


def test_another_number_of_vectors_is_one_change_and_only_common_vectors_are_compared() -> None:
    fewer = replace(state(3), entries=(*state(3).entries[:2], MsixEntry()))
    assert brief(diff_devices([side()], [side(fewer)])) == [
        ("vectors", None, 5, 3),
        ("address", 2, 0xFEE00000, 0),
        ("data", 2, 0x4002, 0),
        ("control", 2, 0, 1),
        ("masked", 2, False, True),
    ]


def test_devices_are_matched_by_name_and_instance_and_the_lonely_are_named() -> None:
    a = [side(name="x"), side(name="y"), side(name="y", instance=1)]
    b = [side(name="y", instance=1), side(name="z"), side(name="y", instance=2)]
    changes = diff_devices(a, b)
    assert [(c.device, c.instance, c.field, c.a is None, c.b is None) for c in changes] == [
        ("x", 0, "device", False, True),
        ("y", 0, "device", False, True),
        ("z", 0, "device", True, False),
        ("y", 2, "device", True, False),
    ]


def test_two_sections_of_one_name_and_instance_are_matched_by_their_order() -> None:
    other = state().with_pending([0])
    changes = diff_devices([side(), side()], [side(), side(other)])
    assert brief(changes) == [("pending", 0, False, True)]


def test_what_one_side_does_not_know_is_not_compared() -> None:
    known = side(capability__offset=0xA0, bus_master=True, capability__control=4)
    assert diff_devices([known], [side()]) == []
    assert diff_devices([side()], [known]) == []
    assert brief(diff_devices([known], [side(bus_master=False)])) == [("bus_master", None, True, False)]


def test_a_device_of_a_stream_knows_its_registers_and_no_positions(sample: Path) -> None:
    with Dump.open(sample) as dump:
        e1000e, net = (side_of(dump.select_one(kind)) for kind in ("e1000e", "virtio-net"))
    assert e1000e.facts.keys() == FACTS
    assert net.facts.keys() == FACTS | {"config_vector", "queue_vectors"}
    assert net.facts["queue_vectors"] == [1, 2, None]
    assert e1000e.facts["capability.control"] == 0x8004


def test_a_stream_without_configuration_space_differs_by_its_capability(sample: Path) -> None:
    with Dump.open(sample) as dump:
        device = dump.select_one("e1000e")
        whole = side_of(device)
        device.capability = device.config = None
        bare = side_of(device)
    changes = diff_devices([whole], [bare])
    assert [(change.field, change.b) for change in changes] == [("capability", None), ("bus_master", None)]
    assert changes[0].a == {
        "offset": 0xA0,
        "control": 0x8004,
        "enabled": True,
        "function_mask": False,
        "table": {"bar": 3, "offset": 0},
        "pba": {"bar": 3, "offset": 0x2000},
    }
    assert diff_devices([bare], [bare]) == []


def test_three_vectors_instead_of_four() -> None:
    paths = (SAMPLES / "q35-net-4-vectors-7.2.mig.xz", SAMPLES / "q35-net-3-vectors-7.2.mig.xz")
    with Dump.open(paths[0]) as four, Dump.open(paths[1]) as three:
        changes = diff_devices(*sides_of(four, three))
    assert brief(changes) == [("vectors", None, 4, 3), ("capability.control", None, 0x8003, 0x8002)]


def test_a_device_is_the_same_wherever_its_section_stands(stream_path: Path) -> None:
    with Dump.open(stream_path) as dump, Dump.open(stream_path) as again:
        for device in again.devices:
            device.item.section_id = 1000 + (device.item.section_id or 0)
            device.offset += 12345
        operands = dump, again
        assert diff_devices(*sides_of(*operands)) == []


def parsed(text: str) -> Spec:
    return parse_spec(text)


def test_a_spec_against_a_stream_is_what_forging_would_change(sample: Path) -> None:
    spec = parsed(
        """
        [[devices]]
        name = "0000:00:04.0/e1000e"
        enabled = false
        bus_master = false
        entries = [{vector = 0, masked = true}]
        pending = [1]
        """
    )
    wanted = [
        ("capability.control", None, 0x8004, 0x4),
        ("capability.enabled", None, True, False),
        ("function_masked", None, False, True),
        ("bus_master", None, True, False),
        ("control", 0, 0, 1),
        ("masked", 0, False, True),
        ("pending", 1, False, True),
        ("pending", 2, True, False),
    ]
    with Dump.open(sample) as dump:
        stream, other = dump, SavedFile("b", 0, spec=spec)
        assert brief(diff_devices(*sides_of(stream, other))) == wanted
        turned = brief(diff_devices(*sides_of(other, stream)))
    assert turned == [(name, vector, b, a) for name, vector, a, b in wanted]


def test_a_spec_that_save_wrote_is_equal_to_its_device(stream_path: Path) -> None:
    with Dump.open(stream_path) as dump:
        for device in dump.devices:
            operands = dump, SavedFile("b", 0, spec=parsed(spec_text(device)))
            assert diff_devices(*sides_of(*operands)) == []


def test_two_specs_are_compared_by_what_they_say() -> None:
    a = parsed('[[devices]]\nname = "x"\nvectors = 4\nenabled = true\nentries = [{vector = 1, data = 7}]')
    b = parsed('[[devices]]\nname = "x"\nvectors = 4\nbus_master = true\npending = [2]')
    sides = sides_of(SavedFile("a", 0, spec=a), SavedFile("b", 0, spec=b))
    assert brief(diff_devices(*sides)) == [("data", 1, 7, 0), ("pending", 2, False, True)]


def test_a_spec_that_names_no_device_of_the_stream_is_a_device_of_its_own(sample: Path) -> None:
    spec = parsed('[[devices]]\nname = "0000:00:09.0/igb"\nvectors = 10')
    with Dump.open(sample) as dump:
        changes = diff_devices(*sides_of(dump, SavedFile("b", 0, spec=spec)))
    assert [(change.device, change.field, change.a) for change in changes] == [
        ("0000:00:09.0/igb", "device", None)
    ]


def test_a_spec_sees_only_what_its_side_can_know() -> None:
    (spec,) = parsed('[[devices]]\nname = "x"\nenabled = true\nbus_master = true\nvectors = 5').devices
    assert spec_side(spec, side()).facts == {}
    assert spec_alone(spec).facts == {
        "capability.control": 0x8004,
        "capability.enabled": True,
        "capability.function_mask": False,
        "function_masked": False,
        "bus_master": True,
    }


def test_a_saved_state_is_compared_with_the_device_that_is_selected(sample: Path) -> None:
    with Dump.open(sample) as dump:
        saved = SavedFile("b", 0, state=dump.select_one("e1000e").state.with_pending([]))
        stream = dump
        for options in ({"device": "04.0"}, {"kind": "e1000e"}):
            changes = diff_devices(*sides_of(stream, saved, **options))
            assert brief(changes) == [("pending", 2, True, False)]
            assert changes[0].device == "0000:00:04.0/e1000e"
        assert brief(diff_devices(*sides_of(saved, stream, device="e1000e"))) == [("pending", 2, False, True)]
        with pytest.raises(UsageError, match=r"no device was chosen: expected one of .*virtio-net"):
            sides_of(stream, saved)


def test_two_saved_states_have_no_name_but_the_kind_that_is_given() -> None:
    a, b = SavedFile("a", 0, state=state()), SavedFile("b", 0, state=state().with_pending([1]))
    assert diff_devices(*sides_of(a, b))[0].device == "device"
    assert diff_devices(*sides_of(a, b, kind="igb"))[0].device == "igb"


def test_a_saved_state_against_a_spec_of_one_device() -> None:
    spec = SavedFile("b", 0, spec=parsed('[[devices]]\nname = "x"\npending = [4]\n[[devices]]\nname = "y"'))
    saved = SavedFile("a", 0, state=state())
    assert brief(diff_devices(*sides_of(saved, spec, device="x"))) == [("pending", 4, False, True)]
    assert diff_devices(*sides_of(spec, saved, device="y")) == []
    with pytest.raises(UsageError, match="no device was chosen: expected one of x, y"):
        sides_of(saved, spec)
    with pytest.raises(UsageError, match="no device matches 'z': expected one of x, y"):
        sides_of(saved, spec, device="z")


def test_a_selection_that_names_nothing_on_either_side_is_refused(sample: Path) -> None:
    spec = parsed('[[devices]]\nname = "x"\nvectors = 1')
    with Dump.open(sample) as dump:
        stream = dump
        for other in (stream, SavedFile("b", 0, spec=spec)):
            with pytest.raises(UsageError, match="'nvme'"):
                sides_of(stream, other, device="nvme")
    with pytest.raises(UsageError, match="'nvme'"):
        sides_of(SavedFile("a", 0, spec=spec), SavedFile("b", 0, spec=spec), device="nvme")


def test_a_selection_may_name_devices_of_one_side_only(sample: Path) -> None:
    with Dump.open(sample) as a, Dump.open(SAMPLES / "q35-net-4-vectors-7.2.mig.xz") as b:
        changes = diff_devices(*sides_of(a, b, device="e1000e"))
    assert [(change.device, change.field, change.b) for change in changes] == [
        ("0000:00:04.0/e1000e", "device", None)
    ]


def test_several_devices_that_a_spec_may_mean_are_listed() -> None:
    spec = SavedFile("b", 0, spec=parsed('[[devices]]\nname = "pcie-root-port"'))
    with (
        Dump.open(SAMPLES / "q35-root-ports-10.0.mig.xz") as dump,
        pytest.raises(
            UsageError, match=r"several devices are 'pcie-root-port': expected one of 0000:00:02.0"
        ),
    ):
        sides_of(dump, spec)


def test_fields_of_other_sections_in_a_spec_are_not_passed_over(sample: Path) -> None:
    spec = parse_spec('{"fields": {"apic/id": 1}}')
    with Dump.open(sample) as dump, pytest.raises(UsageError, match="--fields with the stream"):
        sides_of(dump, SavedFile("b", 0, spec=spec))


entries = st.builds(
    MsixEntry, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)
)


@st.composite
def states(draw: st.DrawFn) -> MsixState:
    vectors = draw(st.integers(1, 20))
    table = draw(st.lists(entries, min_size=vectors, max_size=vectors))
    size = (vectors + 7) // 8
    return MsixState(tuple(table), draw(st.binary(min_size=size, max_size=size)))


@given(states(), states())
def test_changes_are_there_just_where_states_differ_and_turn_around(a: MsixState, b: MsixState) -> None:
    changes = diff_devices([side(a)], [side(b)])
    assert (changes == []) == (a == b)
    turned = [replace(change, a=change.b, b=change.a) for change in diff_devices([side(b)], [side(a)])]
    assert turned == changes
    # What the changes say, done to A, gives B.
    if a.vectors == b.vectors:
        table = list(a.entries)
        pending = set(a.pending)
        for change in changes:
            if change.vector is not None and change.field in ("address", "data", "control"):
                table[change.vector] = table[change.vector]._replace(**{change.field: change.b})
            elif change.field == "pending":
                (pending.add if change.b else pending.discard)(change.vector)
        stray = [bytes.fromhex(change.b) for change in changes if change.field == "pba"] or [a.pba]
        assert MsixState(tuple(table), stray[0]).with_pending(pending) == b
