"""Loading a virtio device: virtio_load over the source's bytes, with the target's transport.

Source: QEMU hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c (virtio_pci_load_config,
virtio_pci_load_queue), hw/char/virtio-serial-bus.c (virtio_serial_load_device).
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.devices import virtio, virtio_layout
from msixtool.devices.virtio import Queue, VirtioState
from msixtool.errors import FormatError
from msixtool.formats import msix, pci, sizeof
from msixtool.formats import virtio as fmt
from msixtool.qemu import advice, vmstates
from msixtool.qemu.versions import Version
from msixtool.qemu.virtio_features import feature
from msixtool.tasks.compat import pci_config
from msixtool.tasks.compat.load_base import Load, LoadStoppedError
from msixtool.tasks.finding import Code

CHECKS_QUEUE_SIZE: Version = (11, 0)
"""Since when a queue of more entries than the target's is refused."""

_LEGACY_REGISTERS, _LEGACY_REGISTERS_MSIX = 20, 24
"""Bytes of a legacy device's I/O BAR before the device's configuration, without and with MSI-X."""

_MAX_PORTS = 511
"""The most ports that a virtio-serial device can have: two queues each, and two for control."""

_FIXED_STATE = {"virtio-balloon": 8, "virtio-gpu": 0, "virtio-input": 0, "virtio-rng": 0, "virtio-scsi": 0}
"""Bytes of the state of a device type that has always the same, before its subsections."""

_DEVICE_SUBSECTIONS = {
    "virtio-balloon-device/free-page-report": 8,
    "virtio-balloon-device/page-poison": 4,
}
"""Bytes of the subsections of device types."""

_DYNAMIC_STATE = frozenset({"virtio-blk", "virtio-iommu", "virtio-net", "vhost-user-fs"})
"""Kinds whose own state is as long as its content, not as its layout."""


def load(owner: Load, at: int, local: int, size: int) -> int:
    """Load the virtio field at `at`, whose counterpart in the target has `size` bytes; the offset behind
    it."""
    own = owner.own_bytes(local, size)
    try:
        state = virtio.read(own, offset=local)
    except FormatError as error:
        owner.undecided(f"virtio: the target's own state cannot be read: {error.explanation}", field="virtio")
        raise LoadStoppedError from None
    return _VirtioLoad(owner, at, own, state).run()


