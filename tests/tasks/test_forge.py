"""Forging a stream: what is asked changes, and every other byte stays."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from msixtool import Dump, MsixState, UsageError
from msixtool.containers.file import BytesSource
from msixtool.containers.opened import Opened
from msixtool.spec import Spec, apply_spec, make_spec, parse_spec, spec_text
from msixtool.stream.rewrite import Rewritten
from msixtool.tasks.field_tree import Leaf
from msixtool.tasks.fields import find, read_section
from msixtool.tasks.forge import plan
from tests.conftest import CORPUS, REPOSITORY, unpacked
from tests.stream.build import Stream, u32
from tests.tasks.test_forge_spec import states

RARE = REPOSITORY / "tests" / "data" / "rare"
SAMPLES = REPOSITORY / "samples"


def opened(data: bytes) -> Dump:
    return Dump(Opened(BytesSource(data), [], "stream", len(data), 0))


def forged(data: bytes, spec: Spec | dict[str, Any]) -> bytes:
    """The forged stream, in memory."""
    with opened(data) as dump:
        planned = plan(dump, spec if isinstance(spec, Spec) else make_spec(spec))
        made = Rewritten(dump.source, planned.replacements)
        return made.read(0, made.size)


def one(**keys: Any) -> dict[str, Any]:
    return {"devices": [{"name": "0000:00:04.0/e1000e", **keys}]}


@pytest.fixture
def stream(sample: Path) -> bytes:
    return unpacked(sample)


@cache
def virtio_stream() -> bytes:
    return unpacked(SAMPLES / "q35-net-4-vectors-7.2.mig.xz")


def test_forging_nothing_and_forging_each_text_back_gives_the_same_bytes(stream_path: Path) -> None:
    data = unpacked(stream_path)
    assert forged(data, {}) == data
    with opened(data) as dump:
        texts = [spec_text(device, x86=dump.is_x86) for device in dump.devices]
    devices = tuple(device for text in texts for device in parse_spec(text).devices)
    assert forged(data, Spec(devices)) == data


CASES = sorted((CORPUS / "states").glob("*/truth.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
def test_masks_and_pending_bits_are_those_that_real_qemus_loaded(case: Path) -> None:
    truth = json.loads(case.read_text())
    data = unpacked(case.parent / "source.mig.xz")
    with opened(data) as dump:
        names = {device.offset: device for device in dump.devices}
    for load in truth["loads"]:
        wanted, devices = bytearray(data), []
        for device, edit in zip(truth["devices"], load["edits"], strict=True):
            at, vectors = device["stream_offset"], device["vectors"]
            masks = {int(vector): mask for vector, mask in edit.get("mask", {}).items()}
            for vector, mask in masks.items():
                wanted[at + 16 * vector + 12] = wanted[at + 16 * vector + 12] & 0xFE | mask
            bits = sum(1 << vector for vector in edit["pending"])
            size = (vectors + 7) // 8
            wanted[at + 16 * vectors : at + 16 * vectors + size] = bits.to_bytes(size, "little")
            found = names[at]
            entries = [{"vector": vector, "masked": bool(mask)} for vector, mask in masks.items()]
            spec = {"name": found.name, "instance": found.instance, "entries": entries}
            devices.append({**spec, "pending": edit["pending"]})
        assert forged(data, {"devices": devices}) == wanted


def differences(before: bytes, after: bytes) -> dict[int, int]:
    assert len(before) == len(after)
    return {offset: b for offset, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}


def test_one_change_changes_one_byte(stream: bytes) -> None:
    with opened(stream) as dump:
        device = next(d for d in dump.devices if d.kind == "e1000e")
        assert device.capability is not None
        assert device.config_offset is not None
        capability = device.config_offset + device.capability.offset
        control, at, command = capability + 3, device.offset, device.config_offset + 4
    assert differences(stream, forged(stream, one(function_mask=True))) == {control: 0xC0}
    assert differences(stream, forged(stream, one(enabled=False))) == {control: 0x00}
    assert differences(stream, forged(stream, one(bus_master=False))) == {command: stream[command] & ~4}
    unmask = one(entries=[{"vector": 2, "masked": False}])
    assert differences(stream, forged(stream, unmask)) == {at + 16 * 2 + 12: 0}
    pending = one(entries=[{"vector": 3, "pending": True}])
    assert differences(stream, forged(stream, pending)) == {at + 80: 0b1100}
    assert differences(stream, forged(stream, one(pba="e0"))) == {at + 80: 0xE0}
    table = one(capability={"table": {"offset": 0x100}})
    assert differences(stream, forged(stream, table)) == {capability + 5: 1}
    pba = one(capability={"pba": {"bar": 5}})
    assert differences(stream, forged(stream, pba)) == {capability + 8: 5}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data(), st.booleans(), st.booleans(), st.booleans())
def test_a_random_state_is_read_back(
    stream: bytes, data: st.DataObject, enabled: bool, function_mask: bool, bus_master: bool
) -> None:
    with opened(stream) as dump:
        before = {device.name: device for device in dump.devices}
    wanted = {name: data.draw(states(device.vectors)) for name, device in before.items()}
    flags = {"enabled": enabled, "function_mask": function_mask, "bus_master": bus_master}
    spec = [{"name": name, **flags, **as_keys(state)} for name, state in wanted.items()]
    with opened(forged(stream, {"devices": spec})) as dump:
        assert not dump.damage
        for device in dump.devices:
            assert device.state == wanted[device.name]
            assert device.capability is not None
            found = (device.capability.enabled, device.capability.function_mask, device.bus_master)
            assert found == (enabled, function_mask, bus_master)


def as_keys(state: MsixState) -> dict[str, Any]:
    entries = [
        {"vector": vector, "address": entry.address, "data": entry.data, "control": entry.control}
        for vector, entry in enumerate(state.entries)
    ]
    return {"entries": entries, "pba": state.pba.hex()}


def test_devices_may_be_named_as_people_name_them(stream: bytes) -> None:
    for name in ("0000:00:04.0/e1000e", "e1000e", "04.0", "00:04.0", "e1000e@0", "*/e1000e"):
        made = forged(stream, {"devices": [{"name": name, "function_mask": True}]})
        assert len(differences(stream, made)) == 1, name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"devices": [{"name": "igb"}]}, "devices[0].name: no device with MSI-X is igb: expected one of "),
        ({"devices": [{"name": "e1000e", "instance": 1}]}, "no device with MSI-X is e1000e@1: expected "),
        ({"devices": [{"name": "virtio*"}]}, "devices[0].name: several devices with MSI-X are virtio*"),
        ({"devices": [{"name": "e1000e"}, {"name": "04.0"}]}, "devices[1].name: expected each device once"),
        (one(entries=[{"vector": 5, "masked": True}]), "entries[0].vector: expected a vector from 0 to 4"),
        (one(pending=[5]), "devices[0].pending[0]: expected a vector from 0 to 4, found 5"),
        (one(pba="0000"), "devices[0].pba: expected 1 byte in hex for 5 vectors, found 2"),
        (one(capability={"offset": 0x98}), "capability.offset: a capability is not moved: expected 160"),
        (one(vectors=2048), "devices[0].vectors: 2048 vectors: the table in BAR 3 would reach 0x8000"),
        ({"fields": {"nosuch/path": 1}}, "fields: nosuch/path: no such section"),
        ({"fields": {"timer": 1}}, "fields: timer: no such section"),
        ({"fields": {"timer/nosuch": 1}}, "fields: timer/nosuch"),
        ({"fields": {"timer/cpu_ticks_offset": "x"}}, "timer/cpu_ticks_offset: value of a field of type"),
        ({"fields": {"timer/cpu_ticks_offset": 1 << 63}}, "expected an integer from -9223372036854775808"),
        ({"fields": {"dma/command": 1}}, "dma/command: several sections have this name: expected"),
    ],
)
def test_what_cannot_be_is_refused_by_the_key(stream: bytes, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        forged(stream, spec)


def test_fields_are_set_by_their_path(stream: bytes) -> None:
    paths = {
        "timer/cpu_ticks_offset": -5,
        "dma@1/command": 0x21,
        "0000:00:04.0/e1000e/core.mac[5]": 0xDEADBEEF,
        "0000:00:04.0/e1000e/parent_obj[0]/irq_state": [0, 1, 0, 0],
        "0000:00:02.0/virtio-net/virtio/queues[1]/vector": 0xFFFF,
    }
    with opened(forged(stream, {"fields": paths})) as dump:
        assert not dump.damage
        for key, value in paths.items():
            item, path = next(
                (item, key.removeprefix(f"{name}/"))
                for item in dump.index.full_sections()
                for name in (f"{item.idstr}@{item.instance_id}", str(item.idstr))
                if key.startswith(f"{name}/")
            )
            section = read_section(dump, item)
            leaf = find(section, path)
            assert isinstance(leaf, Leaf)
            assert leaf.value(section.data) == value, key
        net = next(device for device in dump.devices if device.kind == "virtio-net")
        assert net.queue_vectors[1] is None


def test_what_is_asked_of_a_device_lies_over_its_fields(stream: bytes) -> None:
    """The broader first: a whole state as a field, then an entry of it."""
    state = MsixState.reset(5).with_pending([4])
    spec = one(entries=[{"vector": 0, "masked": False}])
    spec["fields"] = {"0000:00:04.0/e1000e/parent_obj[1]/msix": state.to_vmstate().hex()}
    with opened(forged(stream, spec)) as dump:
        device = next(d for d in dump.devices if d.kind == "e1000e")
    assert device.state == state.with_entry(0, state.entries[0].with_masked(False))


def test_a_number_of_vectors_counts_from_the_state_that_fields_give(stream: bytes) -> None:
    state = MsixState.reset(5).with_pending([1, 4])
    fields = {"0000:00:04.0/e1000e/parent_obj[1]/msix": state.to_vmstate().hex()}
    with opened(forged(stream, one(vectors=3) | {"fields": fields})) as dump:
        assert not dump.damage
        device = next(d for d in dump.devices if d.kind == "e1000e")
    assert device.state == MsixState.reset(3).with_pending([1])


def test_a_state_in_a_section_of_its_own_grows_with_the_vmdesc() -> None:
    """As vmxnet3 up to 4.1 had it: QEMU described such a section as one buffer."""

    def stream_of(vectors: int) -> bytes:
        state = MsixState.reset(vectors).to_vmstate()
        return bytes(Stream(machine=None).full(7, "0000:00:02.0/vmxnet3-msix", state, by_hand=True))

    assert forged(stream_of(25), {"devices": [{"name": "vmxnet3-msix", "vectors": 9}]}) == stream_of(9)


def taken_apart(data: bytes) -> bytes:
    """A stream whose vmxnet3 has its MSI-X state in a section of its own, as before QEMU 4.2."""
    with opened(data) as dump:
        device = next(device for device in dump.devices if device.kind == "vmxnet3")
        item, description = device.item, dump.index.description
    assert description is not None
    document = json.loads(data[description.offset + 5 : description.end])
    entry = next(e for e in document["devices"] if e["name"] == device.name)
    entry["fields"] = [field for field in entry["fields"] if field["name"] != "parent_obj[1]"]
    field = {"name": "data", "size": device.length, "type": "buffer"}
    name = f"{device.name}-msix"
    apart = {"name": name, "instance_id": 0, "size": device.length, "fields": [field]}
    document["devices"].insert(document["devices"].index(entry), apart)
    state = data[device.offset : device.offset + device.length]
    alone = Stream(vmdesc=False).full(250, name, state).pieces[0]
    text = json.dumps(document).encode()
    return (
        data[: item.offset]
        + alone
        + data[item.offset : device.offset]
        + data[device.offset + device.length : description.offset]
        + (b"\6" + u32(len(text)) + text)
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"enabled": False, "bus_master": False},
        {"function_mask": True, "pending": [0, 24], "entries": [{"vector": 3, "masked": False}]},
        {"capability": {"control": 0xC018, "pba": {"offset": 0x1800}}},
        {"vectors": 9},
        {"vectors": 40, "enabled": True},
    ],
    ids=lambda asked: "-".join(asked),
)
def test_the_configuration_space_of_a_state_in_a_section_of_its_own_is_forged_too(
    asked: dict[str, Any],
) -> None:
    data = unpacked(SAMPLES / "pc-megasas-vmxnet3-5.2.mig.xz")
    apart, whole = ({"devices": [{"name": kind, **asked}]} for kind in ("vmxnet3-msix", "vmxnet3"))
    assert forged(taken_apart(data), apart) == taken_apart(forged(data, whole))


def resize_all(dump: Dump, vectors: int) -> list[dict[str, Any]]:
    """Another number of vectors for each virtio device that does not use those beyond."""
    return [
        {"name": device.name, "instance": device.instance, "vectors": vectors}
        for device in dump.devices
        if device.virtio
        and all(used is None or used < vectors for used in (device.config_vector, *device.queue_vectors))
    ]


@pytest.mark.parametrize(
    "name",
    [
        "samples/q35-virtio-e1000e-7.2",
        "samples/pc-megasas-vmxnet3-5.2",
        "samples/q35-root-ports-10.0",
        "samples/q35-nvme-igb-11.1",
        "samples/pc-2048-vectors-11.1",
        "tests/data/rare/no-vmdesc-7.2",
        "tests/data/rare/no-footers-no-vmdesc-7.2",
        "tests/data/rare/postcopy-7.2",
        "tests/data/rare/xen-save-7.2",
        "tests/data/rare/ppc64-pseries-7.2",
        "tests/data/rare/virtio-mem-early-11.1",
    ],
)
@pytest.mark.parametrize("vectors", [7, 300, 2048])
def test_another_number_of_vectors_is_read_back_and_nothing_else_changes(name: str, vectors: int) -> None:
    data = unpacked(REPOSITORY / f"{name}.mig.xz")
    with opened(data) as before:
        spec = make_spec({"devices": resize_all(before, vectors)})
    made = forged(data, spec)
    asked = {each.name: each for each in spec.devices}
    with opened(data) as before, opened(made) as after:
        assert not after.damage
        assert len(before.devices) == len(after.devices)
        for old, new in zip(before.devices, after.devices, strict=True):
            if old.name not in asked:
                assert (old.state, old.capability) == (new.state, new.capability)
                continue
            assert new.state == apply_spec(asked[old.name], old.state)
            assert new.capability is not None
            assert new.capability.vectors == new.vectors == vectors
            assert new.capability.pba.offset == max(0x800, 16 * vectors)
            assert (old.config_vector, old.queue_vectors) == (new.config_vector, new.queue_vectors)
            assert new.virtio is not None
            assert old.virtio is not None
            # Everything behind the MSI-X state: the rest of the section, to the byte.
            rest = old.item.data_offset + old.item.data_length - old.offset - old.length
            assert before.source.read(old.offset + old.length, rest) == after.source.read(
                new.offset + new.length, rest
            )
        back = [
            {"name": old.name, "instance": old.instance, "vectors": old.vectors}
            for old in before.devices
            if old.name in asked
        ]
    if all(old["vectors"] <= vectors == 7 for old in back):
        assert forged(made, {"devices": back}) == data


def test_sizes_follow_in_the_vmdesc_and_in_all_that_encloses_them(stream: bytes) -> None:
    made = forged(stream, {"devices": [{"name": "e1000e", "vectors": 8}]})
    with opened(stream) as before, opened(made) as after:
        assert before.index.description is not None
        assert after.index.description is not None
        old, new = before.index.description.text.decode(), after.index.description.text.decode()
        assert after.index.end == len(made)
    changed = old.replace('"type": "msix state", "size": 81}', '"type": "msix state", "size": 129}')
    changed = changed.replace('"size": 129}]}, "size": 81}', '"size": 129}]}, "size": 129}')
    assert changed != old
    assert new == changed
    assert len(made) == len(stream) + 3 * 16 + len(new) - len(old)


@pytest.mark.parametrize("sample_name", ["pc-megasas-vmxnet3-5.2", "q35-nvme-igb-11.1"])
def test_the_vmdesc_keeps_its_style(sample_name: str) -> None:
    data = unpacked(SAMPLES / f"{sample_name}.mig.xz")
    with opened(data) as dump:
        name = next(device.name for device in dump.devices if device.virtio)
    with opened(data) as before, opened(forged(data, {"devices": [{"name": name, "vectors": 9}]})) as after:
        assert before.index.description is not None
        assert after.index.description is not None
        digits = re.compile(rb"\d+")
        old, new = before.index.description.text, after.index.description.text
        assert digits.sub(b"", old) == digits.sub(b"", new)


def test_a_vector_that_virtio_uses_is_not_taken_away() -> None:
    data = unpacked(SAMPLES / "q35-virtio-e1000e-7.2.mig.xz")
    with pytest.raises(UsageError, match=r"vector 2 is that of queue 1 .* expected 3 vectors or more"):
        forged(data, {"devices": [{"name": "virtio-net", "vectors": 2}]})
    fields = {"0000:00:02.0/virtio-net/virtio/queues[1]/vector": 0xFFFF}
    made = forged(data, {"devices": [{"name": "virtio-net", "vectors": 2}], "fields": fields})
    with opened(made) as dump:
        assert dump.devices[0].vectors == 2
        assert dump.devices[0].queue_vectors[:2] == (1, None)


def test_a_bar_that_grows_is_moved_where_it_does_not_fit() -> None:
    with opened(virtio_stream()) as dump:
        planned = plan(dump, make_spec({"devices": [{"name": "virtio-net", "vectors": 2048}]}))
    assert any(
        re.search(r"BAR 1 moved from 0x\w+ to 0x\w+0000: 2048 vectors", note) for note in planned.notes
    )
    with opened(virtio_stream()) as dump:
        planned = plan(dump, make_spec({"devices": [{"name": "virtio-net", "vectors": 128}]}))
    assert not planned.notes


def test_a_number_that_the_device_never_has_is_worth_a_word(stream: bytes) -> None:
    with opened(stream) as dump:
        planned = plan(dump, make_spec(one(vectors=6)))
    assert planned.notes == [
        "0000:00:04.0/e1000e: e1000e has always 5 vectors: QEMU refuses 6",
    ]
