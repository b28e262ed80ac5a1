"""Snapshots in qcow2 images: found, listed, chosen, read through their tables, and refused in one line."""

from __future__ import annotations

import lzma
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from msixtool.containers.open import open_source
from msixtool.containers.qcow2 import Qcow2Source, Snapshot
from msixtool.containers.unpack import Budget
from msixtool.errors import ContainerError, MsixtoolError, NotAStreamError, TruncatedError, UsageError
from tests.containers.recorded import everything, kinds, needs, opened, recorded, stream, unpacked
from tests.stream.ways import Counted

IMAGES = ("v3", "v2", "clusters-512", "clusters-2m", "extended-l2")

HEADER_SNAPSHOTS = 60
HEADER_SNAPSHOTS_OFFSET = 64
HEADER_FEATURES = 72


def image(name: str) -> bytearray:
    """A recorded image, to be changed."""
    return bytearray(unpacked(f"{name}.qcow2.xz"))


def number(data: bytes | bytearray, offset: int, size: int = 8) -> int:
    """A big-endian number."""
    return int.from_bytes(data[offset : offset + size], "big")


def put(data: bytearray, offset: int, value: int, size: int = 8) -> bytearray:
    """The same data with a big-endian number written over it."""
    data[offset : offset + size] = value.to_bytes(size, "big")
    return data


def entry(data: bytes | bytearray, index: int) -> int:
    """Where an entry of the snapshot table stands, where all have ids of 1 byte and names of 7."""
    assert number(data, number(data, HEADER_SNAPSHOTS_OFFSET) + 12, 4) == (1 << 16 | 7)
    return number(data, HEADER_SNAPSHOTS_OFFSET) + index * (40 + 24 + 8)


def state_entry(data: bytes | bytearray, index: int) -> int:
    """Where the L1 entry stands that leads to the VM state of a snapshot, of a disk with one L2 table."""
    return number(data, entry(data, index)) + 8


def with_snapshot(data: bytearray, disk_size: int, vm_state_size: int, extra: int = 24) -> bytes:
    """The image with one snapshot added whose L1 table is that of the disk."""
    l1_size, l1_offset = struct.unpack_from(">IQ", data, 36)
    head = struct.pack(">QIHHIIQII", l1_offset, l1_size, 1, 5, 1, 2, 3, min(vm_state_size, 0xFFFFFFFF), extra)
    more = struct.pack(">QQQ", vm_state_size, disk_size, 0xFFFFFFFFFFFFFFFF)[:extra]
    data += bytes(-len(data) % 512)
    put(data, HEADER_SNAPSHOTS, 1, 4)
    put(data, HEADER_SNAPSHOTS_OFFSET, len(data))
    return bytes(data + head + more + b"1added")


@pytest.mark.parametrize("name", IMAGES)
def test_what_savevm_wrote_is_read(name: str) -> None:
    for data in (image(name), recorded(f"{name}.qcow2.xz")):
        for snapshot, state in (("stopped", b"\nprelaunch\0"), ("running", b"\x08running\0")):
            with opened(bytes(data), snapshot=snapshot) as file:
                assert kinds(file)[-1] == "qcow2"
                content = everything(file)
                assert content.startswith(b"QEVM\0\0\0\3")
                assert content.endswith(b"}]}]}")
                assert content.count(b"globalstate\0\0\0\0\0\0\0\1\0\0\0" + state) == 1
                assert file.image is not None
                assert len(content) == file.image.snapshot.vm_state_size > 36_000


def test_the_same_state_is_the_same_bytes_in_every_image() -> None:
    streams = {everything(opened(bytes(image(name)), snapshot="stopped")) for name in IMAGES}
    assert len(streams) == 1


def test_snapshots_are_listed_with_name_date_clock_and_size() -> None:
    with opened(bytes(image("v3"))) as file:
        assert file.image is not None
        first, second = file.image.snapshots
        assert (first.id, first.name, first.vm_clock_ns, first.icount) == ("1", "stopped", 0, None)
        assert (second.id, second.name) == ("2", "running")
        assert second.vm_clock_ns > 0
        assert (
            datetime(2026, 11, 22, tzinfo=UTC) < first.date < second.date < datetime(2026, 11, 23, tzinfo=UTC)
        )
        assert file.layers == [
            {
                "kind": "qcow2",
                "version": 3,
                "cluster_size": 65536,
                "snapshot": "2",
                "snapshots": [first.describe(), second.describe()],
            }
        ]
        assert first.describe() == {
            "id": "1",
            "name": "stopped",
            "date": first.date.isoformat(),
            "vm_clock_ns": 0,
            "vm_state_size": first.vm_state_size,
            "icount": None,
        }


