"""explain with the stream at hand: registers, bit fields and values as the stream has them; and what is known
of configuration space without it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.qemu.kinds import DeviceKind, kind_of
from msixtool.tasks.compat import compare
from msixtool.tasks.explain import Finding, explain
from msixtool.tasks.explain.evidence import layout_of
from tests.conftest import REPOSITORY, SAMPLES, stream_id, unpacked

NET = "0000:00:02.0/virtio-net"
NIC = "0000:00:04.0/e1000e"
REFUSED = REPOSITORY / "tests" / "data" / "refused"
PORTS = REPOSITORY / "samples" / "q35-root-ports-10.0.mig.xz"


def byte_log(offset: int, source: int, target: int, section: str | None) -> bytes:
    lines = [
        f"qemu-kvm: get_pci_config_device: Bad config data: i={offset:#x} read: {source:x} device: {target:x}"
    ]
    if section is not None:
        lines.append(f"qemu-kvm: error while loading state for instance 0x0 of device '{section}'")
    return "\n".join(lines).encode()


def config_of(data: bytes, section: str) -> tuple[int, bytes]:
    """Where the configuration space of a section stands in a stream, and what it is."""
    with Dump.open(io.BytesIO(data)) as dump:
        device = next(device for device in dump.devices if device.name == section)
        assert device.config is not None
        assert device.config_offset is not None
        return device.config_offset, device.config.data


def told(log: bytes, data: bytes | None = None) -> Finding:
    if data is None:
        return explain(io.BytesIO(log))[0].told
    with Dump.open(io.BytesIO(data)) as dump:
        return explain(io.BytesIO(log), dump)[0].told


def mismatch(data: bytes, section: str, offset: int, target: int, *, name_it: bool = True) -> Finding:
    """What is told of a byte that the target has as `target`, with the stream at hand."""
    _, config = config_of(data, section)
    return told(byte_log(offset, config[offset], target, section if name_it else None), data)


def test_the_register_and_both_values_are_those_of_the_stream(sample: Path) -> None:
    data = unpacked(sample)
    _, config = config_of(data, NIC)
    told = mismatch(data, NIC, 0xA2, 8)
    assert (told.field, told.source, told.target) == ("MSI-X table size", config[0xA2], 8)
    assert "5 vectors in the stream, 9 vectors in the target" in told.message
    assert "in the MSI-X capability at 0xa0" in told.message
    assert "as a rule" not in told.message


@pytest.mark.parametrize(
    ("offset", "target", "field", "words"),
    [
        (0x00, 0x22, "vendor ID", "0x8086 (Intel) in the stream, 0x8022"),
        (0x0B, 0x06, "class code", "0x020000 (Ethernet controller) in the stream, 0x060000 (host bridge)"),
        (0x0E, 0x80, "header type: multi-function", "no in the stream, yes"),
        (0x34, 0xA0, "capabilities pointer", "(power management) in the stream, 0xa0"),
        (0xA1, 0xD0, "next pointer of the MSI-X capability", "0 (the end of the list) in the stream, 0xd0"),
        (0xA4, 0x01, "MSI-X table: BAR", "3 in the stream, 1"),
        (0xA9, 0x30, "MSI-X PBA: offset", "0x2000 in the stream, 0x3000"),
        (0xE4 + 3, 0x00, "Device Capabilities: slot power limit", None),
        (0x102, 0x01, "header of the advanced error reporting capability: version", None),
        (0x10A, 0x40, "Uncorrectable Error Mask: internal error", "off in the stream, on"),
        (0x145, 0x55, "device serial number", None),
    ],
)
def test_bit_fields_are_named_and_their_values_in_words(
    sample: Path, offset: int, target: int, field: str, words: str | None
) -> None:
    data = unpacked(sample)
    _, config = config_of(data, NIC)
    if config[offset] == target:
        target ^= 1
    told = mismatch(data, NIC, offset, target)
    if words is not None:
        assert told.field == field
        assert words in told.message
    else:
        assert told.field is not None
        assert told.field.split(":")[0] == field.split(":")[0]


def test_a_bridge_has_the_registers_of_one() -> None:
    data = unpacked(PORTS)
    section = "0000:00:02.0/pcie-root-port"
    _, config = config_of(data, section)
    number = int.from_bytes(config[0x68:0x6C], "little") >> 19
    told = mismatch(data, section, 0x6A, config[0x6A] ^ 0x08)
    assert told.field == "Slot Capabilities: slot number"
    assert f"{number} in the stream, {number ^ 1} in the target" in told.message
    assert mismatch(data, section, 0x1C, 0x11).field == "I/O Base: type"


def test_without_a_name_in_the_log_the_stream_says_which_device_it_can_be(sample: Path) -> None:
    data = unpacked(sample)
    told = mismatch(data, NIC, 0xA2, 8, name_it=False)
    assert told.section == NIC
    assert "No message names the device" in told.message
    several = mismatch(data, NIC, 0x0E, 0x80, name_it=False)
    assert several.section is None
    assert NIC in several.message
    assert NET in several.message


def test_a_stream_that_is_not_the_one_of_the_log_is_called_so(sample: Path) -> None:
    data = unpacked(sample)
    other = told(byte_log(0xA2, 0x21, 8, NIC), data)
    assert "is not the one that failed" in other.message
    assert "34 vectors in the stream" in other.message
    nowhere = told(byte_log(0xA2, 4, 8, "0000:00:1d.0/e1000e"), data)
    assert "The stream given has no 0000:00:1d.0/e1000e" in nowhere.message


def silent_log(section: str) -> bytes:
    kind = section.rpartition("/")[2]
    return (
        f"qemu-kvm: Failed to load {kind}:virtio\n"
        f"qemu-kvm: error while loading state for instance 0x0 of device '{section}'\n"
        "qemu-kvm: load of migration failed: Invalid argument\n"
    ).encode()


def with_queue_vector(data: bytes, vector: int) -> bytes:
    """The stream with another vector for the first queue of its virtio-net."""
    with Dump.open(io.BytesIO(data)) as dump:
        device = next(device for device in dump.devices if device.name == NET)
        assert device.virtio is not None
        at = device.offset - device.virtio.msix_offset + device.virtio.queues_offset + 14
    return data[:at] + vector.to_bytes(2, "big") + data[at + 2 :]


def test_a_refusal_without_a_word_is_settled_by_the_stream(sample: Path) -> None:
    data = unpacked(sample)
    found = told(silent_log(NET), with_queue_vector(data, 9))
    assert (found.code, found.field, found.source) == ("vector-range", "queue 0 vector", 9)
    assert found.advice is not None
    clean = told(silent_log(NET), data)
    assert clean.code == "other"
    assert "all in range" in clean.message


def test_a_crash_is_laid_to_a_vector_only_where_the_stream_has_one(sample: Path) -> None:
    crash = b"Jul 14 14:47:00 host kernel: qemu-system-x86[77]: segfault at 18 ip 0 sp 0 error 4 in qemu"
    assert told(crash).code == "other"
    assert told(crash, unpacked(sample)).code == "other"
    found = told(crash, with_queue_vector(unpacked(sample), 9))
    assert (found.code, found.section) == ("vector-range", NET)


def test_what_was_given_instead_of_a_stream_is_named_by_the_file(sample: Path) -> None:
    log = b"qemu-kvm: Not a migration stream\nqemu-kvm: load of migration failed: Invalid argument\n"
    with Dump.open(sample) as dump:
        found = explain(io.BytesIO(log), dump)[0].told
    assert found.advice == 'Unpack it on the way: -incoming "exec:xz -dc FILE".'


@pytest.mark.parametrize(
    ("section", "offset", "field"),
    [
        (NET, 0x9A, "MSI-X table size"),
        (NET, 0x46, "virtio structure padding"),
        ("0000:00:02.0:00.0/virtio-net", 0xDE, "MSI-X table size"),
        ("0000:00:02.0:00.0/virtio-net", 0x42, "PCI Express Capabilities: version"),
        ("0000:00:03.0/nvme", 0x42, "MSI-X table size"),
        ("0000:00:03.0/xhci", 0x92, "MSI-X table size"),
        ("0000:00:03.0/megasas", 0x6A, "MSI-X table size"),
        ("0000:00:03.0/igb", 0x72, "MSI-X table size"),
        ("0000:00:03.0/pcie-root-port", 0x4A, "MSI-X table size"),
        ("0000:00:03.0/e1000e", 0xA2, "MSI-X table size"),
        ("0000:00:03.0/pci_bridge", 0x4A, "slot ID expansion: expansion slots"),
        ("0000:00:03.0/stranger", 0x08, "revision ID"),
        ("0000:00:03.0/stranger", 0x77, None),
        (None, 0x9A, "MSI-X table size"),
        (None, 0x06, "Status: capability list"),
    ],
)
def test_without_a_stream_the_kind_of_the_device_says_what_is_likely(
    section: str | None, offset: int, field: str | None
) -> None:
    found = told(byte_log(offset, 0x01, 0x12, section))
    assert found.field == field
    assert ("--stream tells for sure" in found.message) == (offset >= 0x40 and field is not None)


def test_only_the_bits_that_were_compared_are_told() -> None:
    log = b"qemu-kvm: Bad config data: i=0x9b read: 80 device: 3 cmask: ff wmask: c0 w1cmask:0"
    found = told(log)
    assert found.field == "MSI-X table size"
    assert "enable" not in found.message


@pytest.mark.parametrize("path", SAMPLES, ids=stream_id)
def test_the_layouts_that_are_known_of_the_kinds_are_those_of_the_samples(path: Path) -> None:
    known_kinds = 0
    with Dump.open(path) as dump:
        for device in dump.devices:
            layouts = kind_of(device.kind).capabilities
            if device.config is None or layouts == DeviceKind("").capabilities:
                continue
            own = layout_of(device.config.data)
            known = {place for layout in layouts for place in (*layout.listed, *layout.extended)}
            assert set(own.listed) | set(own.extended) <= known, device.name
            assert own.header == layouts[0].header
            known_kinds += 1
    assert known_kinds


def test_an_unknown_subsection_is_named_from_the_streams_own_list() -> None:
    log = (
        b"qemu-kvm: error while loading state for instance 0x0 of device 'cpu'\n"
        b"qemu-kvm: load of migration failed: No such file or directory\n"
    )
    with Dump.open(REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz") as dump:
        (found,) = explain(io.BytesIO(log), dump)
    assert (found.told.code, found.told.field) == ("subsection-unknown", "cpu/poll_control_msr")
    assert "cpu/poll_control_msr" in found.told.message
    assert "poll_control_msr" not in explain(io.BytesIO(log))[0].told.message


def test_a_subsection_that_the_target_does_not_know_is_named_from_the_stream() -> None:
    log = (
        b"qemu-system-x86_64: error while loading state for instance 0x0 of device 'ps2kbd'\n"
        b"qemu-system-x86_64: load of migration failed: No such file or directory\n"
    )
    found = told(log, unpacked(REFUSED / "ps2-queue-source.mig.xz"))
    assert (found.code, found.section) == ("subsection-unknown", "ps2kbd")
    assert "ps2kbd/command_reply_queue" in found.message
    assert "save again a moment later" in str(found.advice)


def test_compat_names_that_subsection_before_the_load() -> None:
    source, target = (REFUSED / f"ps2-queue-{side}.mig.xz" for side in ("source", "target"))
    with Dump.open(str(source)) as here, Dump.open(str(target)) as there:
        first = compare(here, there).first
    assert first is not None
    assert (first.code, first.section, first.field) == (
        "subsection-unknown", "ps2kbd", "ps2kbd/command_reply_queue"
    )  # fmt: skip


READ_ERROR = (
    f"qemu-kvm: error while loading state for instance 0x0 of device '{NIC}'\n"
    "qemu-kvm: load of migration failed: Input/output error"
).encode()


def test_an_error_that_a_stream_ends_with_is_a_cut_only_where_the_stream_is_cut(sample: Path) -> None:
    data = unpacked(sample)
    where, _ = config_of(data, NIC)
    cut = told(READ_ERROR, data[: where + 100])
    assert cut.code == "stream"
    assert "as the one given does" in cut.message
    whole = told(READ_ERROR, data)
    assert whole.code == "other"
    assert "no reason by itself" in whole.message
    assert "The stream given is whole." in whole.message
    assert told(READ_ERROR).code == "other"
