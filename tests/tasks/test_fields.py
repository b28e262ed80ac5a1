"""The fields of real sections: all bytes accounted for, virtio opened, damage told."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.devices import virtio_layout
from msixtool.devices.device import MsixDevice
from msixtool.documents import Origin
from msixtool.documents.fields import fields_document, fields_json
from msixtool.errors import FormatError, UsageError
from msixtool.formats import virtio as virtio_format
from msixtool.tasks import fields
from msixtool.tasks.field_tree import Elements, Leaf, Node, build_tree
from msixtool.tasks.fields import Section, find, leaf_bytes, read_section, select_sections
from tests.conftest import REPOSITORY, SAMPLES

RARE = [
    path
    for path in sorted((REPOSITORY / "tests" / "data" / "rare").glob("*.mig.xz"))
    # One is no stream by itself, the other begins further on in its file.
    if not path.name.startswith(("multifd-channel", "mapped-ram-offset"))
]


def leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        for member in node.elements if isinstance(node, Elements) else node.members.values():
            yield from leaves(member)


def sections(dump: Dump, pattern: str | None = None) -> list[Section]:
    return [read_section(dump, item) for item in select_sections(dump, pattern)]


def test_every_byte_of_every_section_is_a_field_or_what_stands_between_fields(stream_path: Path) -> None:
    with Dump.open(stream_path) as dump:
        virtio = {device.item.offset: device for device in dump.devices if device.virtio}
        for section in sections(dump):
            assert section.damage is None
            check_cover(section)
            if section.item.offset in virtio:
                check_virtio(section.values()["virtio"], virtio[section.item.offset])


def check_cover(section: Section) -> None:
    """The leaves are in order and leave nothing but headers of subsections and markers."""
    reached = 0
    for leaf in leaves(section.tree):
        between = section.data[reached : leaf.offset]
        assert leaf.offset >= reached
        assert is_between(between), section.name
        reached = leaf.offset + leaf.length
    assert is_between(section.data[reached:]), section.name


def is_between(data: bytes) -> bool:
    """Whether this is no field: markers of lists and pointers, the header of a subsection."""
    return not data.strip(b"\1\0001") or data[:1] == b"\5"


def check_virtio(blob: dict[str, Any], device: MsixDevice) -> None:
    """The virtio blob says the same as the device that was found in it."""
    none = virtio_format.NO_VECTOR
    assert device.config is not None
    assert blob["pci"]["config"] == device.config.data.hex()
    assert blob["msix"] == device.state.to_vmstate().hex()
    assert blob["config_vector"] == (none if device.config_vector is None else device.config_vector)
    vectors = [queue["vector"] for queue in blob["queues"]]
    assert vectors == [none if vector is None else vector for vector in device.queue_vectors]


@pytest.mark.parametrize("path", SAMPLES + RARE, ids=lambda path: path.name.removesuffix(".mig.xz"))
def test_every_value_goes_back_to_the_same_bytes(path: Path) -> None:
    with Dump.open(path) as dump:
        for section in sections(dump):
            for leaf in leaves(section.tree):
                data = section.data[leaf.offset : leaf.offset + leaf.length]
                if leaf.type in ("nullptr", "ptr-marker"):
                    assert leaf.value(section.data) in (None, "31")
                elif not (leaf.type == "bool" and data.strip(b"\0\1")):
                    assert leaf_bytes(leaf, leaf.value(section.data)) == data


def test_the_subsections_of_virtio_are_found_behind_the_state_of_the_device_type(sample: Path) -> None:
    with Dump.open(sample) as dump:
        (net,) = sections(dump, "virtio-net")
    blob = net.values()["virtio"]
    assert [name for name in blob if "/" in name] == [
        "virtio/64bit_features",
        "virtio/virtqueues",
        "virtio/extra_state",
        "virtio/started",
    ]
    modern = blob["virtio/extra_state"]["virtio_pci/modern_state"]
    assert len(modern["queues"]) == virtio_format.MAX_QUEUES
    # What the driver of the sample gave the device: features and the first queue's rings.
    assert modern["guest_features"][0] == blob["guest_features"]
    first = modern["queues"][0]
    assert first["enabled"] == 1
    assert blob["virtio/virtqueues"]["rings"][0]["avail"] == first["avail"][0] | first["avail"][1] << 32
    # The state of virtio-net itself begins with the MAC address.
    assert blob["device"]["mac"] == "525400123456"


@pytest.fixture
def blob(sample: Path) -> bytes:
    """The virtio blob of a virtio-net."""
    with Dump.open(sample) as dump:
        return read_section(dump, select_sections(dump, "virtio-net")[0]).data


def opened(blob: bytes) -> dict[str, Any]:
    layout = virtio_layout.read_blob(blob)
    assert layout is not None
    return build_tree(layout.layout(), blob).value(blob)


def subsection(name: bytes, body: bytes) -> bytes:
    return b"\5" + bytes([len(name)]) + name + struct.pack(">I", 1) + body


def test_a_subsection_of_a_newer_qemu_is_bytes_and_those_around_it_are_not(blob: bytes) -> None:
    extra = blob.index(b"\5\x12virtio/extra_state")
    for place in (extra, len(blob)):
        longer = blob[:place] + subsection(b"virtio/from_the_future", b"\1\2\3") + blob[place:]
        values = opened(longer)
        assert values["virtio/from_the_future"] == {"data": "010203"}
        assert values["virtio/extra_state"] == opened(blob)["virtio/extra_state"]
        assert values["device"] == opened(blob)["device"]


def test_what_looks_like_a_subsection_in_the_state_of_the_device_is_none(blob: bytes) -> None:
    first = blob.index(b"\5\x15virtio/64bit_features")
    fake = subsection(b"virtio/broken", b"\0") + b"more of the device's own state"
    values = opened(blob[:first] + fake + blob[first:])
    assert values["device"] == opened(blob)["device"] + fake.hex()
    assert "virtio/broken" not in values


def test_subsections_that_do_not_lead_to_the_end_are_left_as_bytes(blob: bytes) -> None:
    values = opened(blob + b"\0")
    assert [name for name in values if "/" in name] == []
    assert values["device"].endswith(b"virtio/started".hex() + "00000001" + "01" + "00")


def test_a_blob_without_subsections_is_the_device_to_its_end(blob: bytes) -> None:
    first = blob.index(b"\5\x15virtio/64bit_features")
    values = opened(blob[:first])
    assert values["device"] == opened(blob)["device"]


@pytest.mark.parametrize("damaged", [b"", b"\0" * 300, b"\xff" * 50_000], ids=["empty", "zeros", "ones"])
def test_what_is_no_virtio_of_a_pci_device_stays_closed(damaged: bytes) -> None:
    assert virtio_layout.read_blob(damaged) is None


@pytest.mark.parametrize(
    ("offset", "byte"),
    [(3, 3), (2, 1), (4 + 256, 1), (4 + 256 + 15, 2)],
    ids=["version 3", "version 258", "first level", "last level"],
)
def test_a_version_or_a_level_that_no_pci_device_has_keeps_it_closed(
    blob: bytes, offset: int, byte: int
) -> None:
    damaged = bytearray(blob)
    damaged[offset] = byte
    assert virtio_layout.read_blob(bytes(damaged)) is None


def test_a_level_that_is_set_is_sound(blob: bytes) -> None:
    raised = bytearray(blob)
    raised[4 + 256 + 15] = 1
    assert opened(bytes(raised))["pci"]["irq_state"] == [0, 0, 0, 1]


def test_a_device_type_without_a_state_of_its_own_has_none() -> None:
    with Dump.open(REPOSITORY / "samples" / "q35-nvme-igb-11.1.mig.xz") as dump:
        (gpu,) = sections(dump, "virtio-gpu")
    assert "device" not in gpu.values()["virtio"]
    assert list(gpu.values()) == ["virtio", "virtio-gpu"]


def test_a_stream_full_of_headers_of_subsections_takes_no_time(blob: bytes) -> None:
    first = blob.index(b"\5\x15virtio/64bit_features")
    values = opened(blob[:first] + subsection(b"virtio/no_such", b"") * 100_000 + b"\0")
    # Only the last ones are looked at, and of those every one that nothing contradicts is believed.
    assert len(values["device"]) > 2 * 90_000


def test_without_a_vmdesc_virtio_is_opened_all_the_same_and_other_sections_are_bytes(
    raw_sample: Path, tmp_path: Path
) -> None:
    data = raw_sample.read_bytes()
    with Dump.open(raw_sample) as dump:
        assert dump.index.description is not None
        bare = tmp_path / "bare"
        bare.write_bytes(data[: dump.index.description.offset])
        described = {section.name: section for section in sections(dump)}
    with Dump.open(bare) as dump:
        for section in sections(dump):
            if "virtio" in section.name:
                assert section.values() == described[section.name].values()
            else:
                assert section.values() == ({"data": section.data.hex()} if section.data else {})
        assert dump.damage == []


def test_a_vmdesc_that_does_not_fit_is_damage_and_the_section_is_given_in_hex(
    raw_sample: Path, tmp_path: Path
) -> None:
    data = raw_sample.read_bytes()
    wrong = data.replace(
        b'"name": "dshift", "type": "int32", "size": 4', b'"name": "dshift", "type": "int32", "size": 3'
    )
    assert wrong != data
    path = tmp_path / "wrong"
    path.write_bytes(wrong)
    with Dump.open(path) as dump:
        for section in sections(dump, "dma"):
            assert section.values() == {"data": section.data.hex()}
        assert dump.damage


def test_a_struct_that_does_not_add_up_is_damage_of_its_section(raw_sample: Path, tmp_path: Path) -> None:
    data = raw_sample.read_bytes()
    wrong = data.replace(
        b'{"name": "portsc", "type": "uint32", "size": 4}', b'{"name": "portsc", "type": "uint16", "size": 2}'
    )
    assert wrong != data
    path = tmp_path / "wrong"
    path.write_bytes(wrong)
    with Dump.open(path) as dump:
        (xhci,) = sections(dump, "xhci")
    assert xhci.damage is not None
    assert str(xhci.damage.message).startswith("section 0000:00:05.0/xhci: vmdesc of xhci-port")
    assert xhci.values() == {"data": xhci.data.hex()}


def test_a_section_that_is_too_long_is_not_read(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "MAX_SECTION", 1000)
    with Dump.open(sample) as dump:
        (xhci,) = sections(dump, "xhci")
    assert xhci.values() == {}
    assert "expected at most 1000 bytes, found 5343" in str(xhci.damage)


def test_sections_are_selected_as_devices_are(sample: Path) -> None:
    with Dump.open(sample) as dump:
        names = {
            pattern: [item.idstr for item in select_sections(dump, pattern)]
            for pattern in ("04.0", "dma@1", "virtio-*")
        }
        assert names == {
            "04.0": ["0000:00:04.0/e1000e"],
            "dma@1": ["dma"],
            "virtio-*": ["0000:00:02.0/virtio-net", "0000:00:03.0/virtio-blk"],
        }
        with pytest.raises(UsageError, match=r"no section matches 'x': expected .*apic"):
            select_sections(dump, "x")


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        ("e1000e", "parent_obj[0]/version_id", 2),
        ("e1000e", "parent_obj[0].version_id", 2),
        ("e1000e", "core.mac[2]", None),
        ("xhci", "xhci/ports[7]/portsc", None),
        ("ICH9LPC", "pm/ich9_pm/tco/tco_regs/tco.tmr", 4),
        ("virtio-net", "virtio/virtio/extra_state/virtio_pci/modern_state/queues[0]/enabled", 1),
    ],
)
def test_a_path_leads_to_its_value(sample: Path, pattern: str, path: str, value: Any) -> None:
    with Dump.open(sample) as dump:
        (section,) = sections(dump, pattern)
    leaf = find(section, path)
    found = leaf.value(section.data)
    if value is not None:
        assert found == value
    assert flat(section.values())[path.replace("].v", "]/v")] == found


def flat(values: Any, path: str = "") -> dict[str, Any]:
    """All values by their paths."""
    if isinstance(values, dict):
        members = [(f"{path}/{name}" if path else name, value) for name, value in values.items()]
    elif isinstance(values, list):
        members = [(f"{path}[{index}]", value) for index, value in enumerate(values)]
    else:
        return {path: values}
    return {name: value for member, inner in members for name, value in flat(inner, member).items()}


def test_a_whole_array_has_a_path_too(sample: Path) -> None:
    with Dump.open(sample) as dump:
        (section,) = sections(dump, "apic")
    leaf = find(section, "lvt")
    assert leaf.value(section.data) == section.values()["lvt"]
    assert leaf_bytes(leaf, [1, 2, 3, 4, 5, 6]) == struct.pack(">6I", 1, 2, 3, 4, 5, 6)
    for wrong in ([1, 2], 7):
        with pytest.raises(FormatError, match="a list of 6 values"):
            leaf_bytes(leaf, wrong)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("no such", "one of parent_obj"),
        ("parent_obj[0]", "the path of a value in it: one of version_id"),
        ("xhci/intr", r"the path of a value in it: \[0\] to \[15\]"),
        ("xhci/intr[16]/iman", "one of parent_obj"),
        ("xhci/intr[x]/iman", "one of parent_obj"),
        ("xhci/", "one of parent_obj"),
        ("", "the path of a value in it"),
    ],
)
def test_a_path_that_leads_to_no_value_is_refused_with_what_there_is(
    sample: Path, path: str, expected: str
) -> None:
    with Dump.open(sample) as dump:
        (section,) = sections(dump, "xhci")
    with pytest.raises(UsageError, match=expected):
        find(section, path)


def test_the_text_of_a_document_is_the_document(sample: Path) -> None:
    with Dump.open(sample) as dump:
        sections = [read_section(dump, item) for item in select_sections(dump, None)]
        document = fields_document(Origin.of(dump), sections)
        assert len(document["sections"]) > 10
        assert "".join(fields_json(Origin.of(dump), sections)) == json.dumps(document, ensure_ascii=False)