def chosen(data: bytes | bytearray, name: str | None = None) -> Snapshot:
    """The snapshot that is read where `name` is asked for."""
    with opened(bytes(data), snapshot=name) as file:
        assert file.image is not None
        return file.image.snapshot


def test_the_newest_is_taken_unless_another_is_named() -> None:
    data = image("v3")
    assert chosen(data).name == "running"
    assert chosen(data, "stopped").id == "1"
    assert chosen(data, "1").name == "stopped"
    put(data, entry(data, 0) + 16, 0xFFFFFFFF, 4)
    assert chosen(data).name == "stopped"
    put(data, entry(data, 1) + 16, 0xFFFFFFFF, 4)
    put(data, entry(data, 1) + 20, 0xFFFFFFFF, 4)
    assert chosen(data).name == "running"
    assert chosen(data).date.microsecond == 999_999


def test_of_snapshots_of_one_moment_the_last_is_the_newest() -> None:
    data = image("v3")
    for index in (0, 1):
        put(data, entry(data, index) + 16, 0)
    assert chosen(data).name == "running"


def test_a_snapshot_table_is_as_large_as_qemu_reads_it_at_most(tmp_path: Path) -> None:
    """64 MiB: fewer entries than QEMU takes, with longer names than it writes."""
    path = tmp_path / "long-names.qcow2"
    size, table = 40 + 65528, 1 << 16
    count = (64 << 20) // size + 2
    head = put(put(image("v3")[:512], HEADER_SNAPSHOTS, count, 4), HEADER_SNAPSHOTS_OFFSET, table)
    with path.open("wb") as file:
        file.write(head)
        for number in range(count):
            file.seek(table + number * size)
            file.write(struct.pack(">QIHHIIQII", 0, 0, 0, 65528, 0, 0, 0, 0, 0))
        file.truncate(table + count * size)
    with pytest.raises(ContainerError, match="qcow2 snapshot table: expected at most 67108864 bytes"):
        open_source(str(path))


def test_entries_begin_at_multiples_of_eight() -> None:
    data = image("v3")
    put(data, entry(data, 0) + 14, 4, 2)
    assert chosen(data, "stop").id == "1"
    assert chosen(data).name == "running"


def test_a_name_goes_before_an_id() -> None:
    data = image("v3")
    at = entry(data, 1) + 40 + 24 + 1
    data[at : at + 7] = b"1".ljust(7, b"\0")
    assert chosen(data, "1").name == "stopped"
    put(data, entry(data, 1) + 14, 1, 2)
    assert chosen(data, "1").id == "2"


def test_a_snapshot_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no snapshot 'absent' .* expected stopped, running"):
        opened(bytes(image("v3")), snapshot="absent")
    with pytest.raises(UsageError, match="no qcow2 image"):
        opened(stream(), snapshot="absent")


def test_an_image_without_vm_state_is_told_what_it_has() -> None:
    with pytest.raises(NotAStreamError, match=r"no VM state: .* snapshots of the disk alone: disk-only"):
        opened(bytes(image("disk-only")))
    with pytest.raises(ContainerError, match="'disk-only' holds no VM state"):
        opened(bytes(image("disk-only")), snapshot="disk-only")
    with pytest.raises(NotAStreamError, match=r"no VM state: .* found no snapshot"):
        opened(bytes(put(image("v3"), HEADER_SNAPSHOTS, 0, 4)))


@pytest.mark.parametrize("kind", ["zlib", "zstd"])
def test_compressed_clusters_are_read(kind: str) -> None:
    needs(kind)
    data = with_snapshot(image(f"compressed-{kind}"), 2 << 20, len(stream()))
    with opened(data) as file:
        assert everything(file) == stream()
        assert file.source.read(5000, 100) == stream()[5000:5100]


def test_a_damaged_compressed_cluster_is_told() -> None:
    data = bytearray(with_snapshot(image("compressed-zlib"), 2 << 20, len(stream())))
    table = number(data, number(data, 40) + 8) & 0x00FFFFFFFFFFFE00
    place = number(data, table) & (1 << 58) - 1
    with pytest.raises(ContainerError, match="compressed cluster is damaged"):
        everything(opened(bytes(put(data, place, 0xFFFFFFFFFFFFFFFF))))


