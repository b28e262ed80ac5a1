"""Every rule has a stream that breaks it and one that does not; real streams break none that is an error."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from msixtool import Dump
from msixtool.errors import UsageError
from msixtool.tasks.finding import Severity
from msixtool.tasks.rules.catalogue import RULES, RuleFinding
from msixtool.tasks.validate import is_valid, validate
from tests.conftest import REPOSITORY, STREAMS, stream_id, unpacked
from tests.stream.ways import MAPPED, MAPPED_OFFSET, RARE
from tests.tasks.rule_streams import CASES, FILES, SAMPLE, Case, Editor, sample


def findings(path: Path, data: bytes, **options: object) -> list[RuleFinding]:
    """What is wrong with these bytes as a file."""
    path.write_bytes(data)
    with Dump.open(str(path), walk=True) as dump:
        return validate(dump, **options)  # type: ignore[arg-type]


def of(rule: str, found: Sequence[RuleFinding]) -> list[RuleFinding]:
    return [finding for finding in found if finding.rule == rule]


def test_the_first_sample_breaks_no_rule() -> None:
    with Dump.open(str(SAMPLE), walk=True) as dump:
        assert validate(dump) == []


def test_every_rule_has_a_case() -> None:
    assert set(CASES) | set(FILES) == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_a_stream_that_breaks_it_and_one_that_does_not(rule: str, tmp_path: Path) -> None:
    case: Case = CASES[rule]
    base = case.base()
    assert of(rule, findings(tmp_path / "sound", base)) == []
    broken = case.edit(Editor(base))
    (first, *_) = of(rule, findings(tmp_path / "broken", broken))
    assert first.severity is RULES[rule].severity
    assert (first.device or "").rpartition("/")[2] == (case.device or "").rpartition("/")[2]
    assert first.vector == case.vector
    assert first.offset is not None or rule == "ram-fill"
    assert first.offset is None or 0 <= first.offset <= len(broken)
    assert first.message
    assert "\n" not in first.message


@pytest.mark.parametrize("rule", FILES)
def test_a_container_that_breaks_it(rule: str, tmp_path: Path) -> None:
    (first, *_) = of(rule, findings(tmp_path / "broken", FILES[rule]()))
    assert first.severity is RULES[rule].severity


@pytest.mark.parametrize("path", STREAMS, ids=stream_id)
def test_a_stream_of_a_sound_qemu_has_no_errors(path: Path) -> None:
    with Dump.open(str(path), walk=True) as dump:
        assert [str(f) for f in validate(dump, severity=Severity.ERROR)] == []


@pytest.mark.parametrize("path", [p for p in RARE if "channel" not in p.name], ids=lambda p: p.name[:-12])
def test_rare_streams_have_no_errors(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "rare"
    file.write_bytes(unpacked(path))
    offset = MAPPED_OFFSET if path.name.startswith(MAPPED) else 0
    with Dump.open(str(file), offset=offset, walk=True) as dump:
        found = validate(dump)
    assert {finding.rule for finding in found} <= {"no-vmdesc", "unfinished-section"}


# What a finding says


def edited(rule: str, tmp_path: Path) -> RuleFinding:
    case = CASES[rule]
    return of(rule, findings(tmp_path / rule, case.edit(Editor(case.base()))))[0]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("pending-unmasked", "pending though enabled and unmasked"),
        ("virtio-vector", "queue 1 vector is 4, the device has 4 vectors"),
        ("table-pba-overlap", "in BAR 3 the table (0x0, 80 bytes) overlaps the PBA (0x40, 8 bytes)"),
        ("bar-indicator", "the table is in BAR 7, which does not exist: the function has 6"),
        ("beyond-bar", "the PBA ends at 0x2008, and BAR 3 has 0x1000 bytes at most"),
        ("capability-list", "the pointer at 0xa1 leads back to 0xa0"),
        ("vector-count", "expected 9 by the MSI-X capability, found 5 in the state"),
        ("pending-beyond-table", "the device has 5"),
        ("footer-mismatch", "expected section_id"),
        ("no-end-marker", "expected 0x00, found nothing"),
        ("pci-version", "PCIDevice version_id 3: QEMU takes 0 to 2"),
        ("irq-state", "irq state 2 of pin 0: must be 0 or 1"),
    ],
)
def test_a_message_says_what_is_wrong(rule: str, message: str, tmp_path: Path) -> None:
    assert message in edited(rule, tmp_path).message


def test_offsets_are_those_of_the_bytes_at_fault(tmp_path: Path) -> None:
    place = Editor(sample())
    expected = {
        "pending-unmasked": place.pba(),
        "address-zero": place.entry(1, 0),
        "vector-control-reserved": place.entry(3, 12),
        "virtio-vector": place.queue(1, 14),
        "virtio-queue-select": place.virtio("core_offset", 2),
        "bus-master-off": place.config("e1000e", 4),
        "beyond-bar": place.capability("e1000e", 8),
        "pci-version": place.config("e1000e", -4),
        "irq-state": place.config("e1000e", 4096),
        "footer-mismatch": place.item("fw_cfg").end - 5,
    }
    assert {rule: edited(rule, tmp_path).offset for rule in expected} == expected


@pytest.mark.parametrize("bar", [0x00000001, 0xC0000005])
def test_a_table_in_io_space(bar: int, tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.config("e1000e", 0x1C), *bar.to_bytes(4, "little"))
    (first, *_) = of("bar-indicator", findings(tmp_path / "io", bytes(edit.data)))
    assert first.message == "the table is in BAR 3, which is in I/O space"


def test_a_table_in_the_upper_half_of_a_bar(tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.flip(edit.config("e1000e", 0x10 + 4), 0x04)
    edit.put(edit.capability("e1000e", 4), 2)
    (first,) = of("bar-indicator", findings(tmp_path / "half", bytes(edit.data)))
    assert first.message == "the table is in BAR 2, which is the upper half of BAR 1"


def test_a_64_bit_bar_has_room_by_all_its_address(tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.config("e1000e", 0x1C), 0x04, 0, 0, 0, 0x01, 0, 0, 0)
    assert of("beyond-bar", findings(tmp_path / "wide", bytes(edit.data))) == []


# Severities that depend


@pytest.mark.parametrize("rule", ["address-zero", "address-not-msi", "address-unaligned"])
def test_an_address_weighs_less_while_the_function_is_masked(rule: str, tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.flip(edit.capability("e1000e", 3), 0x80)
    found = findings(tmp_path / "off", CASES[rule].edit(edit))
    assert [(f.severity, f.vector) for f in of(rule, found)] == [(Severity.INFO, 1)]


def test_an_address_of_a_masked_vector_matters_only_if_it_is_unaligned(tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.entry(2, 0), *bytes(8))
    edit.put(edit.entry(4, 0), 2, 0, 0, 0)
    found = findings(tmp_path / "masked", bytes(edit.data))
    assert [(f.rule, f.severity, f.vector) for f in found] == [("address-unaligned", Severity.INFO, 4)]


def test_zeros_behind_the_end_are_padding(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path / "padded", sample() + bytes(4096))
    assert (finding.rule, finding.severity) == ("trailing-bytes", Severity.INFO)
    assert finding.offset == len(sample())
    assert "4096 bytes behind the end of the stream, all zero" in finding.message


def test_addresses_are_read_as_interrupts_on_x86_alone(tmp_path: Path) -> None:
    """On aarch64 messages go to GICv2m, at another address."""
    (path,) = (path for path in RARE if path.name.startswith("aarch64"))
    assert of("address-not-msi", findings(tmp_path / "arm", unpacked(path))) == []


# What is chosen


def test_rules_can_be_ignored(tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.entry(1, 0), *bytes(8))
    edit.flip(edit.pba(), 0x41)
    data = bytes(edit.data)
    rules = ["address-zero", "pending-unmasked", "pending-beyond-table"]
    assert [f.rule for f in findings(tmp_path / "all", data)] == rules
    assert [f.rule for f in findings(tmp_path / "some", data, ignore=rules[1:])] == rules[:1]


def test_an_unknown_rule_cannot_be_ignored(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no rule 'nonsense': expected one of .*pending-unmasked"):
        findings(tmp_path / "x", sample(), ignore=["nonsense"])


@pytest.mark.parametrize(
    ("severity", "rules"),
    [
        (Severity.INFO, ["pci-version", "pending-unmasked", "trailing-bytes", "vector-control-reserved"]),
        (Severity.WARNING, ["pci-version", "pending-unmasked"]),
        (Severity.ERROR, ["pci-version"]),
    ],
)
def test_findings_below_a_severity_are_left_out(severity: Severity, rules: list[str], tmp_path: Path) -> None:
    edit = Editor(sample())
    edit.put(edit.config("e1000e", -1), 3)
    edit.flip(edit.entry(3, 13), 0x01)
    edit.flip(edit.pba(), 0x01)
    found = findings(tmp_path / "x", bytes(edit.data) + bytes(16), severity=severity)
    assert sorted(f.rule for f in found) == rules
    assert not is_valid(found)


@settings(max_examples=40, deadline=None)
@given(offset=st.integers(8, len(sample()) - 1), mask=st.integers(1, 255))
def test_what_is_damage_to_other_commands_is_an_error(offset: int, mask: int) -> None:
    data = bytearray(sample())
    data[offset] ^= mask
    with Dump.open(io.BytesIO(data), walk=True) as dump:
        assert not (dump.damage and is_valid(validate(dump)))


# The documentation


def test_every_rule_is_documented_with_its_severity() -> None:
    text = (REPOSITORY / "docs" / "validate.md").read_text()
    documented = dict(re.findall(r"^### `([a-z0-9-]+)` \((error|warning|info)", text, re.MULTILINE))
    assert documented == {rule.id: rule.severity.value for rule in RULES.values()}


def test_vectors_that_nothing_uses_count_as_soon_as_there_is_a_driver(tmp_path: Path) -> None:
    for status, expected in ((3, 1), (1, 0), (0, 0)):
        edit = Editor(CASES["vectors-unused"].edit(Editor(sample())))
        edit.put(edit.virtio("core_offset"), status)
        for queue in range(2):
            data = edit.put(edit.queue(queue, 4), *bytes(8))
        assert len(of("vectors-unused", findings(tmp_path / str(status), data))) == expected, status
