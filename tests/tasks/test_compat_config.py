"""What is compared of a configuration space: QEMU's own masks, and registers in words."""

from __future__ import annotations

import json
import lzma
from typing import Any

import pytest

from msixtool.formats.pci import CONFIG_SIZE, EXPRESS_CONFIG_SIZE
from msixtool.qemu.kinds.space import unpacked
from msixtool.qemu.recorded import releases
from msixtool.qemu.versions import Version, parse_version
from msixtool.tasks.compat.pci_config import mismatches
from msixtool.tasks.compat.registers import TargetDevice, compared_registers
from tests.conftest import REPOSITORY

RECORDS: list[dict[str, Any]] = json.loads(
    lzma.decompress((REPOSITORY / "tests" / "data" / "compat" / "config-masks.json.xz").read_bytes())
)


def device_of(record: dict[str, Any]) -> TargetDevice:
    config = bytes.fromhex(record["config"]).ljust(record["size"], b"\0")
    kind = record["section"].rpartition("/")[2]
    return TargetDevice(
        kind,
        config,
        record["rom"],
        record["framebuffer"],
        record["legacy_bar"],
        parse_version(record["qemu"]),
    )


def masks_of(device: TargetDevice) -> tuple[bytes, bytes]:
    """Byte by byte, the bits that are compared and those of which it is not known."""
    compared, unsure = bytearray(len(device.config)), bytearray(len(device.config))
    for register in compared_registers(device):
        for index in range(register.size):
            free, open_ = register.free >> 8 * index & 0xFF, register.unsure >> 8 * index & 0xFF
            compared[register.offset + index] = 0xFF & ~free & ~open_
            unsure[register.offset + index] = open_
    return bytes(compared), bytes(unsure)


@pytest.mark.parametrize("release", releases())
def test_of_every_kind_that_is_recorded_the_same_bits_are_compared(release: Version) -> None:
    wrong, tried = {}, 0
    for kind, variants in releases()[release]["functions"].items():
        for variant in variants:
            if not variant.get("config"):
                continue  # not in a stream of that release
            fresh, compared = unpacked(variant["config"]), unpacked(variant["compared"])
            size = EXPRESS_CONFIG_SIZE if max(fresh | compared) >= CONFIG_SIZE else CONFIG_SIZE
            device = TargetDevice(kind, bytes(fresh.get(at, 0) for at in range(size)), version=release)
            for at, (ours, open_) in enumerate(zip(*masks_of(device), strict=True)):
                theirs = compared.get(at, 0)
                tried += theirs.bit_count()
                if (ours ^ theirs) & ~open_:
                    wrong[kind, hex(at)] = (hex(ours), hex(theirs))
    assert not wrong
    assert tried > 10000


def record_id(record: dict[str, Any]) -> str:
    return f"{record['qemu']}-{record['section'].rpartition('/')[2]}"


@pytest.mark.parametrize("record", RECORDS, ids=record_id)
def test_the_bits_that_are_compared_are_those_that_qemu_compared(record: dict[str, Any]) -> None:
    compared, unsure = masks_of(device_of(record))
    seen = bytes.fromhex(record["compared"])
    if record["complete"]:
        seen = seen.ljust(len(compared), b"\0")
    wrong = {
        hex(offset): (hex(ours), hex(theirs))
        for offset, (ours, theirs, open_) in enumerate(zip(compared, seen, unsure, strict=False))
        if (ours ^ theirs) & ~open_
    }
    assert not wrong


def example(kind: str) -> TargetDevice:
    return device_of(next(record for record in RECORDS if record["section"].endswith(f"/{kind}")))


def test_of_a_known_kind_nothing_is_unsure() -> None:
    for kind in ("virtio-net", "e1000e", "igb", "xhci", "megasas", "pcie-root-port", "nvme", "vmxnet3"):
        assert not any(masks_of(example(kind))[1]), kind


def test_of_a_stranger_the_bits_that_a_guest_may_have_written_are_unsure() -> None:
    known = example("e1000e")
    stranger = TargetDevice("stranger", known.config)
    stream = bytearray(known.config)
    stream[0xCC] ^= 0x01  # power state
    stream[0x12] ^= 0x02  # BAR 0
    (power, bar) = sorted(mismatches(stranger, bytes(stream)), key=lambda found: -found.offset)
    assert (power.offset, power.sure, bar.offset, bar.sure) == (0xCC, False, 0x12, False)
    assert (power.evident, bar.evident) == (True, False), "every guest places its BARs"
    assert not list(mismatches(known, bytes(stream)))


@pytest.mark.parametrize(
    ("own", "stream", "sure", "evident"),
    [
        (0x00000000, 0xFEBF1000, False, False),
        (0x00000001, 0x0000C00D, False, False),
        (0x00000008, 0xFD000008, False, False),
        (0x00000000, 0x0000C001, False, True),
        (0x00000000, 0xFD000008, False, True),
        (0x00000001, 0xFEBF1000, True, True),
    ],
    ids=["memory", "ports", "prefetchable", "ports, none there", "prefetchable, none there", "another type"],
)
def test_that_a_guest_placed_a_strangers_bar_is_no_evidence_but_its_type_is(
    own: int, stream: int, sure: bool, evident: bool
) -> None:
    config = bytearray(example("e1000e").config)
    config[0x10:0x14] = own.to_bytes(4, "little")
    source = bytearray(config)
    source[0x10:0x14] = stream.to_bytes(4, "little")
    (found,) = mismatches(TargetDevice("stranger", bytes(config)), bytes(source))
    assert (found.register.name, found.sure, found.evident) == ("BAR 0", sure, evident)


def test_a_bar_of_a_smaller_size_shows_where_its_address_has_lower_bits() -> None:
    device = example("virtio-net")
    stream = bytearray(device.config)
    stream[0x14:0x18] = (0xFEBF1000).to_bytes(4, "little")
    assert not list(mismatches(device, bytes(stream)))
    stream[0x14:0x18] = (0xFEBF1800).to_bytes(4, "little")
    (found,) = mismatches(device, bytes(stream))
    assert (found.register.name, found.offset, found.sure) == ("BAR 1", 0x15, True)


def test_another_capability_is_one_finding_whatever_its_registers_hold() -> None:
    device = example("virtio-net")
    stream = bytearray(device.config)
    stream[0x98] = 0x05
    stream[0x9A:0xA4] = b"\xff" * 10
    (found,) = mismatches(device, bytes(stream))
    assert (found.register.name, found.offset) == ("capability ID", 0x98)


def test_the_first_byte_that_differs_is_the_one_that_qemu_names() -> None:
    device = example("virtio-net")
    stream = bytearray(device.config)
    stream[0x9B] ^= 0x01  # 256 vectors more
    stream[0x9D] ^= 0x10
    found = list(mismatches(device, bytes(stream)))
    assert [each.offset for each in found] == [0x9B, 0x9D]


@pytest.mark.parametrize(
    ("kind", "offset", "bits"),
    [
        ("virtio-net", 0x2C, 0xFF),
        ("virtio-net", 0x3C, 0xFF),
        ("virtio-net", 0x05, 0x07),
        ("e1000e", 0xA3, 0xC0),
    ],
)
def test_what_a_guest_writes_is_not_compared(kind: str, offset: int, bits: int) -> None:
    device = example(kind)
    stream = bytearray(device.config)
    stream[offset] ^= bits
    assert not list(mismatches(device, bytes(stream)))