@pytest.mark.parametrize(("extra", "disk_size"), [(24, 2 << 20), (16, 2 << 20), (8, None), (0, None)])
def test_entries_of_older_qemu_are_read(extra: int, disk_size: int | None) -> None:
    data = image("compressed-zlib")
    if disk_size is None:
        put(data, 24, 2 << 20)  # the entry does not say how large the disk was: the header does
    with opened(with_snapshot(data, disk_size or 0, len(stream()), extra)) as file:
        assert everything(file) == stream()
        assert file.image is not None
        assert file.image.snapshot.icount is None


def test_clusters_that_were_never_written_are_zeros() -> None:
    data = with_snapshot(image("compressed-zlib"), 2 << 20, 1 << 20)
    with opened(data) as file:
        assert file.source.size == 1 << 20
        assert file.source.read(0, 1 << 20) == stream() + bytes((1 << 20) - len(stream()))


def test_clusters_that_are_marked_as_zeros_are_zeros_from_version_3_on() -> None:
    data = image("clusters-512")
    whole = everything(opened(bytes(data)))
    tables = number(data, entry(data, 1))
    state = next(number(data, at) for at in range(tables + 8 * 32, tables + 800, 8) if number(data, at))
    second = (state & 0x00FFFFFFFFFFFE00) + 8
    put(data, second, number(data, second) | 1)
    assert everything(opened(bytes(data))) == whole[:512] + bytes(512) + whole[1024:]
    assert everything(opened(bytes(put(data, 4, 2, 4)))) == whole


def test_parts_of_a_cluster_that_were_not_written_are_zeros_with_extended_l2() -> None:
    data = image("extended-l2")
    whole = everything(opened(bytes(data)))
    tables, size = number(data, entry(data, 1)), number(data, entry(data, 1) + 8, 4)
    state = next(number(data, at) for at in range(tables, tables + 8 * size, 8) if number(data, at))
    bitmap = (state & 0x00FFFFFFFFFFFE00) + 8
    put(data, bitmap, number(data, bitmap) & ~(1 << 3))
    assert everything(opened(bytes(data))) == whole[:1536] + bytes(512) + whole[2048:]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("encrypted", "qcow2 image is encrypted .AES."),
        ("external-data", "keeps its data in another file"),
    ],
)
def test_an_image_that_cannot_be_read_says_why(name: str, words: str) -> None:
    with pytest.raises(ContainerError, match=words):
        opened(bytes(image(name)))


