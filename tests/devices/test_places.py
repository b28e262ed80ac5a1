"""Where a section has its configuration space, MSI-X state and virtio blob: one answer for every room."""

from __future__ import annotations

from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.containers.file import BytesSource
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.places import config_space, places_of
from msixtool.formats import build, function, msix, pci, qevm
from msixtool.formats.qevm import ItemType
from msixtool.msix.state import MsixEntry
from msixtool.stream.items import Item
from msixtool.tasks.explain.evidence import StreamAtHand
from tests.conftest import REPOSITORY, SAMPLES, STREAMS, stream_id

RARE = REPOSITORY / "tests" / "data" / "rare"
OTHER_BUSES = {"aarch64-virt-7.2": "virtio-mmio@", "microvm-7.2": "virtio-mmio@", "s390x-ccw-7.2": "/fe."}
"""Streams with a virtio device that is on no PCI bus, and how the names of such begin."""


@pytest.mark.parametrize("path", SAMPLES + STREAMS[::9], ids=stream_id)
def test_the_places_are_those_of_the_devices_and_explain_has_the_same_bytes(path: Path) -> None:
    with Dump.open(path) as dump:
        evidence = StreamAtHand(dump)
        for device in dump.devices:
            places = places_of(dump.source, device.item)
            if device.kind == "vmxnet3-msix":
                assert (places.config, places.table) == (None, 0)
                continue
            assert device.config is not None
            assert device.item.data_offset + (places.config or 0) == device.config_offset
            assert device.item.data_offset + (places.table or 0) == device.offset
            assert evidence.config(device.name) == device.config.data


def test_a_function_without_msix_has_its_places_too() -> None:
    with Dump.open(RARE / "aarch64-virt-7.2.mig.xz") as dump:
        found = {
            str(item.idstr): space
            for item in dump.index.full_sections()
            if (space := config_space(dump.source, item)) is not None
        }
    assert found.keys() >= {"0000:00:00.0/gpex_root", "0000:00:02.0/virtio-net"}
    assert (found["0000:00:00.0/gpex_root"].header.vendor_id, len(found)) == (0x1B36, 3)


@pytest.mark.parametrize("name", OTHER_BUSES)
def test_virtio_on_another_bus_has_a_blob_and_no_configuration_space(name: str) -> None:
    with Dump.open(RARE / f"{name}.mig.xz") as dump:
        there = [item for item in dump.index.full_sections() if str(item.idstr).startswith(OTHER_BUSES[name])]
        blobs = [places for item in there if (places := places_of(dump.source, item)).virtio is not None]
        assert blobs
        assert all(places.config is places.table is None for places in blobs)
        evidence = StreamAtHand(dump)
        assert not any(evidence.config(str(item.idstr)) for item in there)
        named = {name for value in range(256) for name in evidence.with_byte(0, value).names}
        assert not named & {str(item.idstr) for item in there}


def test_virtio_behind_a_port_has_4096_bytes_and_explain_sees_all_of_them() -> None:
    with Dump.open(REPOSITORY / "samples" / "q35-root-ports-10.0.mig.xz") as dump:
        name = "0000:00:02.0:00.0/virtio-net"
        config = StreamAtHand(dump).config(name)
        assert config is not None
        assert len(config) == pci.EXPRESS_CONFIG_SIZE
        assert name in StreamAtHand(dump).with_byte(0x100, config[0x100]).names


def port(errors: int) -> tuple[BytesSource, Item]:
    """The section of a root port without a vmdesc, with that many errors in its AER log."""
    config = bytearray(pci.EXPRESS_CONFIG_SIZE)
    config[6] = pci.Status.CAPABILITY_LIST
    config[0x34] = 0x48
    config[0x48 : 0x48 + msix.CAP_SIZE] = build(
        msix.CAPABILITY, {"next": 0, "control": 0, "table": 0, "pba": 0x800}, what="capability"
    )
    device = {"version_id": 2, "config": bytes(config), "irq_state": [0] * 4}
    error = {"status": 1, "source_id": 8, "flags": 0, "header": [1, 2, 3, 4], "prefix": [0] * 4}
    log = {"log_num": errors, "log_max": 8, "log": [error] * errors}
    value = {"pci": device, "aer_log": log, "msix": {"table": [MsixEntry(0xFEE00000)], "pba": b"\0"}}
    data = build(function.schema(len(config), 1, aer_log=True), value, what="port")
    item = Item(ItemType.SECTION_FULL, 0, len(data), idstr="0000:00:01.0/pcie-root-port", instance_id=0)
    item.data_offset, item.data_length = 0, len(data)
    return BytesSource(data), item


@pytest.mark.parametrize("errors", [0, 1, 3, 8])
def test_msix_stands_behind_the_errors_in_the_log_of_a_port(errors: int) -> None:
    source, item = port(errors)
    places = places_of(source, item)
    assert places.table == item.data_length - msix.vmstate_size(1)


def test_an_old_vmxnet3_on_pci_express_has_its_configuration_space_in_a_subsection() -> None:
    head = build(qevm.SUBSECTION_HEADER, {"name": "vmxnet3/pcie", "version_id": 0}, what="subsection")
    config = bytes([0xAD, 0x15]) + bytes(pci.EXPRESS_CONFIG_SIZE - 2)
    device = {"version_id": 2, "config": config, "irq_state": [0] * 4}
    data = bytes(900) + head + build(pci.device_vmstate(len(config)), device, what="PCIDevice")
    item = Item(ItemType.SECTION_FULL, 0, len(data), idstr="0000:00:02.0/vmxnet3", instance_id=0)
    item.data_offset, item.data_length = 0, len(data)
    assert config_space(BytesSource(data), item) == ConfigSpace(config)
    item.data_length -= len(config)
    assert config_space(BytesSource(data), item) is None, "the section ends inside it"
