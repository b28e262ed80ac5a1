"""What `diff --fields` finds in sections: values by path, buffers by place, and what always moves."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.qemu.moving import is_moving, moving_bytes
from msixtool.tasks.diff_fields import GAP, MAX_RUNS, FieldChange, diff_fields, differing_runs
from msixtool.tasks.fields import find, leaf_bytes, read_section, select_sections
from tests.conftest import REPOSITORY, unpacked
from tests.stream.build import Stream

SAMPLES = REPOSITORY / "samples"


def opened(data: bytes) -> Dump:
    return Dump.open(io.BytesIO(data))


def patched(data: bytes, *changes: tuple[str, str, Any]) -> bytes:
    """A stream with some fields set: section, path, value (of a buffer, offset and bytes)."""
    made = bytearray(data)
    with opened(data) as dump:
        for pattern, path, value in changes:
            section = read_section(dump, select_sections(dump, pattern)[0])
            leaf = find(section, path)
            at = section.item.data_offset + leaf.offset
            if isinstance(value, tuple):
                at, raw = at + value[0], bytes.fromhex(value[1])
            else:
                raw = leaf_bytes(leaf, value)
            made[at : at + len(raw)] = raw
    return bytes(made)


def brief(changes: tuple[FieldChange, ...]) -> list[tuple[Any, ...]]:
    return [(c.section.rsplit("/", 1)[-1], c.field, c.offset, c.a, c.b, c.moving) for c in changes]


def test_a_stream_does_not_differ_from_itself(stream_path: Path) -> None:
    with Dump.open(stream_path) as a, Dump.open(stream_path) as b:
        found = diff_fields(a, b)
    assert found.changes == ()
    assert found.damage == ()


def test_each_value_that_differs_is_named_by_its_path(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(
        data,
        ("apic", "lvt[3]", 7),
        ("e1000e", "core.mac[10]", 0xDEAD),
        ("xhci", "xhci/intr[2]/msix_used", True),
        ("virtio-net", "virtio/virtio/extra_state/virtio_pci/modern_state/queues[5]/desc[1]", 9),
    )
    with opened(data) as a, opened(changed) as b:
        assert brief(diff_fields(a, b).changes) == [
            ("apic", "lvt[3]", None, 65536, 7, False),
            (
                "virtio-net",
                "virtio/virtio/extra_state/virtio_pci/modern_state/queues[5]/desc[1]",
                None,
                0,
                9,
                False,
            ),
            ("e1000e", "core.mac[10]", None, 0, 0xDEAD, False),
            ("xhci", "xhci/intr[2]/msix_used", None, False, True, False),
        ]


def test_a_buffer_differs_where_its_bytes_do(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(data, ("e1000e", "parent_obj[0]/config[1]", (0x10C, "aabb")))
    with opened(data) as a, opened(changed) as b:
        assert brief(diff_fields(a, b).changes) == [
            ("e1000e", "parent_obj[0]/config[1]", 0x10C, "3020", "aabb", False)
        ]


def test_msix_states_that_are_compared_by_vector_are_not_compared_again(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(
        data, ("e1000e", "parent_obj[1]/msix", (0, "77")), ("virtio-net", "virtio/msix", (0, "77"))
    )
    with opened(data) as a, opened(changed) as b:
        devices = {(device.name, device.instance) for device in a.devices}
        assert diff_fields(a, b, by_vector=devices).changes == ()
        assert [change.field for change in diff_fields(a, b).changes] == ["virtio/msix", "parent_obj[1]/msix"]


def test_sections_that_one_side_lacks_are_named_whole(sample: Path) -> None:
    with Dump.open(sample) as a, Dump.open(SAMPLES / "q35-net-4-vectors-7.2.mig.xz") as b:
        found = [change for change in diff_fields(a, b).changes if change.field is None]
        turned = [change for change in diff_fields(b, a).changes if change.field is None]
    assert [(change.section, change.a, change.b) for change in found] == [
        ("0000:00:03.0/virtio-blk", {"version": 2, "length": 45605}, None),
        ("0000:00:04.0/e1000e", {"version": 1, "length": 136061}, None),
        ("0000:00:05.0/xhci", {"version": 1, "length": 5343}, None),
    ]
    assert [change.b for change in turned] == [change.a for change in found]


def test_another_version_of_a_section_is_a_change(sample: Path) -> None:
    data = unpacked(sample)
    header = b"\x04apic\0\0\0\0\0\0\0"
    at = data.index(header) + len(header)
    changed = data[:at] + bytes([data[at] + 1]) + data[at + 1 :]
    with opened(data) as a, opened(changed) as b:
        assert brief(diff_fields(a, b).changes) == [
            ("apic", None, None, {"version": 3}, {"version": 4}, False)
        ]


def test_fields_that_only_one_vmdesc_has_are_null_on_the_other_side() -> None:
    paths = (SAMPLES / "q35-virtio-e1000e-7.2.mig.xz", SAMPLES / "q35-nvme-igb-11.1.mig.xz")
    with Dump.open(paths[0]) as old, Dump.open(paths[1]) as new:
        changes = {change.field: change for change in diff_fields(old, new, pattern="globalstate").changes}
    assert changes["has_vm_was_suspended"].a is None
    assert changes["has_vm_was_suspended"].b == 1
    assert changes["runstate"].offset is None


def test_only_the_sections_that_are_selected_are_compared(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(data, ("apic", "id", 1), ("e1000e", "core.mac[0]", 1))
    with opened(data) as a, opened(changed) as b:
        assert {change.section for change in diff_fields(a, b, pattern="04.0").changes} == {
            "0000:00:04.0/e1000e"
        }


def test_a_stream_without_vmdesc_is_read_by_that_of_the_other(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(data, ("apic", "id", 1))
    with opened(changed) as dump:
        assert dump.index.description is not None
        bare = changed[: dump.index.description.offset]
    with opened(data) as a, opened(bare) as b:
        assert brief(diff_fields(a, b).changes) == [("apic", "id", None, 0, 1, False)]
        assert brief(diff_fields(b, a).changes) == [("apic", "id", None, 1, 0, False)]


def test_clocks_and_timers_are_marked_as_moving(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(
        data,
        ("timer", "cpu_clock_offset", 12345),
        ("apic", "timer_expiry", 5),
        ("i8254", "channels[0]/next_transition_time", 5),
        ("hpet", "timer[1]/qemu_timer", 5),
        ("e1000e", "core.tidv.timer", 5),
    )
    with opened(data) as a, opened(changed) as b:
        changes = diff_fields(a, b).changes
    assert len(changes) == 5
    assert all(change.moving for change in changes)


def test_the_time_in_the_cmos_moves_and_the_rest_of_it_does_not(sample: Path) -> None:
    data = unpacked(sample)
    time = ("mc146818rtc", "cmos_data", (0, "59"))
    other = ("mc146818rtc", "cmos_data", (1, "11"))
    with opened(data) as a, opened(patched(data, time)) as b:
        assert [(change.offset, change.moving) for change in diff_fields(a, b).changes] == [(0, True)]
    with opened(data) as a, opened(patched(data, time, other)) as b:
        # Bytes side by side of which one does not move are one change, and it counts.
        assert [(change.offset, change.b, change.moving) for change in diff_fields(a, b).changes] == [
            (0, "5911", False)
        ]
    with opened(data) as a, opened(patched(data, time, ("mc146818rtc", "cmos_data", (3, "11")))) as b:
        assert [(change.offset, change.moving) for change in diff_fields(a, b).changes] == [
            (0, True),
            (3, False),
        ]


def test_what_no_clock_touches_does_not_move() -> None:
    assert not is_moving("apic", "id", "uint8")
    assert not is_moving("e1000e", "core.mac[3]", "uint32")
    assert not is_moving("mc146818rtc", "cmos_data", "buffer")
    assert moving_bytes("e1000e", "parent_obj[0]/config[1]") is None
    assert is_moving("anything", "some_timer", "timer")
    assert is_moving("ICH9LPC", "pm/acpi_regs.tmr.overflow_time", "int64")


def test_differing_bytes_that_are_near_each_other_are_one_run() -> None:
    a = bytes(40)
    b = bytearray(a)
    b[3] = b[3 + GAP + 1] = b[3 + 2 * GAP + 3] = 1
    assert list(differing_runs(a, bytes(b), GAP, 99)) == [(3, 9), (14, 15)]
    assert list(differing_runs(a, bytes(b), 0, 99)) == [(3, 4), (8, 9), (14, 15)]
    assert list(differing_runs(a, bytes(b), 0, 2)) == [(3, 4), (8, 9)]
    assert list(differing_runs(a, a, 0, 99)) == []
    assert list(differing_runs(b"", b"", 0, 99)) == []
    long = bytes(100_000)
    assert list(differing_runs(long, long[:-1] + b"\1", GAP, 99)) == [(99_999, 100_000)]


def test_a_buffer_that_differs_all_over_is_given_as_a_whole(sample: Path) -> None:
    data = unpacked(sample)
    scattered = tuple(
        ("e1000e", "parent_obj[0]/config[1]", (0x200 + 8 * index, "01")) for index in range(MAX_RUNS + 1)
    )
    with opened(data) as a, opened(patched(data, *scattered)) as b:
        (change,) = diff_fields(a, b).changes
    assert (change.offset, len(change.a), len(change.b)) == (0, 8192, 8192)


def test_a_section_whose_vmdesc_does_not_fit_is_compared_in_hex_and_reported(sample: Path) -> None:
    data = unpacked(sample)
    changed = patched(data, ("xhci", "xhci/usbcmd", 1)).replace(
        b'{"name": "portsc", "type": "uint32", "size": 4}', b'{"name": "portsc", "type": "uint16", "size": 2}'
    )
    with opened(data) as a, opened(changed) as b:
        found = diff_fields(a, b)
    assert [str(damage.section) for damage in found.damage] == ["0000:00:05.0/xhci"]
    assert {change.section for change in found.changes} == {"0000:00:05.0/xhci"}


@pytest.mark.parametrize("name", ["q35-nvme-igb-11.1", "pc-megasas-vmxnet3-5.2"])
def test_changes_can_be_printed_as_json(name: str, sample: Path) -> None:
    with Dump.open(SAMPLES / f"{name}.mig.xz") as a, Dump.open(sample) as b:
        for change in diff_fields(a, b).changes:
            json.dumps([change.a, change.b])
            assert change.a != change.b


def test_a_section_of_any_length_is_compared_and_takes_no_memory() -> None:
    size = 70 << 20
    section = bytes(size)
    streams = [bytes(Stream().ram().full(5, "huge", section[:-1] + last)) for last in (b"\0", b"\1")]
    with opened(streams[0]) as a, opened(streams[0]) as b, opened(streams[1]) as c:
        tracemalloc.start()
        same, other = diff_fields(a, b), diff_fields(a, c)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (same.changes, same.damage) == ((), ())
    assert ["too long to decode" in str(damage) for damage in other.damage] == [True, True]
    assert peak < 16 << 20
