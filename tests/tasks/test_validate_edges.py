"""Rules at their edges: the last value that is sound and the first that is not, and the offsets between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.formats import msix
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.tasks.rules.catalogue import RuleFinding
from msixtool.tasks.validate import validate
from tests.stream.build import END_MARKER, Stream, config_space, msix_fields, pci_device
from tests.tasks.rule_streams import Editor, sample

CAP = 0x70
NAME = "0000:00:05.0/strange"
ENABLED = 0x8000
RUNNING = b"\0\0\0\x08running".ljust(104, b"\0")


@dataclass
class Built:
    """A stream with one device, and where things stand in it."""

    data: bytes
    config: int
    table: int
    vectors: int

    @property
    def pba(self) -> int:
        return self.table + msix.ENTRY_SIZE * self.vectors


def built(
    vectors: int = 3,
    *,
    state: MsixState | None = None,
    bars: dict[int, int] | None = None,
    bridge: bool = False,
    levels: tuple[int, ...] = (0, 0, 0, 0),
    version: int = 2,
    **config: int,
) -> Built:
    """A device whose configuration space has these registers; `bars` by number."""
    space = bytearray(config_space(vectors, at=CAP, **config))  # type: ignore[arg-type]
    space[0x0E] = int(bridge)
    for bar, value in (bars or {}).items():
        space[0x10 + 4 * bar : 0x14 + 4 * bar] = value.to_bytes(4, "little")
    state = state or MsixState.reset(vectors)
    body = pci_device(bytes(space), levels=levels, version=version) + state.to_vmstate()
    data = bytes(Stream().ram().full(5, NAME, body, msix_fields(bytes(space), state)))
    at = data.index(bytes(space))
    return Built(data, at, at + len(space) + 16, vectors)


def findings(made: Built, folder: Path) -> list[RuleFinding]:
    path = folder / "built.mig"
    path.write_bytes(made.data)
    with Dump.open(str(path), walk=True) as dump:
        return validate(dump)


def rules(made: Built, folder: Path) -> list[str]:
    return [finding.rule for finding in findings(made, folder)]


@pytest.mark.parametrize(
    ("vectors", "table", "pba", "overlap"),
    [
        (4, 0x0, 0x40, False),
        (4, 0x0, 0x38, True),
        (4, 0x1000, 0xFF8, False),
        (4, 0xFF8, 0x1000 - 8, True),
        (64, 0x8, 0x0, False),
        (65, 0x8, 0x0, True),
        (64, 0x1008, 0x1000, False),
        (4, 0x0, 0x40 - 8 + 1, False),
    ],
    ids=str,
)
def test_table_and_pba_may_touch_and_not_overlap(
    vectors: int, table: int, pba: int, overlap: bool, tmp_path: Path
) -> None:
    """The last is in another BAR: the low bits of the register are its number."""
    made = built(vectors, table=table, pba=pba)
    found = findings(made, tmp_path)
    assert [f.rule for f in found] == (["table-pba-overlap"] if overlap else [])
    assert [f.offset for f in found] == ([made.config + CAP + 4] if overlap else [])


@pytest.mark.parametrize(
    ("bir", "bridge", "sound"),
    [
        (0, False, True),
        (5, False, True),
        (6, False, False),
        (7, False, False),
        (1, True, True),
        (2, True, False),
    ],
)
def test_a_function_has_six_bars_and_a_bridge_two(
    bir: int, bridge: bool, sound: bool, tmp_path: Path
) -> None:
    made = built(table=bir, pba=0x800 | bir, bridge=bridge)
    found = findings(made, tmp_path)
    assert [f.rule for f in found] == ([] if sound else ["bar-indicator"] * 2)
    assert [f.offset for f in found] == ([] if sound else [made.config + CAP + 4, made.config + CAP + 8])


@pytest.mark.parametrize(
    ("bars", "bir", "why"),
    [
        ({0: 0xE0000004, 1: 0}, 1, "is the upper half of BAR 0"),
        ({0: 0xE0000004, 1: 0, 2: 0xE0100004}, 3, "is the upper half of BAR 2"),
        ({0: 0xC001, 1: 0xE0000004}, 2, "is the upper half of BAR 1"),
        ({0: 0xE0000004, 1: 1, 2: 0xE0100000}, 2, None),
        ({0: 0xC001, 1: 0xE0000000}, 1, None),
        ({0: 0xC005, 1: 0xE0000000}, 1, None),
        ({0: 0xC001}, 0, "is in I/O space"),
    ],
)
def test_which_bars_can_hold_a_table(bars: dict[int, int], bir: int, why: str | None, tmp_path: Path) -> None:
    found = findings(built(table=bir, pba=0x800 | bir, bars=bars), tmp_path)
    expected = [] if why is None else [f"the table is in BAR {bir}, which {why}"]
    assert [f.message for f in found][:1] == expected


@pytest.mark.parametrize(
    ("bars", "table", "pba", "sound"),
    [
        ({0: 0xE0001000}, 0x0, 0xFF8, True),
        ({0: 0xE0001000}, 0x0, 0x1000, False),
        ({0: 0xE0001000}, 0xFD0, 0x0, True),
        ({0: 0xE0001000}, 0xFD8, 0x0, False),
        ({0: 0xE0000000}, 0x0, 0x10000000, True),
        ({0: 0}, 0x0, 0xFFFFFFF0, True),
        ({0: 0xE0001004, 1: 0x1}, 0x0, 0x1000, False),
        ({0: 0x00000004, 1: 0x1}, 0x0, 0xFFFFFFF0, True),
        ({0: 0xE0001008}, 0x0, 0x1000, False),
    ],
)
def test_table_and_pba_end_within_their_bar(
    bars: dict[int, int], table: int, pba: int, sound: bool, tmp_path: Path
) -> None:
    made = built(table=table, pba=pba, bars=bars)
    found = findings(made, tmp_path)
    assert [f.rule for f in found] == ([] if sound else ["beyond-bar"])
    at = made.config + CAP + (4 if table else 8)
    assert [f.offset for f in found] == ([] if sound else [at])


@pytest.mark.parametrize(
    ("bars", "sound"),
    [({0: 0}, False), ({0: 4}, True), ({0: 4, 1: 1}, False), ({0: 4, 1: 2}, True), ({0: 4, 1: 3}, False)],
)
def test_a_bar_of_64_bits_may_be_larger_than_4_gib(bars: dict[int, int], sound: bool, tmp_path: Path) -> None:
    made = built(65, table=0, pba=0xFFFFFFF8, bars=bars)
    assert rules(made, tmp_path) == ([] if sound else ["beyond-bar"])


@pytest.mark.parametrize(("version", "sound"), [(-1, False), (0, True), (1, True), (2, True), (3, False)])
def test_versions_of_pcidevice(version: int, sound: bool, tmp_path: Path) -> None:
    assert rules(built(version=version), tmp_path) == ([] if sound else ["pci-version"])


def test_the_pin_whose_level_is_wrong(tmp_path: Path) -> None:
    made = built(levels=(1, 0, 7, 1))
    (finding,) = findings(made, tmp_path)
    assert finding.message == "irq state 7 of pin 2: must be 0 or 1"
    assert finding.offset == made.config + 256 + 8


def test_reserved_bits_of_message_control(tmp_path: Path) -> None:
    for bit in (11, 12, 13):
        made = built(control=1 << bit)
        assert [(f.rule, f.offset) for f in findings(made, tmp_path)] == [
            ("message-control-reserved", made.config + CAP + 2)
        ]


@pytest.mark.parametrize(
    ("control", "flags", "found"),
    [(ENABLED, 1, True), (ENABLED, 0x80, False), (0, 1, False)],
)
def test_msi_beside_msix(control: int, flags: int, found: bool, tmp_path: Path) -> None:
    made = built(control=control, others=[(0x05, 0x50, bytes([flags, 0]))])  # type: ignore[arg-type]
    assert rules(made, tmp_path) == (["msi-and-msix"] if found else [])


@pytest.mark.parametrize(("control", "found"), [(ENABLED, True), (ENABLED | 0x4000, True), (0x4000, False)])
def test_bus_mastering_matters_once_msix_is_enabled(control: int, found: bool, tmp_path: Path) -> None:
    assert rules(built(control=control, command=2), tmp_path) == (["bus-master-off"] if found else [])


def test_pending_bits_have_the_offset_of_their_byte(tmp_path: Path) -> None:
    entries = tuple(MsixEntry(0xFEE00000, 0x40, 0) for _ in range(20))
    state = MsixState(entries, bytes([0x01, 0x80, 0x88]))
    made = built(20, state=state, control=ENABLED)
    assert [(f.rule, f.vector, f.offset) for f in findings(made, tmp_path)] == [
        ("pending-unmasked", 0, made.pba),
        ("pending-unmasked", 15, made.pba + 1),
        ("pending-unmasked", 19, made.pba + 2),
        ("pending-beyond-table", 23, made.pba + 2),
    ]


@pytest.mark.parametrize(
    ("control", "why"), [(ENABLED | 0x4000, "the function mask is set"), (0, "MSI-X is not enabled")]
)
def test_why_a_pending_vector_waits(control: int, why: str, tmp_path: Path) -> None:
    made = built(17, state=MsixState.reset(17).with_pending([9]), control=control)
    (finding,) = findings(made, tmp_path)
    assert (finding.rule, finding.vector) == ("pending-function-masked", 9)
    assert finding.offset == made.pba + 1
    assert why in finding.message


def test_a_masked_vector_may_be_pending(tmp_path: Path) -> None:
    assert rules(built(state=MsixState.reset(3).with_pending([1]), control=ENABLED), tmp_path) == []


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        (0xFEE00000, None),
        (0xFEEFFFFC, None),
        (0xFEF00000, "address-not-msi"),
        (0xFEDFFFFC, "address-not-msi"),
        (0x1FEE00000, "address-not-msi"),
        (0, "address-zero"),
        (0xFEE00001, "address-unaligned"),
        (0xFEE00002, "address-unaligned"),
    ],
)
def test_message_addresses_on_x86(address: int, rule: str | None, tmp_path: Path) -> None:
    state = MsixState.reset(3).with_entry(2, MsixEntry(address, 0x40, 0))
    made = built(state=state, control=ENABLED)
    expected = [] if rule is None else [(rule, 2, made.table + 32)]
    assert [(f.rule, f.vector, f.offset) for f in findings(made, tmp_path)] == expected


@pytest.mark.parametrize(("vector", "sound"), [(3, True), (4, False), (0xFFFF, True), (0xFFFE, False)])
def test_config_and_queue_vectors(vector: int, sound: bool, tmp_path: Path) -> None:
    edit = Editor(sample())
    places = edit.virtio("core_offset", -2), edit.queue(2, 14)
    for place in places:
        edit.put(place, *vector.to_bytes(2, "big"))
    found = findings(Built(bytes(edit.data), 0, 0, 0), tmp_path)
    assert [(f.rule, f.vector, f.offset) for f in found] == (
        [] if sound else [("virtio-vector", vector, place) for place in places]
    )
    assert [f.message.split(" is ")[0] for f in found] == (
        [] if sound else ["config_vector", "queue 2 vector"]
    )


@pytest.mark.parametrize(("selected", "sound"), [(1023, True), (1024, False)])
def test_the_queue_that_is_selected(selected: int, sound: bool, tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.virtio("core_offset", 2), *selected.to_bytes(2, "big"))
    found = rules(Built(bytes(edit.data), 0, 0, 0), tmp_path)
    assert found == ([] if sound else ["virtio-queue-select"])


def test_a_queue_without_an_address_that_was_never_used_is_sound(tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.queue(0, 4), *bytes(8))
    assert rules(Built(bytes(edit.data), 0, 0, 0), tmp_path) == []


@pytest.mark.parametrize(("vectors", "rule"), [(2048, None), (2049, "vector-limit")])
def test_as_many_vectors_as_eleven_bits_can_say(vectors: int, rule: str | None, tmp_path: Path) -> None:
    space = config_space(2048, pba=0x8000)
    state = MsixState.reset(vectors)
    body = pci_device(space) + state.to_vmstate()
    stream = Stream().ram().full(5, NAME, body, msix_fields(space, state))
    assert rules(Built(bytes(stream), 0, 0, 0), tmp_path) == ([] if rule is None else [rule])


# The stream


@pytest.mark.parametrize(
    ("rest", "severity", "message"),
    [
        (b"\0", "info", "1 byte behind the end of the stream, all zero as padding is"),
        (b"\0\1", "warning", "2 bytes behind the end of the stream, which QEMU does not read"),
        (bytes(1 << 20) + b"x", "warning", "1048577 bytes behind the end of the stream"),
    ],
    ids=["a zero", "more", "much more"],
)
def test_what_follows_the_end(rest: bytes, severity: str, message: str, tmp_path: Path) -> None:
    made = built()
    (finding,) = findings(Built(made.data + rest, 0, 0, 0), tmp_path)
    assert (finding.rule, finding.severity.value) == ("trailing-bytes", severity)
    assert finding.message.startswith(message)
    assert finding.offset == len(made.data)


def test_a_damaged_vmdesc_is_not_a_missing_one(tmp_path: Path) -> None:
    stream = Stream(vmdesc=False).ram().full(9, "globalstate", RUNNING)
    assert rules(Built(bytes(stream), 0, 0, 0), tmp_path) == ["no-vmdesc"]
    assert rules(Built(bytes(stream) + b"\x06\0\0\0\x09not JSON.", 0, 0, 0), tmp_path) == ["vmdesc"]


def test_a_stream_that_was_cut_off_is_not_said_to_be_unfinished(tmp_path: Path) -> None:
    stream = Stream().ram(end=None)
    data = bytes(stream)[: -len(END_MARKER) - len(stream.description)]
    assert rules(Built(data, 0, 0, 0), tmp_path) == ["no-end-marker"]
    assert rules(Built(bytes(stream), 0, 0, 0), tmp_path) == ["unfinished-section"]


def test_a_section_that_comes_three_times_is_said_twice(tmp_path: Path) -> None:
    stream = Stream()
    for _ in range(3):
        stream.full(9, "globalstate", RUNNING)
    stream.full(10, "globalstate", RUNNING, instance=1)
    assert rules(Built(bytes(stream), 0, 0, 0), tmp_path) == ["duplicate-section"] * 2
