"""Rare kinds of streams as real QEMUs wrote them (tests/data/rare): what is in them, by name."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.formats.qevm import ItemType
from msixtool.stream.items import StreamIndex
from tests.conftest import unpacked
from tests.stream.ways import MAPPED_OFFSET, RARE, rare, walked


def opened(name: str, tmp_path: Path) -> Dump:
    file = tmp_path / f"{name}.mig"
    file.write_bytes(rare(name))
    return Dump.open(str(file), walk=True)


def kinds(index: StreamIndex, name: str) -> list[str]:
    """The types of the items of one section, in order, or of the commands of one kind."""
    return [item.type.word for item in index.items if item.idstr == name]


def test_the_readme_tells_the_provenance_of_every_file() -> None:
    text = (RARE[0].parent / "README.md").read_text()
    rows = re.findall(
        r"^\| `(\S+\.mig\.xz)` \|.*\| (\d+) \| (\d+) \| `([0-9a-f]{64})` \|$", text, re.MULTILINE
    )
    files = {path.name: (str(len(path.read_bytes())), str(len(unpacked(path)))) for path in RARE}
    assert {name: (size, whole) for name, size, whole, _ in rows} == files
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in RARE}
    assert {name: digest for name, _, _, digest in rows} == digests


@pytest.mark.parametrize(("name", "doorbell"), [("aarch64-virt", 0x8020040), ("riscv64-virt", 0x28000000)])
def test_devices_of_other_architectures(tmp_path: Path, name: str, doorbell: int) -> None:
    dump = opened(name, tmp_path)
    assert not dump.is_x86
    assert [device.name for device in dump.devices] == ["0000:00:02.0/virtio-net", "0000:00:03.0/e1000e"]
    for device in dump.devices:
        assert device.capability is not None
        assert device.capability.enabled
        assert device.bus_master
        *open_entries, last = device.state.entries
        assert [(e.address, e.data, e.masked) for e in open_entries] == [
            (doorbell, 0x50 + vector, False) for vector in range(device.vectors - 1)
        ]
        assert last.masked


def test_the_page_size_of_aarch64_is_in_its_configuration() -> None:
    data = rare("aarch64-virt")
    assert walked(data).page_size == 4096
    index = walked(data[: walked(data).items[-1].offset])
    assert index.description is None
    assert index.page_size == 4096
    assert b"configuration/target-page-bits" in data[: index.items[0].end]


def test_a_virtio_device_on_another_bus_is_none_with_msix(tmp_path: Path) -> None:
    for name, section in (
        ("aarch64-virt", "virtio-mmio@000000000a003e00/virtio-rng"),
        ("microvm", "virtio-mmio@00000000feb02e00/virtio-net"),
        ("s390x-ccw", "/fe.0.0000/virtio-net"),
    ):
        dump = opened(name, tmp_path)
        assert section in [item.idstr for item in dump.index.full_sections()]
        assert section not in [device.name for device in dump.devices]
        assert not dump.damage


def test_the_hash_page_table_of_pseries(tmp_path: Path) -> None:
    dump = opened("ppc64-pseries", tmp_path)
    assert Counter(kinds(dump.index, "spapr/htab")) == {"start": 1, "part": 1, "end": 1}
    assert [(d.name, d.vectors) for d in dump.devices] == [
        ("pci@800000020000000:02.0/virtio-net", 4),
        ("pci@800000020000000:03.0/e1000e", 5),
    ]


def test_storage_attributes_and_keys_of_s390() -> None:
    index = walked(rare("s390x-ccw"))
    assert kinds(index, "s390-storage_attributes") == ["start", "part", "end"]
    assert kinds(index, "s390-skeys") == kinds(index, "todclock") == ["full"]


def test_sizes_in_the_vmdesc_are_not_believed_where_an_array_holds_null() -> None:
    index = walked(rare("s390x-ccw"))
    (css,) = (item for item in index.full_sections() if item.idstr == "s390_css")
    assert css.layout is None
    assert css.data_length > 1000
    assert index.damage == []


def test_device_state_that_was_saved_alone(tmp_path: Path) -> None:
    dump = opened("xen-save", tmp_path)
    assert {item.type for item in dump.index.items} == {ItemType.SECTION_FULL}
    assert dump.index.machine is None
    assert dump.index.description is None
    assert dump.is_x86
    assert [d.kind for d in dump.devices] == ["virtio-net", "e1000e"]


def test_a_section_that_is_one_buffer() -> None:
    index = walked(rare("slirp"))
    (slirp,) = (item for item in index.full_sections() if item.idstr == "slirp")
    assert slirp.layout is not None
    assert [f.type for f in slirp.layout.fields] == ["buffer"]


@pytest.mark.parametrize("name", ["eeproms", "eeproms-no-footers-no-vmdesc"])
def test_a_section_whose_version_is_a_date(tmp_path: Path, name: str) -> None:
    dump = opened(name, tmp_path)
    found = [item for item in dump.index.full_sections() if str(item.idstr).endswith("/eeprom")]
    assert [item.idstr for item in found] == ["0000:00:02.0/eeprom", "0000:00:03.0/eeprom"]
    assert {item.version_id for item in found} == {20061113}
    assert [device.name for device in dump.devices] == ["0000:00:04.0/e1000e"]
    assert dump.damage == []


def test_an_early_section_stands_before_ram() -> None:
    index = walked(rare("virtio-mem-early"))
    names = [item.idstr for item in index.items]
    assert names.index("0000:00:02.0/virtio-mem-device-early") < names.index("ram")
    assert index.description is not None
    assert index.description.contents.devices[0].idstr == "0000:00:02.0/virtio-mem-device-early"


def test_dirty_bitmaps_take_turns_with_ram() -> None:
    index = walked(rare("dirty-bitmap"))
    assert kinds(index, "dirty-bitmap")[0] == "start"
    assert kinds(index, "dirty-bitmap")[-1] == "end"
    assert kinds(index, "dirty-bitmap").count("part") > 1


def test_disk_blocks() -> None:
    index = walked(rare("block-migration"))
    (part,) = (item for item in index.items if item.idstr == "block" and item.type == ItemType.SECTION_PART)
    assert part.data_length > 1 << 20


def test_a_background_snapshot_has_no_end_of_ram() -> None:
    index = walked(rare("background-snapshot"))
    assert set(kinds(index, "ram")) == {"start", "part"}
    assert index.description is not None


def test_postcopy_packs_device_state_and_goes_on_with_ram() -> None:
    index = walked(rare("postcopy"))
    names = [item.idstr for item in index.items]
    assert names.index("packaged") < names.index("timer") < names.index("postcopy-run")
    assert kinds(index, "ram")[-2:] == ["part", "end"]
    assert index.description is None
    assert index.ram is not None
    assert index.ram.pages >= 256


def test_ram_sent_as_differences() -> None:
    index = walked(rare("xbzrle"))
    assert index.ram is not None
    assert index.ram.xbzrle > 4


def test_the_main_channel_of_multifd_has_no_pages() -> None:
    (path,) = (p for p in RARE if p.name.startswith("multifd-main-11.1"))
    index = walked(unpacked(path))
    assert index.ram is not None
    assert (index.ram.pages, index.ram.zero) == (0, 0)
    assert index.ram.flushes > 0


def test_mapped_ram_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    (path,) = (p for p in RARE if p.name.startswith("mapped-ram-offset"))
    file = tmp_path / "mapped"
    data = unpacked(path)
    file.write_bytes(data)
    for walk in (False, True):
        with Dump.open(str(file), offset=MAPPED_OFFSET, walk=walk) as dump:
            assert dump.damage == []
            assert [d.kind for d in dump.devices] == ["virtio-net", "e1000e"]
            device = dump.devices[1]
            at = device.offset + dump.base_offset
            assert data[at : at + device.length] == device.state.to_vmstate()


@pytest.mark.parametrize(
    ("name", "footers", "vmdesc"),
    [
        ("no-footers-no-vmdesc", False, False),
        ("no-footers", False, True),
        ("no-vmdesc", True, False),
        ("slirp", True, True),
    ],
)
def test_old_machine_types(tmp_path: Path, name: str, footers: bool, vmdesc: bool) -> None:
    dump = opened(name, tmp_path)
    assert (dump.index.footers, dump.index.description is not None) == (footers, vmdesc)
    assert [d.kind for d in dump.devices] in (["virtio-net", "e1000e"], ["virtio-net"])
    assert not dump.damage
