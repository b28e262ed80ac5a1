"""Finding MSI-X: with a vmdesc, by what is known of a kind, and in a stranger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from msixtool.containers.file import BytesSource
from msixtool.devices.device import MsixDevice
from msixtool.devices.locate import find_devices, read_device
from msixtool.errors import FormatError
from msixtool.formats.qevm import ItemType
from msixtool.stream.items import Item, StreamIndex
from msixtool.stream.read import read_stream
from tests.conftest import CORPUS_STREAMS, REPOSITORY, STREAMS, stream_id, unpacked


def found(data: bytes) -> list[MsixDevice]:
    source = BytesSource(data)
    return find_devices(source, read_stream(source))[0]


@pytest.mark.parametrize(
    "path", [p for p in CORPUS_STREAMS if (p.parent / "truth.json").exists()][::3], ids=stream_id
)
def test_what_the_guest_saw_is_what_is_found(path: Path) -> None:
    truth = json.loads((path.parent / "truth.json").read_text())
    devices = {
        tuple((e.address, e.data, e.control) for e in d.state.entries): d for d in found(unpacked(path))
    }
    for want in truth["devices"]:
        device = devices[tuple(tuple(entry) for entry in want["table"])]
        assert device.capability is not None
        assert device.capability.offset == want["cap"]
        assert device.capability.control == want["flags"]
        assert device.bus_master == want["bus_master"]


@pytest.mark.parametrize("path", STREAMS[::5], ids=stream_id)
def test_without_the_vmdesc_the_same_devices_are_found(path: Path) -> None:
    data = unpacked(path)
    source = BytesSource(data)
    index = read_stream(source)
    if index.description is None:
        pytest.skip("this stream has no vmdesc to leave out")
    for item in index.full_sections():
        with_vmdesc = read_device(source, item)
        item.layout = None
        assert read_device(source, item) == with_vmdesc


def section(data: bytes, kind: str) -> tuple[bytes, str]:
    """A section's data under another idstr: a stranger's."""
    source = BytesSource(data)
    index = read_stream(source)
    item = next(i for i in index.full_sections() if str(i.idstr).endswith(f"/{kind}"))
    return data[item.data_offset : item.data_offset + item.data_length], f"0000:00:1e.0/not-{kind}"


def stranger(data: bytes, name: str) -> MsixDevice | None:
    item = Item(ItemType.SECTION_FULL, 0, len(data), 7, name, 0, 1, data_offset=0, data_length=len(data))
    return read_device(BytesSource(data), item)


def test_a_stranger_is_given_away_by_its_configuration_space(sample: Path) -> None:
    original = next(d for d in found(unpacked(sample)) if d.kind == "e1000e")
    device = stranger(*section(unpacked(sample), "e1000e"))
    assert device is not None
    assert device.state == original.state
    assert device.kind == "not-e1000e"
    assert device.profile is None


def test_a_section_without_msix_is_no_device(sample: Path) -> None:
    source = BytesSource(unpacked(sample))
    index = read_stream(source)
    names = {item.idstr for item in index.full_sections()}
    assert "timer" in names
    assert all(read_device(source, i) is None for i in index.full_sections() if "/" not in str(i.idstr))


def test_a_count_that_contradicts_the_bytes_is_damage(sample: Path) -> None:
    data = bytearray(unpacked(sample))
    device = next(d for d in found(bytes(data)) if d.kind == "e1000e")
    assert device.config_offset is not None
    assert device.capability is not None
    data[device.config_offset + device.capability.offset + 2] = 8
    source = BytesSource(bytes(data))
    devices, damage = find_devices(source, read_stream(source))
    assert [d.vectors for d in devices if d.kind == "e1000e"] == [5]
    assert "expected 9 by the MSI-X capability, found 5" in str(damage[0])


def test_a_port_that_does_not_save_its_msix_state_is_no_device_and_one_that_is_cut_is_damaged() -> None:
    data, _ = section(unpacked(REPOSITORY / "samples" / "q35-root-ports-10.0.mig.xz"), "pcie-root-port")
    name, state = "0000:00:1e.0/pcie-root-port", 16 + 1
    device = stranger(data, name)
    assert device is not None
    assert device.length == state
    assert stranger(data[:-state], name) is None
    for length in (1, state - 1):
        with pytest.raises(FormatError, match=f"expected {state} bytes, found {state - length}"):
            stranger(data[:-length], name)


def test_a_virtio_section_that_ends_too_early_is_an_error_with_its_place() -> None:
    with pytest.raises(FormatError, match="inside its PCIDevice: expected 276 bytes, found 100"):
        stranger(bytes(100), "0000:00:02.0/virtio-net")


def test_thousands_of_devices_in_two_sections_are_joined_in_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[StreamIndex] = []
    through = StreamIndex.full_sections

    def counted(index: StreamIndex) -> Iterator[Item]:
        passes.append(index)
        return through(index)

    data = unpacked(REPOSITORY / "tests" / "data" / "joined" / "vmxnet3-msix-4000.mig.xz")
    source = BytesSource(data)
    index = read_stream(source)
    monkeypatch.setattr(StreamIndex, "full_sections", counted)
    assert len(find_devices(source, index)[0]) > 1000
    assert len(passes) <= 2