HOSTILE = {
    "version": (lambda d: put(d, 4, 4, 4), "qcow2 version: expected 2 or 3, found 4"),
    "cluster size": (lambda d: put(d, 20, 40, 4), "qcow2 cluster size"),
    "unknown feature": (lambda d: put(d, HEADER_FEATURES, 1 << 40 | 1 << 7), "found bits 7, 40"),
    "luks": (lambda d: put(d, 32, 2, 4), "encrypted .LUKS."),
    "cut in the header": (lambda d: d[:50], "qcow2 header is cut short"),
    "many snapshots": (
        lambda d: put(d, HEADER_SNAPSHOTS, 0xFFFFFFFF, 4),
        "qcow2 snapshots: .* found 4294967295",
    ),
    "table outside": (lambda d: put(d, HEADER_SNAPSHOTS_OFFSET, 1 << 60), "snapshot table is cut short"),
    "more entries than there are": (lambda d: put(d, HEADER_SNAPSHOTS, 65536, 4), "snapshot"),
    "extra data": (lambda d: put(d, entry(d, 0) + 36, 0xFFFFFFFF, 4), "extra data: .* found 4294967295"),
    "state larger than L1": (
        lambda d: put(d, entry(d, 1) + 40, 1 << 62),
        "VM state of 4611686018427387904 bytes",
    ),
    "L1 larger than it may be": (
        lambda d: put(put(d, entry(d, 1) + 40, 1 << 40), entry(d, 1) + 8, 0xFFFFFFFF, 4),
        "L1 table of 4294967295 entries",
    ),
    "state of zeros beyond belief": (
        lambda d: put(put(d, entry(d, 1) + 40, 1 << 50), entry(d, 1) + 8, 1 << 22, 4),
        "decompression bomb",
    ),
    "disk size beyond the L1": (
        lambda d: put(d, entry(d, 1) + 48, 1 << 63),
        "VM state of .* expected at most 0",
    ),
    "L1 outside": (lambda d: put(d, entry(d, 1), 1 << 40), "qcow2 L1 table is cut short"),
    "L2 outside": (
        lambda d: put(d, state_entry(d, 1), 1 << 40),
        "L2 table of L1 entry 1 lies outside of the file",
    ),
    "L2 over the header": (lambda d: put(d, state_entry(d, 1), 0x200), "lies over the image header"),
    "L2 over its L1": (
        lambda d: put(d, state_entry(d, 1), number(d, entry(d, 1))),
        "L2 table of L1 entry 1 lies over its own L1 table",
    ),
    "L2 not at a cluster": (
        lambda d: put(d, state_entry(d, 1), number(d, state_entry(d, 1)) + 512),
        "does not begin at a cluster",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tables_are_told_in_one_line(case: str) -> None:
    change, words = HOSTILE[case]
    data = bytes(change(image("v3")))
    for whole in (data, lzma.compress(data)):
        with pytest.raises((ContainerError, TruncatedError), match=words) as error:
            opened(whole)
        assert "\n" not in str(error.value)


def l2_of(data: bytes | bytearray) -> int:
    """Where the L2 table of the newest VM state stands."""
    return number(data, state_entry(data, 1)) & 0x00FFFFFFFFFFFE00


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (lambda d: l2_of(d), "lies over an L2 table"),
        (lambda d: number(d, entry(d, 1)), "lies over its own L1 table"),
        (lambda d: number(d, 48), "lies over the refcount table"),
        (lambda d: 1 << 40, "cluster lies outside of the file"),
    ],
)
def test_clusters_that_are_tables_or_nowhere_are_told(target: object, words: str) -> None:
    data = image("v3")
    put(data, l2_of(data), target(data) | 1 << 63)  # type: ignore[operator]
    with pytest.raises((ContainerError, TruncatedError), match=words):
        opened(bytes(data))


def test_two_l1_entries_cannot_share_an_l2_table() -> None:
    data = image("clusters-512")
    l1 = number(data, entry(data, 1))
    first = next(at for at in range(l1, l1 + 400, 8) if number(data, at) and number(data, at + 8))
    put(data, first + 8, number(data, first))
    with opened(bytes(data)) as file:
        assert file.source.read(0, 32 << 10).startswith(b"QEVM")
        with pytest.raises(ContainerError, match="name the same L2 table"):
            file.source.read(33 << 10, 1)


def test_an_image_cut_in_the_state_gives_what_is_there() -> None:
    data = image("v3")
    whole = everything(opened(bytes(data)))
    moved = put(data, l2_of(data), len(data) + -len(data) % 65536 | 1 << 63)
    moved += bytes(-len(moved) % 65536) + whole[:5000]
    with opened(bytes(moved)) as file:
        assert file.source.read(0, 9999) == whole[:5000]
        with pytest.raises(TruncatedError, match="cluster lies outside of the file"):
            file.source.read(5000, 1)


def test_a_snapshot_of_something_else_is_no_stream() -> None:
    data = image("v3")
    with pytest.raises(NotAStreamError, match="no QEMU migration stream in qcow2"):
        opened(bytes(put(data, l2_of(data), 0)))


def test_only_tables_and_what_is_asked_for_are_read() -> None:
    file = Counted(bytes(image("v3")))
    source = Qcow2Source(file, None, Budget(1000, 1 << 30))
    assert len(source.read(source.size - 100, 100)) == 100
    assert file.fetched < 65536 + 3000  # one L2 table, and little else


def test_names_that_are_not_utf8_are_shown_all_the_same() -> None:
    data = image("v3")
    at = entry(data, 1) + 40 + 24 + 1
    data[at : at + 7] = b"caf\xe9\xff!!"
    assert chosen(data).name == r"caf\xe9\xff!!"
    assert chosen(data, r"caf\xe9\xff!!").id == "2"


def test_no_image_makes_more_than_a_line() -> None:
    data = image("clusters-512")
    for index in range(0x70):
        for value in (0x00, 0x7F, 0xFF):
            changed = bytearray(data)
            changed[index] = value
            try:
                with opened(bytes(changed)) as file:
                    file.source.read(0, 1 << 16)
            except MsixtoolError as error:
                assert "\n" not in str(error)  # noqa: PT017 - most changes do no harm
