"""Playing scripts: what counts as a failure, the stories among the samples, and recorded load paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from msixtool import Dump
from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.errors import InputError, MsixtoolError
from msixtool.formats.qevm import ItemType
from msixtool.msix import events as ev
from msixtool.msix.function import PCI_COMMAND, PCI_COMMAND_MASTER
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.stream.items import Item
from msixtool.tasks.load import load_device
from msixtool.tasks.replay.player import play
from msixtool.tasks.replay.record import record_load
from msixtool.tasks.replay.script import read_script
from msixtool.tasks.replay.values import EVENTS
from msixtool.tasks.replay.wording import in_words
from tests.conftest import REPOSITORY, SAMPLES, stream_id

from .replay_build import DEVICE, failures, last, played

STORIES = sorted((REPOSITORY / "samples").glob("*.replay"))


# What fails, and what does not end a script


def test_a_script_goes_on_after_what_fails() -> None:
    steps = played(f"{DEVICE}\nexpect pending 0\nnotify 9\nnotify 0\nexpect message 0")
    assert failures(steps) == [
        ("expect pending 0", "vector 0 is not pending"),
        ("notify 9", "QEMU aborts: no such vector: expected below 4, found 9"),
    ]
    assert [step.line for step in steps[-4:]] == [10, 11, 12, 13]


def test_of_an_action_nothing_follows_where_qemu_has_aborted() -> None:
    """The use notifier of vector 0 fails, which ends QEMU 6.0: vector 1 is never unmasked."""
    before = "qemu-version 6.0\ninit 2\nuse all\nbus-master on\nenable\nnotifiers on failing=0\nset-pending 1"
    step = last("unmask 0-1", before=before)
    kinds = [event.event for event in step.events]
    assert kinds[-1] == "error"
    assert "message" not in kinds


def test_an_error_is_no_failure_where_the_expectations_behind_it_have_it() -> None:
    expected = last("notify 9", "expect not-pending all", "expect error")
    assert expected.ok
    assert failures(played(f"{DEVICE}\nnotify 9\nexpect not-pending all\nexpect error such")) == []
    assert len(failures(played(f"{DEVICE}\nnotify 9\nnotify 0\nexpect error"))) == 2


def test_an_expectation_is_of_the_last_action_and_not_of_a_later_expectation() -> None:
    steps = played(f"{DEVICE}\nread table 8\nexpect no message\nexpect value 0xd0\nmask 0\nexpect value 0xd0")
    assert failures(steps) == [("expect value 0xd0", "the last action read nothing")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stream missing.mig e1000e", "s:2: "),
        ("stream missing.mig e1000e", "missing.mig"),
        ("state missing vectors=4 kind=e1000e", "s:2: missing: cannot be read"),
        ("state short vectors=4 kind=e1000e", "s:2: MSI-X state of 4 vectors is cut short"),
        ("state short vectors=0 kind=e1000e", "state: vectors: expected 1 to 2048, found 0"),
        ("state short vectors=4", "which vectors of a device whose kind is not given are used"),
        ("state short vectors=4 kind=strange", "which vectors of a strange are used at load is not known"),
        ("state short vectors=4 used=4", "used vector is out of range: expected below 4, found 4"),
        ("init 4\nload missing", "s:3: missing: cannot be read"),
        ("init 4\nload short", "s:3: MSI-X state of 4 vectors is cut short"),
        ("init 4\nload /dev/zero", "s:3: /dev/zero: MSI-X state: expected at most 33024 bytes, found more"),
        ("other-capability 0xfff 2\ninit 2", "s:2: other-capability: expected its end at or below 0x1000"),
    ],
)  # fmt: skip
def test_a_file_or_value_that_cannot_be_used_is_an_error_with_the_line(
    tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "short").write_bytes(bytes(3))
    (tmp_path / "s").write_text(f"# first\n{line}\n")
    with pytest.raises(MsixtoolError) as caught:
        list(play(read_script(str(tmp_path / "s"))))
    assert str(caught.value).startswith(f"{tmp_path}/s:")
    assert message in str(caught.value)


def test_settings_and_saved_states_outlive_a_process() -> None:
    first = "qemu-version 7.1\ninit 2\nuse 1\nsave one"
    second = "init 2\nexpect unused 1\nload one\nnotify 9"
    assert failures(played(f"{first}\nnew-process\n{second}")) == []


def test_the_version_is_what_the_caller_says_unless_the_script_does() -> None:
    assert failures(played("init 2\nnotify 9", qemu_version=(7, 1))) == []
    assert len(failures(played("qemu-version 7.2\ninit 2\nnotify 9", qemu_version=(7, 1)))) == 1


def test_a_release_of_the_stable_branch_counts_as_itself() -> None:
    for version, vectors in (("10.0.6", 2), ("10.0.7", 0)):
        steps = played(f"qemu-version {version}\ninit 65538\nexpect vectors {vectors}")
        assert steps[-1].ok


# The stories


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_a_story_holds(story: Path) -> None:
    steps = list(play(read_script(str(story))))
    assert failures(steps) == []
    assert sum(step.is_expectation for step in steps) >= 8


FLIPS = (
    (r"expect not-pending", "expect pending"),
    (r"expect pending", "expect not-pending"),
    (r"expect masked", "expect unmasked"),
    (r"expect unmasked", "expect masked"),
    (r"expect used", "expect unused"),
    (r"expect disabled", "expect enabled"),
    (r"(expect function-masked) on", r"\1 off"),
    (r"(expect function-masked) off", r"\1 on"),
    (r"expect no message", "expect message 0"),
    (r"expect message( \d+).*", r"expect no message\1"),
    (r"(expect control|expect value) .*", r"\1 0x77"),
    (r"(expect layout) .*", r"\1 cap=0x77"),
    (r"(expect lost .*)reason=vector-unused", r"\1reason=bus-master-off"),
    (r"(expect lost .*)reason=bus-master-off", r"\1reason=vector-unused"),
    (r"(expect (lost|messages).*)", r"\1 3"),
    (r"(expect events.*)", r"\1 reset"),
)
"""For each expectation in the stories one that is wrong where it holds."""


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_a_story_fails_where_one_of_its_expectations_is_flipped(story: Path) -> None:
    lines = story.read_text().splitlines()
    for at, line in enumerate(lines):
        if line.startswith("expect "):
            rule, replacement = next(flip for flip in FLIPS if re.match(flip[0], line))
            broken = [*lines[:at], re.sub(rule, replacement, line, count=1), *lines[at + 1 :]]
            steps = played("\n".join(broken), folder=story.parent)
            assert [step.line for step in steps if not step.ok] == [at + 1], broken[at]


def test_the_example_of_the_documentation_holds() -> None:
    example = (REPOSITORY / "docs" / "replay.md").read_text().split("```")[1]
    steps = played(example)
    assert failures(steps) == []
    assert sum(step.is_expectation for step in steps) == 2


# Recorded load paths


@pytest.mark.parametrize("path", SAMPLES, ids=stream_id)
@pytest.mark.parametrize("version", [(5, 2), (11, 1)], ids=str)
def test_a_recorded_load_path_can_be_played(path: Path, version: tuple[int, int]) -> None:
    with Dump.open(path) as dump:
        scripts = [record_load(device, version, source=str(path)) for device in dump.devices]
        loads = [load_device(device, version) for device in dump.devices]
    for script, loaded in zip(scripts, loads, strict=True):
        steps = played(script)
        assert failures(steps) == []
        load = next(step for step in steps if step.action == "load stream")
        assert load.events == loaded.events
        assert sum(step.is_expectation for step in steps) >= 4


ENTRIES = st.builds(
    MsixEntry, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)
)


@st.composite
def states(draw: st.DrawFn, vectors: int) -> MsixState:
    pba = draw(st.binary(min_size=(vectors + 7) // 8, max_size=(vectors + 7) // 8))
    return MsixState(tuple(draw(ENTRIES) for _ in range(vectors)), pba)


@settings(max_examples=60)
@given(
    st.data(),
    st.sampled_from(["e1000e", "virtio-net", "megasas", "something"]),
    st.booleans(),
    st.integers(0, 3),
)
def test_the_load_path_of_any_state_can_be_recorded_and_played(
    data: st.DataObject, kind: str, bus_master: bool, flags: int
) -> None:
    vectors = data.draw(st.integers(1, 12))
    device = device_with(
        data.draw(states(vectors)), kind, control=flags << 14 | vectors - 1, bus_master=bus_master
    )
    loaded = load_device(device)
    steps = played(record_load(device))
    assert failures(steps) == []
    if kind != "something":
        assert next(step.events for step in steps if step.action == "load stream") == loaded.events


def device_with(state: MsixState, kind: str, *, control: int, bus_master: bool) -> MsixDevice:
    """A device of a stream in this state."""
    config = bytearray(256)
    config[PCI_COMMAND] = PCI_COMMAND_MASTER * bus_master
    place = BarPlace(0, 0)
    capability = MsixCapability(0x40, control, place, place)
    item = Item(ItemType.SECTION_FULL, 0, 0, 1, f"0000:00:02.0/{kind}", 0, 1)
    return MsixDevice(item, 0, state, ConfigSpace(bytes(config)), capability=capability)


def test_a_recorded_script_expects_what_would_be_lost_and_what_sent() -> None:
    state = MsixState((MsixEntry(0x1000, 7, 0), MsixEntry(0x2000, 8, 0)), b"\3")
    device = device_with(state, "megasas", control=0x8001, bus_master=True)
    lines = record_load(device, (7, 2), source="here.mig").splitlines()
    assert lines[:2] == [
        "# The load path of 0000:00:02.0/megasas in here.mig, as QEMU 7.2 goes it.",
        "qemu-version 7.2",
    ]
    for line in (
        "use 0",
        "expect messages 0",
        "expect message 0 address=0x1000 data=0x7",
        "expect lost 1",
        "expect lost 1 reason=vector-unused",
        "expect not-pending 0-1",
    ):
        assert line in lines


def test_names_in_a_stream_cannot_add_lines_to_a_recorded_script() -> None:
    scripts = []
    for kind, source in (("x", "a"), ("x\nreset #", "a\nreset #")):
        device = device_with(MsixState.reset(1), kind, control=0x8000, bus_master=True)
        lines = record_load(device, source=source).splitlines()
        scripts.append([line for line in lines if not line.startswith("#")])
    assert scripts[0] == scripts[1]


def test_a_recorded_script_is_short_where_little_happens() -> None:
    device = device_with(MsixState.reset(2048), "e1000e", control=0x87FF, bus_master=True)
    lines = record_load(device).splitlines()
    assert len(lines) < 25
    assert "expect state stream" in lines


def test_a_recorded_script_breaks_lines_that_name_many_vectors() -> None:
    entries = tuple(MsixEntry(0x1000, 1, vector & 1) for vector in range(600))
    state = MsixState(entries, bytes(75)).with_pending(range(1, 600, 2))
    device = device_with(state, "e1000e", control=0x8257, bus_master=True)
    script = record_load(device)
    assert max(map(len, script.splitlines())) <= 100
    assert failures(played(script)) == []


def test_a_device_without_its_configuration_space_cannot_be_recorded() -> None:
    device = device_with(MsixState.reset(1), "e1000e", control=0x8000, bus_master=True)
    device.capability = None
    with pytest.raises(InputError, match="configuration space"):
        record_load(device)


def test_more_vectors_than_there_can_be_are_not_recorded() -> None:
    device = device_with(MsixState.reset(2049), "e1000e", control=0x8000, bus_master=True)
    with pytest.raises(InputError, match="at most 2048, found 2049"):
        record_load(device)


# Events in words


def test_events_in_words_fold_runs_of_vectors() -> None:
    step = last("init 4", "use 0-1 3 3", before="")
    assert list(in_words(step.events)) == [
        "vectors 0-1 used (count 1)",
        "vector 3 used (count 1)",
        "vector 3 used (count 2)",
    ]
    step = last("init 4", "use 0", "use 0-1", before="")
    assert list(in_words(step.events)) == ["vector 0 used (count 2)", "vector 1 used (count 1)"]


WORDS = [
    (ev.StateRestored(), "table and pending bits restored"),
    (ev.FunctionMask(True, False), "cached function mask now set"),
    (ev.FunctionMask(False, False), "cached function mask stays clear"),
    (ev.Mask(1), "vector 1 masked"),
    (ev.Unmask(1), "vector 1 live"),
    (ev.PendingSet(1), "pending bit 1 set"),
    (ev.PendingCleared(1), "pending bit 1 cleared"),
    (ev.MessageEvent(1, 0xFEE01000, 0x4031), "message of vector 1: 0x4031 to 0xfee01000 (CPU 1 vector 0x31)"),
    (ev.MessageEvent(1, 0x1000, 5), "message of vector 1: 0x5 to 0x1000"),
    (ev.MessageDropped(1, ev.VECTOR_UNUSED), "vector 1 LOST: the device has not marked it used"),
    (ev.MessageDropped(1, ev.BUS_MASTER_OFF), "vector 1 LOST: bus mastering is off"),
    (ev.UseNotifier(1, 0x1000, 5), "use notifier of vector 1: 0x5 to 0x1000"),
    (ev.ReleaseNotifier(1), "release notifier of vector 1"),
    (ev.PollNotifier(0, 64), "poll notifier for bits 0 up to 64"),
    (ev.IntxDeasserted(), "INTx deasserted"),
    (ev.VectorUsed(1, 2), "vector 1 used (count 2)"),
    (ev.VectorUnused(1, 0), "vector 1 given up (count 0)"),
    (ev.Reset(), "reset"),
    (ev.Error("EINVAL: no"), "error: EINVAL: no"),
]


@pytest.mark.parametrize(("event", "words"), WORDS)
def test_an_event_in_words(event: ev.MsixEvent, words: str) -> None:
    assert list(in_words([event])) == [words]


def test_every_kind_of_event_has_words() -> None:
    assert {event.event for event, _ in WORDS} == set(EVENTS)