@dataclass
class _VirtioLoad:
    """`own` is the target's whole field, `state` what it says."""

    owner: Load
    at: int
    own: bytes
    state: VirtioState
    low_features: int = 0
    high_features: int | None = None

    def __post_init__(self) -> None:
        self.start = self.at

    def run(self) -> int:
        self._pci_device()
        self._msix()
        self._core()
        self._queues()
        self._device()
        self._subsections("virtio")
        self._features()
        return self.at

    def _take(self, size: int) -> int:
        """The next big-endian integer of `size` bytes."""
        value = self.owner.number(self.at, size)
        self.at += size
        return value

    def _pci_device(self) -> None:
        owner, config_size = self.owner, len(self.state.config_space.data)
        version = self._take(4)
        ours = int.from_bytes(self.own[:4], "big")
        if version > ours:
            owner.refuse(
                Code.SECTION_VERSION,
                f"PCIDevice version_id: {version}, the target reads 0 to {ours}",
                field="version_id",
                source=version,
                target=ours,
            )
        config = owner.read(self.at, config_size)
        registers = _LEGACY_REGISTERS_MSIX if self.state.vectors else _LEGACY_REGISTERS
        legacy_bar = registers + int(self.state.core.config_len)
        pci_config.compare(owner, config, self.state.config_space.data, legacy_bar=legacy_bar)
        self.at += config_size
        for pin in range(pci.INTX_PINS):
            level = self._take(4)
            if level > 1:
                owner.refuse(Code.OTHER, f"irq state of pin {pin}: must be 0 or 1", field="irq_state")

    def _msix(self) -> None:
        if not self.state.vectors:
            return
        self.at += msix.vmstate_size(self.state.vectors)
        self._vector("config_vector", self._take(2))

    def _vector(self, name: str, vector: int) -> None:
        if vector != fmt.NO_VECTOR and vector >= self.state.vectors:
            self.owner.refuse(
                Code.VECTOR_RANGE,
                f"{name}: vector {vector}, the target has {self.state.vectors}",
                field=name,
                source=vector,
                target=self.state.vectors,
            )

    def _core(self) -> None:
        self.at += 2  # status, isr
        queue_sel = self._take(2)
        if queue_sel >= fmt.MAX_QUEUES:
            self.owner.refuse(
                Code.OTHER,
                f"queue_sel: {queue_sel}, QEMU reads up to {fmt.MAX_QUEUES - 1}",
                field="queue_sel",
            )
        self.low_features = self._take(4)
        config_len = self._take(4)
        self.at += config_len  # may be more or less than the target's

    def _queues(self) -> None:
        count = self._take(4)
        if count > fmt.MAX_QUEUES:
            self.owner.refuse(
                Code.OTHER,
                f"number of virtqueues: {count}, QEMU reads up to {fmt.MAX_QUEUES}",
                field="num_queues",
                source=count,
            )
        for index in range(count):
            num, desc, last = self._take(4), self._take(8), self._take(2)
            vector = self._take(2) if self.state.vectors else None
            self._queue(index, Queue(num, desc, last, vector))

    def _queue(self, index: int, queue: Queue) -> None:
        owner, name = self.owner, f"queue {index}"
        ours = self.state.queues[index].num if index < len(self.state.queues) else 0
        if queue.num > ours:
            self._longer(name, queue.num, ours)
        if not queue.desc and queue.last_avail_idx:
            owner.refuse(
                Code.OTHER,
                f"{name}: at address 0, but {queue.last_avail_idx} buffers were taken from it",
                field=f"{name} address",
                source=queue.last_avail_idx,
            )
        if queue.vector is not None:
            self._vector(f"{name} vector", queue.vector)

    def _longer(self, name: str, size: int, ours: int) -> None:
        """A queue that is longer than the target's, or that the target does not have."""
        owner = self.owner
        message = f"{name}: {size} entries, the target has {ours}"
        if owner.target.releases.all_since(CHECKS_QUEUE_SIZE):
            owner.refuse(
                Code.QUEUE_SIZE,
                message,
                field=f"{name} size",
                source=size,
                target=ours,
                advice=advice.on_queue(owner.kind, size, ours),
            )
        if owner.target.releases.some_since(CHECKS_QUEUE_SIZE):
            owner.undecided(
                f"{message}, which QEMU 11 refuses", field=f"{name} size", source=size, target=ours
            )

    def _device(self) -> None:
        """The state of the device type."""
        if self.owner.kind == "virtio-console":
            self._serial_ports()
            return
        if self.owner.kind == "virtio-mem":
            self._memory_checks()
        if self.owner.kind in _FIXED_STATE:
            self.at += _FIXED_STATE[self.owner.kind]
            self._subsections(f"{self.owner.kind}-device")
            return
        theirs = _device_length(self._source_field(), self.owner.kind)
        ours = _device_length(self.own, self.owner.kind)
        if theirs is None or ours is None:
            self.owner.undecided("the state of the device type is not told apart from what follows")
            raise LoadStoppedError
        if theirs != ours and self.owner.kind not in _DYNAMIC_STATE:
            self.owner.undecided(
                f"the state of the device type: {theirs} bytes, the target has {ours}", field="device"
            )
        self.at += theirs

    def _memory_checks(self) -> None:
        """virtio-mem: what it compares, unless an early section did."""
        if (f"{self.owner.path}/virtio-mem-device-early", 0) in self.owner.target.sections:
            return
        at, local = self.at, self.state.end
        for name, size in vmstates.MEMORY_CHECKS:
            ours = int.from_bytes(self.own[local : local + size], "big")
            self.owner.must_be_equal(name, self.owner.number(at, size), ours)
            at, local = at + size, local + size

    def _source_field(self) -> bytes:
        """The source's whole field; without a vmdesc, all that is left of its section."""
        owner, start = self.owner, self.start
        node = owner.guide.of_type(start, "virtio")
        end = node.end if node else owner.item.data_offset + owner.item.data_length
        return owner.read(start, max(0, end - start))

    def _serial_ports(self) -> None:
        """virtio-serial: which ports there are has to be the same; the map is as long as max_ports."""
        self.at += 8  # columns, rows and max_nr_ports, which nobody reads
        max_ports = int.from_bytes(self.own[self.state.end + 4 :][:4], "big")
        for word in range((min(max_ports, _MAX_PORTS) + 31) // 32):
            ports = self._take(4)
            ours = int.from_bytes(self.own[self.state.end + 8 + 4 * word :][:4], "big")
            if ports != ours:
                self.owner.refuse(
                    Code.FIELD_MISMATCH,
                    f"ports {32 * word} to {32 * word + 31}: {ports:#x}, the target has {ours:#x}",
                    field="ports_map",
                    source=ports,
                    target=ours,
                )
        active = self._take(4)
        known = self._port_ids()
        for _ in range(min(active, _MAX_PORTS)):
            port = self._take(4)
            if port not in known:
                self.owner.refuse(
                    Code.FIELD_MISMATCH,
                    f"port {port} is active, the target has none of this number",
                    field="ports",
                    source=port,
                )
            self.at += 2  # guest_connected, host_connected
            if self._take(4):
                self.owner.undecided("a port with a buffer in flight: its state is not followed")
                raise LoadStoppedError

    def _port_ids(self) -> set[int]:
        """The ports that the target has, from its own map."""
        words = (int.from_bytes(self.own[self.state.end + 4 :][:4], "big") + 31) // 32
        data = self.own[self.state.end + 8 :][: 4 * words]
        return {
            32 * word + bit
            for word in range(len(data) // 4)
            for bit in range(32)
            if int.from_bytes(data[4 * word :][:4], "big") >> bit & 1
        }

    def _subsections(self, parent: str) -> None:
        """Those that stand in the source; virtio_pci's are nested in virtio/extra_state."""
        owner = self.owner
        while (found := owner.subsection_at(self.at, parent)) is not None:
            name, _, body = found
            schema = fmt.FIELDS_BY_SUBSECTION.get(name)
            if owner.target.knowledge.knows_subsection(parent, name) is False:
                owner.refuse(
                    Code.SUBSECTION_UNKNOWN,
                    f"subsection {name}: the target's QEMU does not know it",
                    field=name,
                    source=name,
                )
            if schema is None and name not in _DEVICE_SUBSECTIONS:
                owner.undecided(f"subsection {name} is not known: its length is not told", field=name)
                raise LoadStoppedError
            if name == "virtio/64bit_features":
                self.high_features = owner.number(body, 8)
            self.at = body + (_DEVICE_SUBSECTIONS[name] if schema is None else sizeof(schema))
            self._subsections("virtio_pci" if name == "virtio/extra_state" else name)

    def _features(self) -> None:
        """What the guest negotiated has to be offered, which a stream tells of few features."""
        wanted = self.low_features if self.high_features is None else self.high_features
        if not wanted:
            return
        missing = [bit for bit in range(64) if wanted >> bit & 1 and self._is_missing(bit)]
        if missing:
            names = ", ".join(feature(bit, self.owner.kind).name for bit in missing)
            self.owner.refuse(
                Code.FEATURES,
                f"features {wanted:#x} are negotiated, of which the target does not offer {names}",
                field="guest_features",
                source=wanted,
            )
        self.owner.undecided(
            f"features {wanted:#x} are negotiated: the target's stream does not tell which it offers",
            field="guest_features",
            source=wanted,
        )

    def _is_missing(self, bit: int) -> bool:
        """Whether the target surely does not offer a feature."""
        lifetime = vmstates.FEATURES.get(bit)
        if lifetime is not None and self.owner.target.releases.cover(lifetime) is False:
            return True
        needed = vmstates.FEATURE_SUBSECTIONS.get(bit)
        return needed is not None and needed.encode() not in self.own[self.state.end :]


def _device_length(field: bytes, kind: str) -> int | None:
    """Bytes of the state of the device type in a virtio field; None where it is not told apart."""
    layout = virtio_layout.read(field, kind)
    if layout is None:
        return None
    return layout.own.end - layout.own.body if layout.own else 0
