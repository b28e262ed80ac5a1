"""The rows of a trace: what each interrupt serves, its ring, its route, and where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msixtool.devices import virtio_layout
from msixtool.devices.cpus import Apic, Cpu
from msixtool.devices.device import MsixDevice
from msixtool.devices.interrupt_route import Remapping, Route, RouteKind, Router, Unreachable, read_remapping
from msixtool.devices.places import places_of
from msixtool.devices.rings import QueueReader, Ring
from msixtool.devices.virtio_layout import VirtioLayout
from msixtool.dump import OpenDump
from msixtool.errors import FormatError
from msixtool.tasks.trace.causes import Cause, Causes
from msixtool.tasks.trace.interrupt import Interrupt, InterruptPlace, Use

MAX_BLOB = 4 << 20
"""The longest virtio blob that is read, in bytes."""


class Follower:
    """Follows the interrupts of one stream's devices."""

    def __init__(self, dump: OpenDump, cpus: Sequence[Cpu]) -> None:
        self._dump = dump
        self._memory = dump.memory
        self._apics = {cpu.apic.id: cpu.apic for cpu in cpus if cpu.apic is not None}
        self.damage: list[str] = []
        self.missing: list[str] = []
        try:
            self._remapping = read_remapping(dump.source, dump.index)
        except FormatError as error:
            self._remapping = Remapping(unknown=True)
            self.damage.append(str(error))
        if self._remapping.unknown:
            self.missing.append("interrupt remapping of amd-iommu is not followed: routes are unknown")
        self._router = Router(list(self._apics.values()), self._remapping, self._memory)

    def follow(self, devices: Sequence[MsixDevice]) -> list[list[Interrupt]]:
        """The rows of each device. All of guest memory that they need is asked for before any is read."""
        readers = [self._queues(device) for device in devices]
        causes = [Causes(self._dump, device) for device in devices]
        for device, reader, each in zip(devices, readers, causes, strict=True):
            self._want(device, reader)
            each.want(self._memory)
        return [
            self._rows(device, reader, each.read(self._memory))
            for device, reader, each in zip(devices, readers, causes, strict=True)
        ]

    def _queues(self, device: MsixDevice) -> QueueReader | None:
        layout = self._layout(device)
        return None if layout is None else QueueReader(layout, self._memory)

    def _layout(self, device: MsixDevice) -> VirtioLayout | None:
        if device.virtio is None:
            return None
        item = device.item
        places = places_of(self._dump.source, item)
        if places.virtio is None:
            return None
        length = min(places.virtio_size, MAX_BLOB)
        blob = self._dump.source.read(item.data_offset + places.virtio, length)
        return virtio_layout.read_blob(blob, device.kind, device.capability)

    def _want(self, device: MsixDevice, reader: QueueReader | None) -> None:
        for entry in device.state.entries if self._dump.is_x86 else ():
            self._router.want(entry.address, entry.data)
        for queue in self._set_up(device, reader):
            if reader is not None and self._is_readable(reader):
                reader.want(queue)

    def _is_readable(self, reader: QueueReader) -> bool:
        """Whether the addresses of the rings are guest physical ones."""
        return not (reader.translated and self._remapping.translating)

    def _set_up(self, device: MsixDevice, reader: QueueReader | None) -> list[int]:
        if reader is None:
            return []
        return [queue for queue in range(len(device.queue_vectors)) if reader.is_set_up(queue)]

    def _rows(
        self, device: MsixDevice, reader: QueueReader | None, causes: Sequence[Cause]
    ) -> list[Interrupt]:
        rows = [self._of_cause(device, cause) for cause in causes]
        if device.virtio is not None:
            rows.append(self._row(device, device.config_vector, Use.CONFIG))
        if reader is not None and not self._is_readable(reader) and self._set_up(device, reader):
            self.missing.append(f"{device.name}: its rings are at addresses that the IOMMU translates")
        for queue in self._set_up(device, reader):
            assert reader is not None
            if fault := reader.fault(queue):
                self.damage.append(f"section {device.name}: {fault}")
            ring = reader.read(queue, readable=self._is_readable(reader))
            rows.append(self._row(device, device.queue_vectors[queue], Use.QUEUE, queue, ring))
        served = {row.vector for row in rows}
        for vector in range(device.vectors):
            if vector not in served and (device.state.is_pending(vector) or not device.is_masked(vector)):
                rows.append(self._row(device, vector))
        return rows

    def _of_cause(self, device: MsixDevice, cause: Cause) -> Interrupt:
        use = None if cause.queue is None else Use.QUEUE
        row = self._row(device, cause.vector, use, cause.queue)
        disabled = device.capability is not None and not device.capability.enabled
        return replace(row, owed=None if disabled else True if row.pending else cause.owed, cause=cause)

    def _row(
        self,
        device: MsixDevice,
        vector: int | None,
        use: Use | None = None,
        queue: int | None = None,
        ring: Ring | None = None,
    ) -> Interrupt:
        known = vector is not None and vector < device.vectors
        entry = device.state.entries[vector] if known and vector is not None else None
        pending = known and vector is not None and device.state.is_pending(vector)
        route = self.route(device, vector)
        where, at = self._where(route, pending)
        return Interrupt(
            vector,
            use,
            queue,
            known and vector is not None and device.is_masked(vector),
            pending,
            None if entry is None else entry.address,
            None if entry is None else entry.data,
            route,
            ring,
            _owed(device, vector, pending, ring),
            where,
            at,
        )

    def route(self, device: MsixDevice, vector: int | None) -> Route:
        """Where the message of a device's vector goes."""
        if vector is None:
            return Route(RouteKind.NONE)
        if vector >= device.vectors:
            return Route(RouteKind.NONE, note=Unreachable.NO_SUCH_VECTOR)
        entry = device.state.entries[vector]
        route = Route(RouteKind.OTHER)
        if self._dump.is_x86:
            route = self._router.route(entry.address, entry.data)
        return route.noted(Unreachable.BUS_MASTER_OFF) if device.bus_master is False else route

    def _where(self, route: Route, pending: bool) -> tuple[InterruptPlace | None, tuple[int, ...]]:
        """The first place that holds the interrupt, and the APICs that it is in."""
        met = [self._apics[each] for each in route.cpus if each in self._apics]
        requested = _holding(met, route.cpu_vector, in_service=False)
        in_service = _holding(met, route.cpu_vector, in_service=True)
        if pending:
            return InterruptPlace.PENDING, ()
        if requested:
            return InterruptPlace.REQUESTED, requested
        return (InterruptPlace.IN_SERVICE, in_service) if in_service else (None, ())


def _holding(apics: Sequence[Apic], vector: int | None, *, in_service: bool) -> tuple[int, ...]:
    return tuple(apic.id for apic in apics if vector in (apic.in_service if in_service else apic.requested))


def _owed(device: MsixDevice, vector: int | None, pending: bool, ring: Ring | None) -> bool | None:
    """Whether the device owes the interrupt; None where nothing tells."""
    if ring is None:
        return True if pending else None
    if device.capability is not None and not device.capability.enabled:
        return None  # It goes by INTx, if at all.
    return False if vector is None else ring.owed
