"""build(parse(b)) == b for every record of every real stream."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from construct import Bytes, Struct, this
from hypothesis import given, strategies as st

from msixtool.containers.file import BytesSource
from msixtool.devices.locate import find_devices
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import build, function, msix, parse, pci, qevm, ram, sizeof, virtio, vmdesc
from msixtool.formats.qevm import OPENING, ItemType
from msixtool.msix.state import MsixState
from msixtool.stream.read import read_stream
from tests.conftest import unpacked

AER_LOG_HEAD_SIZE = sizeof(function.AER_LOG_HEAD)


def assert_rebuilds(schema: Any, data: bytes, what: str) -> Any:
    value = parse(schema, data, what=what)
    built = build(schema, value, what=what)
    assert built == data[: len(built)], what
    assert built
    return value


def test_headers_footers_commands_and_configuration(stream_path: Path) -> None:
    data = unpacked(stream_path)
    index = read_stream(BytesSource(data))
    assert_rebuilds(qevm.HEADER, data, "header")
    for item in index.items:
        record = data[item.offset : item.end]
        if item.type in OPENING:
            assert_rebuilds(qevm.SECTION_HEADER, record, "section header")
        elif item.type == ItemType.COMMAND:
            assert build(qevm.COMMAND, parse(qevm.COMMAND, record, what="command"), what="command") == record
        elif item.type == ItemType.CONFIGURATION:
            value = parse(qevm.CONFIGURATION, record, what="configuration")
            assert build(qevm.CONFIGURATION, value, what="configuration") == record
        if index.footers and item.type == ItemType.SECTION_FULL:
            assert_rebuilds(qevm.FOOTER, data[item.end - 5 : item.end], "footer")
    assert index.items


def test_pci_capability_and_msix_state_of_every_device(stream_path: Path) -> None:
    data = unpacked(stream_path)
    source = BytesSource(data)
    devices, _ = find_devices(source, read_stream(source))
    for device in devices:
        raw = data[device.offset : device.offset + device.length]
        assert_rebuilds(msix.vmstate(device.vectors), raw, "MSI-X state")
        assert device.state.to_vmstate() == raw
        assert device.config is not None
        assert device.config_offset is not None
        assert device.capability is not None
        size = len(device.config.data)
        start = device.config_offset - 4
        behind = device.offset - start - pci.device_vmstate_size(size)
        assert_rebuilds(pci.device_vmstate(size), data[start:], "PCIDevice")
        if behind in (0, AER_LOG_HEAD_SIZE):
            begin = function.schema(size, device.vectors, aer_log=behind > 0)
            value = assert_rebuilds(begin, data[start:], "how its state begins")
            assert MsixState.from_vmstate(raw, device.vectors).entries == tuple(value.msix.table)
        assert_rebuilds(pci.HEADER, device.config.data, "header of configuration space")
        assert_rebuilds(msix.CAPABILITY, device.config.data[device.capability.offset :], "capability")


def test_virtio_transport_core_and_queues(stream_path: Path) -> None:
    data = unpacked(stream_path)
    source = BytesSource(data)
    devices, _ = find_devices(source, read_stream(source))
    for device in (device for device in devices if device.virtio):
        state = device.virtio
        assert state is not None
        assert device.config is not None
        blob = data[device.config_offset - 4 :]  # type: ignore[operator]
        assert_rebuilds(virtio.transport(len(device.config.data), device.vectors), blob, "transport")
        assert_rebuilds(virtio.CORE, blob[state.core_offset :], "core")
        for number in range(len(state.queues)):
            at = state.queues_offset + number * virtio.QUEUE_WITH_VECTOR.sizeof()
            assert_rebuilds(virtio.QUEUE_WITH_VECTOR, blob[at:], "queue")


def test_vmdesc_text_in_every_style(stream_path: Path) -> None:
    index = read_stream(BytesSource(unpacked(stream_path)))
    if index.description is None:
        pytest.skip("this stream has no vmdesc")
    text = index.description.text
    assert vmdesc.vmdesc_text(vmdesc.document_of(text), spaced=vmdesc.is_spaced(text)) == text


COMPRESSED = Struct(
    *ram.PAGE_RECORD_HEADER.subcons, *ram.COMPRESSED_HEAD.subcons, "data" / Bytes(this.length)
)


def ram_records(data: bytes, offset: int) -> Iterator[tuple[Any, int]]:
    """Schema and offset of each RAM record up to EOS; of runs of zero pages every 64th."""
    zeros = 0
    while True:
        (header,) = struct.unpack_from(">Q", data, offset)
        flags = header & 0xFFF
        if flags & (ram.Flag.EOS | ram.Flag.MEM_SIZE | ram.Flag.MULTIFD_FLUSH):
            return
        if flags == ram.Flag.ZERO | ram.Flag.CONTINUE:
            zeros += 1
            if zeros % 64:
                offset += 9
                continue
        schema = {
            ram.Flag.ZERO: ram.ZERO_RECORD,
            ram.Flag.PAGE: ram.PAGE_RECORD_HEADER,
            ram.Flag.COMPRESS_PAGE: COMPRESSED,
        }[flags & ~ram.Flag.CONTINUE]
        yield schema, offset
        value = schema.parse(data[offset : offset + 8192])
        offset += len(schema.build(value)) + (4096 if schema is ram.PAGE_RECORD_HEADER else 0)


def test_ram_records(stream_path: Path) -> None:
    data = unpacked(stream_path)
    index = read_stream(BytesSource(data))
    part = next(item for item in index.items if item.idstr == "ram" and item.type == ItemType.SECTION_PART)
    if index.mapped_ram:
        start = next(item for item in index.items if item.idstr == "ram")
        name = data[start.data_offset + 8 : start.data_offset + 8 + 264]
        block = assert_rebuilds(ram.BLOCK, name, "block")
        at = start.data_offset + 8 + 9 + len(block.idstr)
        assert_rebuilds(ram.MAPPED_RAM_HEADER, data[at : at + 28], "mapped-ram header")
        return
    count = 0
    for schema, offset in ram_records(data, part.data_offset):
        assert_rebuilds(schema, data[offset : offset + 8192], "RAM record")
        count += 1
    assert count >= 3


@given(vectors=st.integers(1, msix.MAX_VECTORS))
def test_vector_count_follows_from_the_size_of_the_vmstate(vectors: int) -> None:
    assert msix.vectors_of_size(msix.vmstate_size(vectors)) == vectors


@given(size=st.integers(0, 1 << 16))
def test_a_size_that_no_vector_count_has_is_refused(size: int) -> None:
    vectors = msix.vectors_of_size(size)
    assert vectors is None or msix.vmstate_size(vectors) == size


@given(data=st.binary(max_size=64))
def test_no_construct_exception_passes_the_seam(data: bytes) -> None:
    for schema in (
        qevm.CONFIGURATION,
        qevm.COMMAND,
        pci.HEADER,
        msix.vmstate(3),
        virtio.CORE,
        ram.XBZRLE_HEAD,
    ):
        with suppress(FormatError):
            parse(schema, data, what="record")


def test_a_record_that_is_cut_short_says_how_much_was_there() -> None:
    with pytest.raises(TruncatedError, match=r"offset 0x10: MSI-X state is cut short.*found only 20"):
        parse(msix.vmstate(5), bytes(20), what="MSI-X state", offset=16)


@pytest.mark.parametrize("spaced", [False, True])
def test_vmdesc_keeps_objects_whose_names_repeat(spaced: bool) -> None:
    colon = " : " if spaced else ": "
    pad = " " if spaced else ""
    text = (
        f'{{{pad}"devices"{colon}[{pad}{{{pad}"name"{colon}"a", "name"{colon}"b"{pad}}}{pad}]{pad}}}'.encode()
    )
    assert vmdesc.vmdesc_text(vmdesc.document_of(text), spaced=spaced) == text


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"devices": 3}', b"\xff", b"[" * 100_000])
def test_a_vmdesc_that_is_no_vmdesc_is_one_error(text: bytes) -> None:
    with pytest.raises(FormatError, match="vmdesc"):
        vmdesc.document_of(text)


@given(
    st.sampled_from(OPENING),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=255),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_headers_and_footers_in_bulk_are_those_of_the_schemas(
    kind: ItemType, section_id: int, name: bytes, instance: int, version: int
) -> None:
    values = (kind, section_id, name.decode("latin-1"), instance, version)
    names = ("type", "section_id", "idstr", "instance_id", "version_id")
    head = build(qevm.SECTION_HEADER, dict(zip(names, values, strict=True)), what="header")
    assert qevm.section_header(head) == values
    assert qevm.footer(section_id) == build(qevm.FOOTER, {"section_id": section_id}, what="footer")
    part = {"type": ItemType.SECTION_END.value, "section_id": section_id}
    assert qevm.part_header(ItemType.SECTION_END, section_id) == build(qevm.PART_HEADER, part, what="part")
