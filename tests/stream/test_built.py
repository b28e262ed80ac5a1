"""Rare kinds of streams, built: those that no QEMU at hand can write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from msixtool.containers.file import BytesSource
from msixtool.devices.device import MsixDevice
from msixtool.devices.locate import find_devices
from msixtool.formats.iterable import VfioTag
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.stream.items import Damage, StreamIndex
from msixtool.stream.read import read_stream
from tests.stream.build import PAGE, Stream, config_space, msix_fields, pci_device, string, u32, u64
from tests.stream.ways import WAYS, sections

STATE = MsixState((MsixEntry(0xFEE00000, 0x31, 0), MsixEntry(0xFEE01000, 0x32, 1), MsixEntry()), b"\x02")
ENABLED = 0x8000
PATH = "0000:00:05.0"


def read(stream: Stream) -> StreamIndex:
    """The index of a stream that every way reads without complaint."""
    first, *others = (way(bytes(stream), 0) for way in WAYS)
    for index in (first, *others):
        assert [str(damage) for damage in index.damage] == []
        assert sections(index) == sections(first)
    assert first.end == len(bytes(stream))
    return first


def found(stream: Stream) -> tuple[list[MsixDevice], list[Damage]]:
    source = BytesSource(bytes(stream))
    return find_devices(source, read_stream(source))


def kinds(index: StreamIndex) -> list[str]:
    return [item.type.word for item in index.items]


# vfio-pci


def device_configuration(subsection: bytes = b"") -> bytes:
    """DEV_CONFIG_STATE: a PCIDevice with 4096 bytes, the MSI-X state, END_OF_STATE."""
    config = config_space(3, size=4096, at=0x60, control=ENABLED, vendor=0x15B3)
    return u64(VfioTag.CONFIG) + pci_device(config) + STATE.to_vmstate() + subsection + u64(VfioTag.END)


def data(length: int) -> bytes:
    return u64(VfioTag.DATA) + u64(length) + bytes(length)


SETUP = u64(VfioTag.SETUP) + u64(VfioTag.END)


def vfio(
    full: bytes | None, end: bytes = u64(VfioTag.END), part: bytes = data(5) + u64(VfioTag.END)
) -> Stream:
    stream = Stream()
    stream.section(ItemType.SECTION_START, 2, SETUP, f"{PATH}/vfio")
    stream.section(ItemType.SECTION_PART, 2, part)
    stream.section(ItemType.SECTION_END, 2, end)
    if full is not None:
        stream.full(2, f"{PATH}/vfio", full, by_hand=True)
    return stream.full(7, "globalstate", bytes(104))


RAMFB = b"\x05" + string("VFIOPCIDevice/VFIODisplay") + u32(1) + bytes(40)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(vfio(device_configuration()), id="6.0"),
        pytest.param(vfio(device_configuration(RAMFB)), id="8.2, with a display"),
        pytest.param(vfio(None, device_configuration() + data(9) + u64(VfioTag.END)), id="5.2"),
        pytest.param(
            vfio(device_configuration(), data(3) + data(4) + u64(VfioTag.END), u64(VfioTag.INIT_DATA_SENT)),
            id="8.1, all initial data sent",
        ),
        pytest.param(vfio(device_configuration(), part=data(0) + u64(VfioTag.END)), id="nothing to send"),
    ],
)
def test_the_msix_state_of_an_assigned_device_is_in_its_configuration_record(stream: Stream) -> None:
    read(stream)
    (device,), damage = found(stream)
    assert damage == []
    assert (device.name, device.kind, device.state) == (f"{PATH}/vfio", "vfio", STATE)
    assert device.capability is not None
    assert device.capability.offset == 0x60
    assert device.capability.enabled
    assert device.bus_master
    raw = bytes(stream)
    assert raw[device.offset : device.offset + device.length] == STATE.to_vmstate()


@pytest.mark.parametrize("full", [u64(VfioTag.CONFIG_LOAD_READY), u64(VfioTag.END)], ids=["10.1", "10.0"])
def test_an_assigned_device_whose_configuration_went_by_multifd_is_none_here(full: bytes) -> None:
    stream = vfio(full)
    assert kinds(read(stream))[-3:] == ["full", "full", "vmdescription"]
    assert found(stream) == ([], [])


def test_an_unknown_vfio_tag_is_damage_of_that_section() -> None:
    stream = vfio(u64(0x1234))
    (first, skipped) = read_stream(BytesSource(bytes(stream)), walk=True).damage[:2]
    assert (first.rule, first.section) == ("section-record", f"{PATH}/vfio")
    assert "vfio record: expected known flags, found 0x1234" in first.text
    assert "bytes skipped" in skipped.text


# vmxnet3 of QEMU 1.5 to 4.1


def vmxnet3(config: bytes, *, express: bool, vmdesc: bool, footers: bool = True) -> Stream:
    """The MSI-X state in a section of its own, before the rest of the device."""
    device = pci_device(config)
    fields: list[dict[str, Any]] = [{"name": "rest", "type": "buffer", "size": 64}]
    if express:
        body = bytes(64) + b"\x05" + string("vmxnet3/pcie") + u32(1) + device
    else:
        fields.insert(0, msix_fields(config, STATE)[0])
        body = device + bytes(64)
    stream = Stream(vmdesc=vmdesc, footers=footers, machine="pc-i440fx-2.6")
    stream.full(30, f"{PATH}/vmxnet3-msix", STATE.to_vmstate(), by_hand=True)
    stream.full(31, f"{PATH}/vmxnet3", body, fields)
    if express:
        inside = {"name": "parent_obj", **msix_fields(config, STATE)[0]}
        stream.devices[-1]["subsections"] = [{"vmsd_name": "vmxnet3/pcie", "version": 1, "fields": [inside]}]
    return stream.full(32, "globalstate", bytes(104))


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
@pytest.mark.parametrize("express", [True, False], ids=["express", "conventional"])
def test_a_state_in_a_section_of_its_own_is_joined_with_its_device(express: bool, vmdesc: bool) -> None:
    config = config_space(3, size=4096 if express else 256, at=0x84, control=ENABLED, vendor=0x15AD)
    stream = vmxnet3(config, express=express, vmdesc=vmdesc)
    read(stream)
    (device,), damage = found(stream)
    assert damage == []
    assert (device.name, device.state) == (f"{PATH}/vmxnet3-msix", STATE)
    assert device.capability is not None
    assert (device.capability.offset, device.capability.enabled) == (0x84, True)
    assert device.config_offset is not None
    raw = bytes(stream)
    assert raw[device.config_offset : device.config_offset + len(config)] == config


def test_a_state_of_its_own_that_the_capability_contradicts_is_damage() -> None:
    config = config_space(5, at=0x84, vendor=0x15AD)
    devices, damage = found(vmxnet3(config, express=False, vmdesc=True))
    assert [device.vectors for device in devices] == [3]
    assert [entry.rule for entry in damage] == ["vector-count"]


# Other sections with a grammar


def iterable(name: str, start: bytes, *parts: bytes, end: bytes) -> Stream:
    stream = Stream(vmdesc=False)
    stream.section(ItemType.SECTION_START, 3, start, name)
    for part in parts:
        stream.section(ItemType.SECTION_PART, 3, part)
    stream.section(ItemType.SECTION_END, 3, end)
    return stream.full(9, "globalstate", bytes(104))


NO_HTAB = b"\xff\xff\xff\xff"
HTAB_END = bytes(8)
FOOTER_LIKE = b"\x7e\0\0\0\x03\x02\0\0\0\x03"
"""A footer and the header of a next part, in the middle of data: a grammar is not misled."""


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(iterable("spapr/htab", NO_HTAB, NO_HTAB, end=NO_HTAB), id="radix guest"),
        pytest.param(
            iterable(
                "spapr/htab",
                u32(18),
                u32(0) + u32(7) + b"\0\2\0\1" + FOOTER_LIKE + bytes(22) + HTAB_END,
                end=u32(0) + u32(0) + b"\0\0\0\5" + HTAB_END,
            ),
            id="hash page table entries",
        ),
        pytest.param(
            iterable(
                "s390-storage_attributes",
                u64(1),
                u64(0x3000 | 2) + u64(10) + FOOTER_LIKE + u64(1),
                end=u64(8) + u64(1),
            ),
            id="storage attributes",
        ),
        pytest.param(
            iterable(
                "dirty-bitmap",
                b"\x1c\x04disk\x04kept" + u32(65536) + b"\x05" + b"\x01",
                b"\x40" + u64(0) + u32(128) + u64(10) + FOOTER_LIKE + b"\x42" + u64(128) + u32(128) + b"\x01",
                end=b"\x28\x04disk" + b"\x01",
            ),
            id="dirty bitmaps",
        ),
        pytest.param(
            iterable(
                "block",
                u64(2),
                u64(1 << 9 | 1)
                + string("disk")
                + FOOTER_LIKE
                + bytes((1 << 20) - 10)
                + u64(5 << 9 | 9)
                + string("disk")
                + u64(50 << 9 | 4)
                + u64(2),
                end=u64(2),
            ),
            id="disk blocks",
        ),
    ],
)
def test_the_grammar_of_a_section_says_where_it_ends(stream: Stream) -> None:
    index = read(stream)
    assert kinds(index) == ["configuration", "start", *["part"] * (len(index.items) - 4), "end", "full"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("s390-skeys", u64(0x2000 | 2) + u64(10) + FOOTER_LIKE + u64(1)),
        ("todclock", b"\x01\x00" + u64(0x1234)),
        ("todclock", b"\x00"),
    ],
)
def test_the_grammar_of_full_sections(name: str, body: bytes) -> None:
    index = read(Stream(vmdesc=False).full(3, name, body).full(9, "globalstate", bytes(104)))
    assert [(item.idstr, item.data_length) for item in index.full_sections()] == [
        (name, len(body)),
        ("globalstate", 104),
    ]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("spapr/htab", u32(1)),
        ("s390-storage_attributes", u64(4)),
        ("dirty-bitmap", b"\x80\x01"),
        ("block", u64(1 << 9)),
    ],
)
def test_a_record_that_makes_no_sense_is_damage_and_the_rest_is_read(name: str, end: bytes) -> None:
    start = {"spapr/htab": u32(18), "dirty-bitmap": b"\x01", "block": u64(2)}.get(name, u64(1))
    index = read_stream(BytesSource(bytes(iterable(name, start, end=end))))
    assert index.damage[0].rule == "section-record"
    assert index.damage[0].section == name
    assert [item.idstr for item in index.full_sections()] == ["globalstate"]


# Descriptions


def tree(name: str, kind: str, size: int) -> str:
    """A field whose elements are described in line, name after name, as QEMU writes them."""
    element = '"vmsd_name": "elem", "version": 1, "fields": [{"name": "a", "type": "uint8", "size": 1}]'
    return f'{{"name": "{name}", "type": "{kind}", {element}, {element}, "size": {size}}}'


@pytest.mark.parametrize(("kind", "size"), [("qtailq", 5), ("gtree", 9)])
def test_a_field_with_elements_counts_as_a_whole(kind: str, size: int) -> None:
    config = config_space(3, control=ENABLED)
    body = bytes([1] * size) + pci_device(config) + STATE.to_vmstate()
    fields = [{"name": "x", "type": "tree", "size": size}, *msix_fields(config, STATE)]
    stream = Stream().full(4, f"{PATH}/strange", body, fields).full(9, "globalstate", bytes(104))
    text = json.dumps({"page_size": PAGE, "devices": stream.devices})
    text = text.replace(json.dumps(fields[0]), tree("list", kind, size))
    stream.vmdesc = False
    raw = bytes(stream) + b"\x06" + u32(len(text)) + text.encode()
    source = BytesSource(raw)
    index = read_stream(source)
    assert index.damage == []
    (device,) = find_devices(source, index)[0]
    assert device.state == STATE


def test_an_array_that_begins_with_null_is_not_out_of_step() -> None:
    """Up to 9.2 the vmdesc then gives one byte for each element."""
    element = {"name": "css", "array_len": 4, "type": "struct", "struct": {}, "size": 1}
    stream = Stream().full(4, "css", b"0001" + bytes(50), [element]).full(9, "globalstate", bytes(104))
    index = read(stream)
    assert [item.data_length for item in index.full_sections()] == [54, 104]


def test_a_section_out_of_step_with_its_description_is_damage() -> None:
    stream = Stream().full(4, "odd", bytes(54), [{"name": "a", "type": "buffer", "size": 50}])
    index = read_stream(BytesSource(bytes(stream.full(9, "globalstate", bytes(104)))))
    assert [(d.rule, d.section, d.text) for d in index.damage] == [
        ("vmdesc-mismatch", "odd", "section out of step with vmdesc: expected 50 bytes, found 54")
    ]
    assert [item.data_length for item in index.full_sections()] == [54, 104]


def test_a_section_that_the_description_does_not_know_and_one_that_never_came() -> None:
    stream = Stream().full(4, "lost", bytes(9)).full(9, "globalstate", bytes(104))
    stream.devices[0]["name"] = "other"
    index = read_stream(BytesSource(bytes(stream)))
    assert [(d.rule, d.section) for d in index.damage] == [
        ("vmdesc-mismatch", "lost"),
        ("vmdesc-mismatch", "other"),
    ]


# Machine types


@pytest.mark.parametrize("footers", [True, False], ids=["footers", "no footers"])
@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
@pytest.mark.parametrize("machine", ["pc-i440fx-2.4", None], ids=["configuration", "no configuration"])
def test_every_combination_of_what_machine_types_send(
    machine: str | None, footers: bool, vmdesc: bool
) -> None:
    config = config_space(3, size=4096, at=0xA0, control=ENABLED)
    stream = Stream(machine=machine, footers=footers, vmdesc=vmdesc).ram()
    stream.full(4, "timer", bytes(24))
    stream.full(
        5,
        f"{PATH}/e1000e",
        pci_device(config) + STATE.to_vmstate() + bytes(90),
        msix_fields(config, STATE, 90),
    )
    stream.full(9, "globalstate", bytes(104))
    index = read(stream)
    assert [item.idstr for item in index.full_sections()] == ["timer", f"{PATH}/e1000e", "globalstate"]
    # The very first section could not be told from one with a footer, had RAM not come before it.
    assert index.footers is footers
    (device,), _ = found(stream)
    assert device.state == STATE


def test_a_command_of_the_wrong_length_is_damage() -> None:
    stream = Stream().command(CommandType.PING, b"\0\0\0").full(9, "globalstate", bytes(104))
    index = read_stream(BytesSource(bytes(stream)), walk=True)
    assert [(d.rule, d.text) for d in index.damage] == [
        ("command", "command ping: expected 4 bytes, found 3")
    ]


def test_an_unknown_command_is_damage_and_the_rest_is_read() -> None:
    stream = Stream().command(29, b"").full(9, "globalstate", bytes(104))
    index = read_stream(BytesSource(bytes(stream)), walk=True)
    assert "unknown command: expected 1 to 11, found 29" in index.damage[0].text
    assert [item.idstr for item in index.full_sections()] == ["globalstate"]


def test_a_package_must_end_where_an_item_does() -> None:
    inside = Stream().full(4, "timer", bytes(24)).pieces[0]
    for size, expected in ((len(inside), []), (len(inside) - 1, ["the package ends inside an item"])):
        stream = Stream(vmdesc=False).command(CommandType.PACKAGED, u32(size)).full(4, "timer", bytes(24))
        index = read_stream(BytesSource(bytes(stream)))
        assert [damage.text for damage in index.damage] == expected


def test_a_virtio_device_whose_capabilities_cannot_be_read_is_not_passed_over_in_silence() -> None:
    config = bytearray(config_space(0, vendor=0x1AF4))
    config[0x34] = 0x20  # into the header
    blob = pci_device(bytes(config)) + bytes(400)
    field = {"name": "virtio", "type": "virtio", "size": len(blob)}
    stream = Stream().full(5, f"{PATH}/virtio-net", blob, [field]).full(9, "globalstate", bytes(104))
    devices, damage = found(stream)
    assert devices == []
    assert [(entry.rule, entry.section) for entry in damage] == [("capability-list", f"{PATH}/virtio-net")]


def test_a_stranger_whose_interrupt_levels_make_no_sense_is_no_device() -> None:
    """Without a vmdesc what follows configuration space must look like what follows it in a PCIDevice."""
    config = config_space(3, control=ENABLED)
    for levels, count in (((0, 1, 0, 0), 1), ((0, 1, 0, 2), 0)):
        body = pci_device(config, levels=levels) + STATE.to_vmstate()
        stream = Stream(vmdesc=False).full(5, f"{PATH}/strange", body).full(9, "globalstate", bytes(104))
        assert len(found(stream)[0]) == count


def test_where_a_header_must_stand_its_numbers_may_be_any() -> None:
    largest = 0xFFFFFFFF
    stream = Stream().ram(sid=1)
    stream.full(largest - 1, "name" * 63, b"abc", instance=largest, version=largest)
    stream.full(7, "a b~", b"def", instance=0x09000000, version=20061112)
    for way in WAYS:
        index = way(bytes(stream), 0)
        assert [str(damage) for damage in index.damage] == []
        assert [(i.section_id, i.idstr, i.instance_id, i.version_id) for i in index.full_sections()] == [
            (largest - 1, "name" * 63, largest, largest),
            (7, "a b~", 0x09000000, 20061112),
        ]
