"""The load path: what fires, what is lost, what stays, by kind of device."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from msixtool import Dump
from msixtool.msix import events as ev
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.tasks.load import NOT_KNOWN, Loaded, load_device, load_state
from msixtool.tasks.refusals import refusals
from tests.conftest import CORPUS

ENABLED = 0x8000
FUNCTION_MASK = 0x4000
LIVE = MsixEntry(0xFEE00000, 0x4021, 0)


def load(
    kind: str | None,
    *,
    pending: tuple[int, ...] = (0, 2),
    masked: tuple[int, ...] = (),
    control: int | None = ENABLED | 3,
    bus_master: bool = True,
) -> Loaded:
    state = MsixState((LIVE,) * 4, bytes(1)).with_pending(pending)
    for vector in masked:
        state = state.with_entry(vector, LIVE.with_masked(True))
    return load_state(state, name="device", kind=kind, control=control, bus_master=bus_master)


@pytest.mark.parametrize("kind", ["e1000e", "igb", "vmxnet3", "pcie-root-port", "ivshmem-doorbell"])
def test_devices_that_use_all_vectors_send_what_is_pending_and_live(kind: str) -> None:
    loaded = load(kind)
    assert [(m.vector, m.delivered, m.reason) for m in loaded.messages] == [(0, True, None), (2, True, None)]
    assert loaded.messages[0].address == 0xFEE00000
    assert loaded.messages[0].data == 0x4021
    assert loaded.after.pending == ()
    assert (loaded.lost, loaded.recovery) == ((), "Nothing is lost.")


@pytest.mark.parametrize("kind", ["virtio-net", "virtio-console", "xhci", "nvme"])
def test_devices_that_use_no_vector_yet_lose_what_is_pending_and_live(kind: str) -> None:
    loaded = load(kind)
    assert loaded.lost == (0, 2)
    assert {m.reason for m in loaded.messages} == {ev.VECTOR_UNUSED}
    assert loaded.after.pending == ()
    assert "after msix_load" in loaded.recovery


@pytest.mark.parametrize("kind", ["megasas", "megasas-gen2"])
def test_megasas_sends_vector_0_alone(kind: str) -> None:
    loaded = load(kind)
    assert [m.vector for m in loaded.messages if m.delivered] == [0]
    assert loaded.lost == (2,)


def test_with_bus_mastering_off_the_message_is_lost_for_another_reason() -> None:
    loaded = load("e1000e", bus_master=False)
    assert loaded.lost == (0, 2)
    assert {m.reason for m in loaded.messages} == {ev.BUS_MASTER_OFF}
    assert "bus mastering" in loaded.recovery


def test_a_vector_that_is_not_used_is_reported_so_even_with_bus_mastering_off() -> None:
    assert {m.reason for m in load("virtio-net", bus_master=False).messages} == {ev.VECTOR_UNUSED}


@pytest.mark.parametrize(
    ("control", "masked"), [(3, ()), (ENABLED | FUNCTION_MASK | 3, ()), (ENABLED | 3, (0, 2))]
)
def test_what_is_masked_stays_pending(control: int, masked: tuple[int, ...]) -> None:
    loaded = load("e1000e", control=control, masked=masked)
    assert loaded.messages == ()
    assert loaded.after == loaded.before
    assert loaded.after.pending == (0, 2)


def test_of_an_unknown_kind_nobody_knows_whether_the_message_is_sent() -> None:
    loaded = load("a-stranger")
    assert [(m.delivered, m.reason) for m in loaded.messages] == [(None, NOT_KNOWN)] * 2
    assert loaded.lost == ()
    assert loaded.after.pending == ()
    assert not [e for e in loaded.events if isinstance(e, ev.MessageEvent | ev.MessageDropped)]


def test_without_message_control_nothing_is_claimed() -> None:
    loaded = load("e1000e", control=None)
    assert loaded.function_masked is None
    assert loaded.messages == ()
    assert loaded.after == loaded.before


def test_events_come_in_the_order_of_msix_load() -> None:
    kinds = [event.event for event in load("e1000e", pending=(1,), masked=(0, 2, 3)).events]
    assert kinds == ["state-restored", "function-mask", "unmask", "pending-cleared", "message"]


entries = st.builds(
    MsixEntry, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
)


@given(
    st.lists(entries, min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.sampled_from(["e1000e", "virtio-net", "megasas", "a-stranger"]),
    st.integers(0, 3),
    st.booleans(),
)
def test_loading_what_a_load_left_sets_nothing_off(
    table: list[MsixEntry], random: object, kind: str, bits: int, bus_master: bool
) -> None:
    size = (len(table) + 7) // 8
    pba = random.randbytes(size)  # type: ignore[attr-defined]
    state = MsixState(tuple(table), pba)
    control = bits << 14 | len(table) - 1
    first = load_state(state, name="d", kind=kind, control=control, bus_master=bus_master)
    again = load_state(first.after, name="d", kind=kind, control=control, bus_master=bus_master)
    assert again.messages == ()
    assert again.after == first.after
    assert first.after.entries == state.entries
    assert first.after.stray_pending == state.stray_pending


@pytest.mark.parametrize("case", sorted((CORPUS / "states").glob("*"))[::4], ids=lambda path: path.name)
def test_recorded_loads_of_real_qemu_agree(case: Path) -> None:
    truth = json.loads((case / "truth.json").read_text())
    stream = lzma.decompress((case / "source.mig.xz").read_bytes())
    for record in truth["loads"]:
        if record["status"] != "completed":
            continue
        for device, edit, after in zip(truth["devices"], record["edits"], record["after"], strict=True):
            at, n = device["stream_offset"], device["vectors"]
            state = MsixState.from_vmstate(stream[at : at + 16 * n + (n + 7) // 8], n)
            for vector, bit in edit.get("mask", {}).items():
                state = state.with_entry(int(vector), state.entries[int(vector)].with_masked(bool(bit)))
            state = MsixState(state.entries, bytes(len(state.pba))).with_pending(edit["pending"])
            loaded = load_state(
                state,
                name="d",
                kind=device["kind"].replace("nec-xhci", "xhci").replace("qemu-xhci", "xhci"),
                control=device["flags"],
                bus_master=device["bus_master"],
            )
            sent = {str(m.vector): m.data for m in loaded.messages if m.delivered}
            assert sent == after["messages"], device["kind"]


def test_a_config_vector_out_of_range_is_a_refusal(raw_sample: Path) -> None:
    with Dump.open(raw_sample) as dump:
        device = dump.select_one("virtio-blk")
        place = device.offset + device.length
        assert refusals(dump) == []
    data = bytearray(raw_sample.read_bytes())
    data[place : place + 2] = (2).to_bytes(2, "big")
    raw_sample.write_bytes(data)
    with Dump.open(raw_sample) as dump:
        (finding,) = refusals(dump)
    assert (finding.code, finding.section, finding.source) == ("vector-range", "0000:00:03.0/virtio-blk", 2)


def test_a_queue_vector_out_of_range_crashes_qemu_before_7_2(raw_sample: Path) -> None:
    with Dump.open(raw_sample) as dump:
        device = dump.select_one("virtio-blk")
        assert device.virtio is not None
        assert device.config_offset is not None
        place = device.config_offset - 4 + device.virtio.queues_offset + 14
    data = bytearray(raw_sample.read_bytes())
    data[place : place + 2] = (7).to_bytes(2, "big")
    raw_sample.write_bytes(data)
    with Dump.open(raw_sample) as dump:
        assert "refuses" in refusals(dump, (7, 2))[0].message
        assert "crashes" in refusals(dump, (5, 2))[0].message


def test_an_irq_state_that_is_no_level_is_a_refusal(raw_sample: Path) -> None:
    with Dump.open(raw_sample) as dump:
        device = dump.select_one("e1000e")
        assert device.config_offset is not None
        place = device.config_offset + 4096 + 3
    data = bytearray(raw_sample.read_bytes())
    data[place] = 2
    raw_sample.write_bytes(data)
    with Dump.open(raw_sample) as dump:
        assert "must be 0 or 1" in refusals(dump)[0].message


def test_a_missing_footer_is_a_refusal_and_a_damaged_vmdesc_is_not(raw_sample: Path) -> None:
    data = raw_sample.read_bytes()
    with Dump.open(raw_sample) as dump:
        device = dump.select_one("e1000e")
        footer, vmdesc = device.item.end - 5, dump.index.items[-1].data_offset
    raw_sample.write_bytes(data[:vmdesc] + b"}" + data[vmdesc + 1 :])
    with Dump.open(raw_sample) as dump:
        assert dump.damage
        assert refusals(dump) == []
    raw_sample.write_bytes(data[:footer] + b"\xff" + data[footer + 1 :])
    with Dump.open(raw_sample) as dump:
        assert refusals(dump)[0].section == "0000:00:04.0/e1000e"
        assert refusals(dump)[0].code == "stream"


def test_every_device_of_every_stream_loads_without_a_refusal(stream_path: Path) -> None:
    with Dump.open(stream_path) as dump:
        assert refusals(dump) == []
        for device in dump.devices:
            loaded = load_device(device)
            assert loaded.function_masked == device.function_masked
            assert not set(loaded.after.pending) & {
                v for v in range(device.vectors) if not device.is_masked(v)
            }
