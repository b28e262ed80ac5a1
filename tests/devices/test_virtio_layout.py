"""The inside of a virtio blob: rings, features, and the state of each device type."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.devices import virtio_layout
from msixtool.devices.virtio_layout import Part, RingAddresses, VirtioLayout
from msixtool.formats import sizeof, virtio_types
from msixtool.tasks.fields import read_section, select_sections

CONFIG = b"\xf4\x1a\x00\x10" + bytes(252)
FEATURES = b"\5\x15virtio/64bit_features\0\0\0\1\0\0\0\0\0\0\0\0"
MAC, MACS = b"\x52\x54\0\1\2\3", b"macs_1macs_2"
NET = MAC + struct.pack(">IIHBBI", 0, 1, 1, 0, 0, 2) + MACS + bytes(512) + b"\0\0\0\1"
NET_FLAGS = bytes(7)


def blob(
    own: bytes, *, features: int = 0, queues: int = 0, packed: bool = False, more: bytes = FEATURES
) -> bytes:
    """A virtio-pci blob without MSI-X that has `own` behind its queues."""
    core = struct.pack(">BBHIII", 7, 0, 0, features, 0, queues)
    ring = struct.pack(">IQH", 256, 0, 0) * queues
    ring_state = bytes(10 * 1024)
    offered = b"\5\x18virtio/packed_virtqueues\0\0\0\1" + ring_state if packed else b""
    return b"\0\0\0\2" + CONFIG + bytes(16) + core + ring + own + more + offered


def layout_of(kind: str, data: bytes) -> VirtioLayout:
    layout = virtio_layout.read_blob(data, kind)
    assert layout is not None
    return layout


def own_of(kind: str, data: bytes) -> Part:
    own = layout_of(kind, data).own
    assert own is not None
    return own


def test_rings_and_features_of_a_modern_and_of_a_legacy_queue(sample: Path) -> None:
    with Dump.open(sample) as dump:
        (section,) = [read_section(dump, item) for item in select_sections(dump, "virtio-net")]
    layout = layout_of("virtio-net", section.data)
    virtio = section.values()["virtio"]
    assert layout.features == virtio["virtio/64bit_features"]["guest_features"]
    rings = virtio["virtio/virtqueues"]["rings"]
    for index, queue in enumerate(virtio["queues"]):
        expected = (
            RingAddresses(queue["desc"], rings[index]["avail"], rings[index]["used"])
            if queue["desc"]
            else None
        )
        assert layout.ring(index) == expected
    assert layout.ring(len(virtio["queues"])) is None
    core = struct.pack(">BBHIII", 7, 0, 0, 0, 0, 1) + struct.pack(">IQH", 256, 0x10000, 3)
    legacy = layout_of("virtio-rng", b"\0\0\0\2" + CONFIG + bytes(16) + core)
    assert legacy.ring(0) == RingAddresses(0x10000, 0x11000, 0x12000)
    assert legacy.packed(0) is None


@pytest.mark.parametrize("pairs", [1, 2, 4, 8])
@pytest.mark.parametrize("offloads", [False, True])
def test_virtio_net_ends_where_its_subsections_begin(pairs: int, offloads: bool) -> None:
    own = NET + NET_FLAGS
    if pairs > 1:
        own += struct.pack(">HH", pairs, pairs) + b"\0\0\0\1" * (pairs - 1)
    if offloads:
        own += struct.pack(">Q", 0x83)
    found = own_of("virtio-net", blob(own, features=offloads << virtio_types.NET_CTRL_GUEST_OFFLOADS))
    assert found.end - found.body == len(own)
    value = found.value
    assert (value.mac, value.mac_table, value.has_vnet_hdr) == (
        b"\x52\x54\0\1\2\3",
        [b"macs_1", b"macs_2"],
        1,
    )
    assert value.max_queue_pairs == (pairs if pairs > 1 else None)
    assert value.curr_guest_offloads == (0x83 if offloads else None)


@pytest.mark.parametrize("version", [1, 2])
def test_rss_is_read_by_its_version(version: int) -> None:
    rss = struct.pack(">BBBI", 1, 0, 0, 0x3F) + (b"\0\0\1\xff" if version == 2 else b"")
    rss += struct.pack(">HH", 128, 0) + bytes(40) + struct.pack(">128H", *range(128))
    record = b"\5\x15virtio-net-device/rss" + struct.pack(">I", version) + rss
    layout = layout_of("virtio-net", blob(NET + NET_FLAGS, more=record + FEATURES))
    found = layout.subsection("virtio-net-device/rss")
    assert found is not None
    assert found.value.indirections_table == list(range(128))
    assert found.value.supported_hash_types == (0x1FF if version == 2 else None)
    assert layout.subsection("virtio/64bit_features") is not None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("requests", [0, 1, 3])
def test_requests_of_virtio_blk(requests: int, queues: int, packed: bool) -> None:
    element = struct.pack("<IIII", 5, 1, 2, 0) + bytes(sizeof(virtio_types.ELEMENT, packed=False) - 16)
    one = b"\1" + (b"\0\0\0\1" if queues > 1 else b"") + (b"\0\0\0\3" if packed else b"") + element
    found = own_of("virtio-blk", blob(one * requests + b"\0", queues=queues, packed=packed))
    assert found.end - found.body == len(one) * requests + 1
    assert [(request.queue, request.element.out_num) for request in found.value.requests[:-1]] == (
        [(1 if queues > 1 else None, 1)] * requests
    )


def test_a_serial_port_with_a_buffer_in_flight() -> None:
    element = struct.pack("<IIII", 5, 1, 0, 0) + bytes(sizeof(virtio_types.ELEMENT, packed=False) - 16)
    ports = struct.pack(">IBBI", 0, 0, 0, 0) + struct.pack(">IBBIIQ", 1, 1, 1, 1, 0, 512) + element
    own = struct.pack(">HHIIII", 0, 0, 64, 3, 0, 2) + ports
    found = own_of("virtio-console", blob(own))
    assert found.end - found.body == len(own)
    assert [(port.id, port.iov_offset) for port in found.value.ports] == [(0, None), (1, 512)]


@pytest.mark.parametrize("version", [1, 2])
def test_domains_of_virtio_iommu(version: int) -> None:
    bypass = b"\0" if version == 2 else b""
    mapping = b"\1" + struct.pack(">QQQI", 0x1000, 0x1FFF, 0x80000, 3)
    endpoints = b"\1\0\0\0\x18\1\0\0\0\x20\0"
    domain = b"\1" + struct.pack(">QII", 7, 7, 1) + mapping + b"\0" + endpoints + bypass
    own = b"\0\0\0\2" + domain * 2 + b"\0" + bypass
    found = own_of("virtio-iommu", blob(own))
    assert found.end - found.body == len(own)
    assert [[end.id for end in one.endpoints] for one in found.value.domains] == [[24, 32, None]] * 2


def test_virtio_mem_with_and_without_an_early_section() -> None:
    early = own_of("virtio-mem", blob(struct.pack(">QQ", 1 << 30, 1 << 28)))
    assert early.value.requested_size == 1 << 28
    checks = struct.pack(">QQQI", 4 << 30, 1 << 30, 2 << 20, 0)
    whole = own_of("virtio-mem", blob(checks + struct.pack(">QQQ", 1 << 30, 0, 0) + bytes(8 * 8)))
    assert whole.value.checks.block_size == 2 << 20
    assert len(whole.value.bitmap) == 8


@pytest.mark.parametrize("kind", sorted(virtio_types.OWN))
def test_what_does_not_fit_is_bytes_up_to_the_subsections(kind: str) -> None:
    odd = b"\1\2\3"
    found = own_of(kind, blob(odd))
    assert found.value is None
    assert found.end - found.body == len(odd)
