"""What a device refuses when it is loaded, told by `load`, `validate` and `compat` alike."""

from __future__ import annotations

import io
import struct

import pytest

from msixtool import Dump
from msixtool.formats import sizeof
from msixtool.formats.virtio_types import ELEMENT
from msixtool.qemu.versions import Version
from msixtool.tasks.compat import compare
from msixtool.tasks.finding import Code, Severity
from msixtool.tasks.refusals import refusals, warnings
from msixtool.tasks.section_checks import troubles
from msixtool.tasks.validate import is_valid, validate
from tests.devices.test_virtio_layout import FEATURES, NET, NET_FLAGS, blob
from tests.tasks.compat_build import Field, Machine, section
from tests.tasks.rule_streams import CASES, Editor, refused


def dump(data: bytes) -> Dump:
    return Dump.open(io.BytesIO(data))


USED = "VQ 0 size 0x100 < last_avail_idx 0x0 - used_idx 0x2bc"


@pytest.mark.parametrize(
    ("name", "target", "section", "message"),
    [
        ("ring-used-11.1", "ring-target-11.1", "0000:00:05.0/virtio-blk", USED),
        ("ring-used-7.2", "ring-ok-7.2", "0000:00:05.0/virtio-blk", USED),
        ("s2e-globalstate-source", "s2e-globalstate-source", "globalstate", "runstate: empty"),
    ],
)
def test_a_refusal_is_told_by_all_three(name: str, target: str, section: str, message: str) -> None:
    with dump(refused(name)) as source, dump(refused(target)) as other:
        told = refusals(source)[0]
        assert (told.section, told.code) == (section, Code.OTHER)
        assert told.message.startswith(message)
        found = validate(source, severity=Severity.ERROR)
        assert [(each.device, each.message) for each in found] == [(section, told.message)]
        assert not is_valid(found)
        first = compare(source, other).first
        assert first is not None
        assert (first.section, first.message, first.advice) == (section, told.message, told.advice)


@pytest.mark.parametrize(
    ("entries", "version", "refused_there"),
    [(128, (11, 1), False), (1, (11, 1), False), (3, (11, 1), True), (3, (10, 0), True), (3, (7, 2), False)],
)
def test_an_rss_table_has_a_power_of_two_of_entries_for_those_that_look(
    entries: int, version: Version, refused_there: bool
) -> None:
    rss = struct.pack(">BBBIHH40x", 1, 0, 0, 0x3F, entries, 0) + bytes(2 * entries)
    record = b"\5\x15virtio-net-device/rss" + struct.pack(">I", 1) + rss
    state = blob(NET + NET_FLAGS, more=record + FEATURES)
    machine = Machine([section("0000:00:02.0/virtio-net", Field("virtio", "virtio", state))])
    found = [each.message for each in refusals(machine.dump(), version)]
    assert bool(found) == refused_there
    assert not found or found[0].startswith("an RSS table of 3 entries")


@pytest.mark.parametrize(
    ("controller", "requests", "stops"),
    [("megasas", 1, True), ("megasas-gen2", 1, True), ("megasas", 0, False), ("mptsas", 1, False)],
)
def test_requests_in_flight_at_a_controller_that_cannot_load_them(
    controller: str, requests: int, stops: bool
) -> None:
    """Seen: QEMU 5.2, 7.2, 10.0 and 11.1 end by SIGSEGV."""
    waiting = bytes([1, 0x28]).ljust(41, b"\0") * requests + b"\0"
    disk = section("0000:00:05.0/0:0:0/scsi-disk", Field("requests", "scsi-requests", waiting))
    machine = Machine([section(f"0000:00:05.0/{controller}"), disk])
    assert [each.section for each in refusals(machine.dump())] == ["0000:00:05.0/0:0:0/scsi-disk"] * stops


def test_a_vtpm_that_was_used_is_as_long_as_it_says() -> None:
    with dump(refused("tpm-used-source")) as used, dump(refused("tpm-used-target")) as fresh:
        sizes = [
            each.fields("tpm-emulator")["tpm-emulator"].values()["state_blobs.permanent.size"]
            for each in (used, fresh)
        ]
        assert sizes == [3061, 1321]
        assert used.compat(fresh).compatible
        assert not used.compat(fresh).findings


