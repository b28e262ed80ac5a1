"""Snapshots in qcow2 images: the VM state that `savevm` and `snapshot-save` write, as a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msixtool.containers.base import Source, read_exactly
from msixtool.containers.clusters import ClusterMap, Geometry
from msixtool.containers.unpack import ALLOWANCE, Budget
from msixtool.errors import ContainerError, InputError, NotAStreamError, UsageError
from msixtool.formats import members, parse, qcow2 as fmt


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One internal snapshot. Sizes in bytes, clocks in nanoseconds; `icount` None where it was off."""

    id: str
    name: str
    date_sec: int
    date_nsec: int
    vm_clock_ns: int
    vm_state_size: int
    disk_size: int
    icount: int | None
    l1_offset: int
    l1_size: int

    @property
    def date(self) -> datetime:
        """When it was taken, by the host's clock, in UTC."""
        return datetime.fromtimestamp(self.date_sec, UTC).replace(
            microsecond=min(self.date_nsec // 1000, 999_999)
        )

    def describe(self) -> dict[str, Any]:
        """The snapshot as a JSON object."""
        return {
            "id": self.id,
            "name": self.name,
            "date": self.date.isoformat(),
            "vm_clock_ns": self.vm_clock_ns,
            "vm_state_size": self.vm_state_size,
            "icount": self.icount,
        }


class Qcow2Source:
    """The VM state of one snapshot of a qcow2 image, read where it is asked for.

    `name` chooses the snapshot by its name or id; without it the newest that holds a VM state
    is taken. `budget` bounds a VM state that is larger than the image can hold.

    Raises ContainerError where the image is damaged or of a kind that is not supported,
    UsageError where there is no such snapshot.
    """

    kind = "qcow2"

    def __init__(self, base: Source, name: str | None, budget: Budget) -> None:
        self._base = base
        header = _header(base)
        self.version = int(header.version)
        self.cluster_size = 1 << header.cluster_bits
        self.snapshots = tuple(_snapshots(base, header))
        self.snapshot = _choose(self.snapshots, name)
        self._map = _cluster_map(base, header, self.snapshot)
        self._start = self._map.geometry.round_up(self.snapshot.disk_size)
        self.size = self.snapshot.vm_state_size
        if self.size > ALLOWANCE:
            budget.check(self.size, base.size)

    @property
    def sequential(self) -> bool:
        """As the image below."""
        return self._base.sequential

    def is_current(self) -> bool:
        """Whether the image, which may have been written to, holds the snapshot as when it was opened.

        QEMU writes to no cluster that a snapshot holds, and takes the snapshot out of the table before
        it frees them (block/qcow2-snapshot.c), so what was read before this says yes is whole.
        """
        try:
            return self.snapshot in _snapshots(self._base, _header(self._base))
        except InputError:
            return False

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes of the VM state from `offset`. Raises ContainerError at damage."""
        length = min(length, self.size - offset)
        return self._map.read(self._start + offset, length) if length > 0 else b""

    def drop(self, start: int, end: int) -> None:
        """Nothing to do: where the image is compressed, its bytes are on disk already."""

    def close(self) -> None:
        """Close the image."""
        self._base.close()

    def details(self) -> dict[str, Any]:
        """Version, cluster size, all snapshots, and the id of the chosen one."""
        return {
            "version": self.version,
            "cluster_size": self.cluster_size,
            "snapshot": self.snapshot.id,
            "snapshots": [snapshot.describe() for snapshot in self.snapshots],
        }


def _header(base: Source) -> Any:
    """The image header, of a kind that can be read. Raises ContainerError for any other."""
    header = parse(fmt.HEADER, base.read(0, fmt.HEADER_MAX_SIZE), what="qcow2 header")
    if header.version not in fmt.VERSIONS:
        raise ContainerError(
            "qcow2 version", offset=fmt.OFFSETS["version"], expected="2 or 3", found=header.version
        )
    if not fmt.MIN_CLUSTER_BITS <= header.cluster_bits <= fmt.MAX_CLUSTER_BITS:
        raise ContainerError(
            "qcow2 cluster size",
            offset=fmt.OFFSETS["cluster_bits"],
            expected=f"2^{fmt.MIN_CLUSTER_BITS} to 2^{fmt.MAX_CLUSTER_BITS} bytes",
            found=f"2^{header.cluster_bits}",
        )
    if header.crypt_method:
        method = fmt.CRYPT_METHODS.get(header.crypt_method, header.crypt_method)
        raise ContainerError(f"qcow2 image is encrypted ({method}): decrypt it with qemu-img convert")
    features = _features(header)
    if features & fmt.Incompatible.EXTERNAL_DATA:
        raise ContainerError("qcow2 image keeps its data in another file (external data file)")
    if unknown := features & ~fmt.KNOWN_FEATURES:
        bits = ", ".join(str(bit) for bit in range(64) if unknown >> bit & 1)
        at = fmt.OFFSETS["incompatible_features"]
        raise ContainerError("qcow2 image has unknown incompatible features", offset=at, found=f"bits {bits}")
    return header


def _features(header: Any) -> int:
    return int(header.v3.incompatible_features) if header.v3 else 0


def _snapshots(base: Source, header: Any) -> Iterator[Snapshot]:
    """All entries of the snapshot table, in its order."""
    if header.nb_snapshots > fmt.MAX_SNAPSHOTS:
        raise ContainerError(
            "qcow2 snapshots",
            offset=fmt.OFFSETS["nb_snapshots"],
            expected=f"at most {fmt.MAX_SNAPSHOTS}",
            found=header.nb_snapshots,
        )
    offset = header.snapshots_offset
    for _ in range(header.nb_snapshots):
        offset += -offset % fmt.SNAPSHOT_ALIGNMENT
        raw = read_exactly(base, offset, fmt.SNAPSHOT_HEADER_SIZE, "qcow2 snapshot table")
        entry = parse(fmt.SNAPSHOT_HEADER, raw, what="qcow2 snapshot", offset=offset)
        if entry.extra_data_size > fmt.MAX_SNAPSHOT_EXTRA:
            raise ContainerError(
                "qcow2 snapshot: extra data",
                offset=offset + members(fmt.SNAPSHOT_HEADER)["extra_data_size"].offset,
                expected=f"at most {fmt.MAX_SNAPSHOT_EXTRA} bytes",
                found=entry.extra_data_size,
            )
        offset += fmt.SNAPSHOT_HEADER_SIZE
        size = entry.extra_data_size + entry.id_str_size + entry.name_size
        yield _snapshot(entry, read_exactly(base, offset, size, "qcow2 snapshot table"), header.size)
        offset += size
        if offset - header.snapshots_offset > fmt.MAX_SNAPSHOT_TABLE:
            raise ContainerError(
                "qcow2 snapshot table",
                offset=offset,
                expected=f"at most {fmt.MAX_SNAPSHOT_TABLE} bytes",
                found="more",
            )


def _snapshot(entry: Any, tail: bytes, disk_size: int) -> Snapshot:
    """One entry out of its header and what follows; `disk_size` is for entries too old to tell."""
    extra = parse(fmt.SNAPSHOT_EXTRA, tail[: entry.extra_data_size], what="qcow2 snapshot")
    words = tail[entry.extra_data_size :]
    return Snapshot(
        id=words[: entry.id_str_size].decode(errors="backslashreplace"),
        name=words[entry.id_str_size :].decode(errors="backslashreplace"),
        date_sec=entry.date_sec,
        date_nsec=entry.date_nsec,
        vm_clock_ns=entry.vm_clock_nsec,
        vm_state_size=entry.vm_state_size if extra.vm_state_size is None else extra.vm_state_size,
        disk_size=disk_size if extra.disk_size is None else extra.disk_size,
        icount=None if extra.icount in (None, fmt.NO_ICOUNT) else extra.icount,
        l1_offset=entry.l1_table_offset,
        l1_size=entry.l1_size,
    )


def _choose(snapshots: tuple[Snapshot, ...], name: str | None) -> Snapshot:
    """The snapshot of that name or id, or the newest with a VM state."""
    with_state = [snapshot for snapshot in snapshots if snapshot.vm_state_size]
    if name is None:
        if not with_state:
            raise NotAStreamError(
                "qcow2 image holds no VM state",
                expected="a snapshot made by savevm",
                found=f"snapshots of the disk alone: {_names(snapshots)}" if snapshots else "no snapshot",
            )
        return _newest(with_state)
    chosen = [snapshot for snapshot in snapshots if snapshot.name == name] or [
        snapshot for snapshot in snapshots if snapshot.id == name
    ]
    if not chosen:
        raise UsageError(
            f"no snapshot {name!r} in the qcow2 image", expected=_names(snapshots) or "none at all"
        )
    if not (usable := [snapshot for snapshot in chosen if snapshot.vm_state_size]):
        raise ContainerError(
            f"snapshot {name!r} holds no VM state, only the disk's",
            expected=f"one of {_names(with_state)}" if with_state else "a snapshot made by savevm",
        )
    return _newest(usable)


def _newest(snapshots: list[Snapshot]) -> Snapshot:
    """The one with the latest date; of equals the last, for QEMU adds at the end."""
    return max(reversed(snapshots), key=lambda snapshot: (snapshot.date_sec, snapshot.date_nsec))


def _names(snapshots: tuple[Snapshot, ...] | list[Snapshot]) -> str:
    """The names, for an error's one line."""
    shown = ", ".join(snapshot.name or snapshot.id for snapshot in snapshots[:8])
    return f"{shown}, …" if len(snapshots) > 8 else shown


def _cluster_map(base: Source, header: Any, snapshot: Snapshot) -> ClusterMap:
    """The way from the snapshot's guest offsets to the file, once its tables are seen to be sane."""
    geometry = Geometry(
        header.cluster_bits,
        extended=bool(_features(header) & fmt.Incompatible.EXTENDED_L2),
        zero_flag=header.version >= 3,
        compression=(header.v3.compression_type or 0) if header.v3 else fmt.COMPRESSION_DEFLATE,
    )
    start = geometry.round_up(snapshot.disk_size)
    covered = snapshot.l1_size * geometry.table_span - start
    if snapshot.l1_size * 8 > fmt.MAX_L1_BYTES or snapshot.vm_state_size > covered:
        raise ContainerError(
            f"qcow2 snapshot {snapshot.name!r}: VM state of {snapshot.vm_state_size} bytes",
            expected=f"at most {max(0, covered)} by its L1 table of {snapshot.l1_size} entries",
        )
    tables = [
        (0, geometry.cluster_size, "the image header"),
        (snapshot.l1_offset, snapshot.l1_offset + 8 * snapshot.l1_size, "its own L1 table"),
        (
            header.refcount_table_offset,
            header.refcount_table_offset + header.refcount_table_clusters * geometry.cluster_size,
            "the refcount table",
        ),
    ]
    return ClusterMap(base, geometry, snapshot.l1_offset, tables)