@pytest.mark.parametrize(("packed", "requests"), [(True, 1), (True, 0), (False, 1)])
def test_requests_in_flight_of_a_device_with_packed_rings(packed: bool, requests: int) -> None:
    """Seen: QEMU 5.2, 7.2, 10.0 and 11.1 end, whatever the driver made of the offer."""
    element = bytes(sizeof(ELEMENT, packed=packed))
    state = blob((b"\1" + element) * requests + b"\0", queues=1, packed=packed)
    machine = Machine([section("0000:00:05.0/virtio-blk", Field("virtio", "virtio", state))])
    found = [each.message for each in refusals(machine.dump())]
    assert bool(found) == (packed and requests > 0)
    assert all(each.startswith("a request in flight of a device with packed=on") for each in found)


@pytest.mark.parametrize("version", [(5, 2), (7, 2), (8, 0), (10, 0), (11, 1)])
def test_what_some_releases_refuse_goes_by_the_release(version: Version) -> None:
    with dump(refused("ahci-fis-source")) as source, dump(refused("ahci-fis-target")) as target:
        refuses, open_ = version <= (7, 2), version == (8, 0)
        assert bool(refusals(source, version)) == refuses
        assert [each.code for each in warnings(source, version)] == [Code.UNDECIDED] * open_
        assert is_valid(validate(source))
        compared = compare(source, target, target_version=version)
        assert compared.compatible != refuses
        assert bool([each for each in compared.findings if each.section == "0000:00:1a.0/ich9_ahci"]) == (
            refuses or open_
        )


def test_a_broken_queue_is_a_warning_that_5_2_does_not_give() -> None:
    with dump(refused("ring-avail-7.2")) as source, dump(refused("ring-ok-7.2")) as target:
        assert refusals(source) == []
        (warning,) = warnings(source)
        assert warning.field == "queue 0 avail_idx"
        compared = compare(source, target)
        assert compared.compatible
        assert [each.field for each in compared.findings].count("queue 0 avail_idx") == 1


@pytest.mark.parametrize(
    ("name", "mark", "last", "index", "rules"),
    [
        ("ring-avail-7.2", b"\0\0\x84\x03", 0, 256, []),
        ("ring-avail-7.2", b"\0\0\x84\x03", 0, 257, ["ring-available"]),
        ("ring-avail-7.2", b"\0\0\x84\x03", 256, 256, []),
        ("ring-avail-7.2", b"\0\0\x84\x03", 257, 257, ["ring-out-of-step"]),
        ("ring-avail-7.2", b"\0\0\x84\x03", 2, 1, ["ring-available"]),
        ("ring-used-7.2", b"\0\0\xbc\x02", 0, 65535, []),
        ("ring-used-7.2", b"\0\0\xbc\x02", 0, 65280, []),
        ("ring-used-7.2", b"\0\0\xbc\x02", 0, 65279, ["ring-out-of-step"]),
        ("ring-used-7.2", b"\0\0\xbc\x02", 0, 1, ["ring-out-of-step"]),
    ],
)
def test_indices_wrap_at_16_bits(name: str, mark: bytes, last: int, index: int, rules: list[str]) -> None:
    """`mark` is what stands in guest memory, a little-endian index at its end; the other index is 0."""
    editor = Editor(refused(name))
    device = editor.device("virtio-blk")
    assert device.virtio is not None
    queue = device.offset - device.virtio.msix_offset + device.virtio.queues_offset
    editor.put(queue + 12, *last.to_bytes(2, "big"))
    editor.put(editor.data.index(mark + bytes(32)) + 2, *index.to_bytes(2, "little"))
    with dump(bytes(editor.data)) as opened:
        assert [each.rule for each in troubles(opened)] == rules


def test_a_ring_that_is_not_in_the_stream_is_undecided() -> None:
    case = CASES["ring-unknown"]
    with dump(case.edit(Editor(case.base()))) as source, dump(case.base()) as target:
        assert refusals(source) == []
        assert [each.code for each in warnings(source)] == [Code.UNDECIDED]
        compared = compare(source, target)
        assert compared.compatible
        assert [each.code for each in compared.findings if each.field is None] == [Code.UNDECIDED]


def test_memory_that_is_blank_is_not_taken_for_the_guests() -> None:
    """As where a stream was made small by zeroing its RAM: the queue was used, and there is nothing."""
    editor = Editor(refused("ring-ok-7.2"))
    device = editor.device("virtio-blk")
    assert device.virtio is not None
    queue = device.offset - device.virtio.msix_offset + device.virtio.queues_offset
    with dump(editor.put(queue + 12, 0, 9)) as opened:
        assert [each.rule for each in troubles(opened)] == ["ring-unknown"]
