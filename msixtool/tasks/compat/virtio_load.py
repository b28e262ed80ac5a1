"""Loading a virtio device: virtio_load over the source's bytes, with the target's transport.

Source: QEMU hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c (virtio_pci_load_config,
virtio_pci_load_queue). The state of the device type is virtio_device.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.devices import virtio, virtio_layout
from msixtool.devices.virtio import Queue, VirtioState
from msixtool.devices.virtio_layout import VirtioLayout
from msixtool.errors import FormatError
from msixtool.formats import msix, pci, virtio as fmt, vmstate
from msixtool.qemu import advice, refusals, vmstates
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.compat import pci_config, virtio_device
from msixtool.tasks.compat.load_base import LoadBase, LoadStoppedError
from msixtool.tasks.device_checks import beyond

_PAIR = 2
"""Queues of a pair of virtio-net: one to receive, one to transmit."""

_LEGACY_REGISTERS, _LEGACY_REGISTERS_MSIX = 20, 24
"""Bytes of a legacy device's I/O BAR before the device's configuration, without and with MSI-X."""


def load_virtio(owner: LoadBase, at: int, local: int, size: int) -> int:
    """Load the virtio field at `at`, whose counterpart in the target has `size` bytes; the offset behind
    it."""
    own = owner.own_bytes(local, size)
    try:
        state = virtio.read_virtio(own, offset=local)
    except FormatError as error:
        owner.undecided(f"virtio: the target's own state cannot be read: {error.explanation}", field="virtio")
        raise LoadStoppedError from None
    return _VirtioLoad(owner, at, own, state).run()


@dataclass
class _VirtioLoad:
    """`own` is the target's whole field, `state` what it says."""

    owner: LoadBase
    at: int
    own: bytes
    state: VirtioState
    low_features: int = 0
    high_features: int | None = None
    config_len: int = 0
    """Bytes of the source's device configuration, which grow with the features that are offered."""
    count: int = 0
    """Queues in the source."""

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
        ours = vmstate.number(self.own[:4])
        if version > ours:
            owner.refuse_as(refusals.PCI_VERSION, source=version, target=ours)
        config = owner.read(self.at, config_size)
        registers = _LEGACY_REGISTERS_MSIX if self.state.vectors else _LEGACY_REGISTERS
        legacy_bar = registers + int(self.state.core.config_len)
        pci_config.compare_spaces(owner, config, self.state.config_space.data, legacy_bar=legacy_bar)
        self.at += config_size
        for pin in range(pci.INTX_PINS):
            level = self._take(4)
            if level > 1:
                owner.refuse_as(refusals.IRQ_STATE, source=level, pin=f" of pin {pin}")

    def _msix(self) -> None:
        if not self.state.vectors:
            return
        self.at += msix.vmstate_size(self.state.vectors)
        self._vector(refusals.CONFIG_VECTOR, self._take(2))

    def _vector(self, refusal: Refusal, vector: int, queue: int | None = None) -> None:
        vectors = self.state.vectors
        if beyond(vector, vectors):
            setting = kind_of(self.owner.kind).advice.vectors
            values = {"below": vectors, "property": setting, "queue": queue}
            self.owner.refuse_as(refusal, source=vector, target=vectors, **values)

    def _core(self) -> None:
        self.at += 2  # status, isr
        queue_sel = self._take(2)
        if queue_sel >= fmt.MAX_QUEUES:
            self.owner.refuse_as(refusals.QUEUE_SELECT, source=queue_sel)
        self.low_features = self._take(4)
        self.config_len = self._take(4)
        self.at += self.config_len  # may be more or less than the target's

    def _queues(self) -> None:
        count = self._take(4)
        if count > fmt.MAX_QUEUES:
            self.owner.refuse_as(refusals.QUEUE_COUNT, source=count)
        self.count = count
        for index in range(count):
            num, desc, last = self._take(4), self._take(8), self._take(2)
            vector = self._take(2) if self.state.vectors else None
            self._queue(index, Queue(num, desc, last, vector))

    def _queue(self, index: int, queue: Queue) -> None:
        ours = self._own_size(index)
        if queue.num > ours:
            self._longer(index, queue.num, ours)
        if not queue.desc and queue.last_avail_idx:
            self.owner.refuse_as(refusals.QUEUE_INDEX, source=queue.last_avail_idx, queue=index)
        if queue.vector is not None:
            self._vector(refusals.QUEUE_VECTOR, queue.vector, index)

    def _own_size(self, index: int) -> int:
        """Entries of the target's queue `index`, 0 where it has none.

        A virtio-net makes as many as the source has before it reads them, the last for control
        (virtio_net_pre_load_queues, 7.2): a fresh one has a pair and that one.
        """
        own = self.state.queues
        if kind_of(self.owner.kind).paired and len(own) > _PAIR and self.count not in (0, len(own)):
            last = index == self.count - 1
            return own[-1].num if last else max(queue.num for queue in own[index % _PAIR : -1 : _PAIR])
        return own[index].num if index < len(own) else 0

    def _longer(self, index: int, size: int, ours: int) -> None:
        """A queue that is longer than the target's, or that the target does not have."""
        owner, values = self.owner, {"queue": index, "source": size, "target": ours}
        if owner.target.releases.all_since(refusals.CHECKS_QUEUE_SIZE):
            advised = advice.on_queue(owner.kind, size, ours)
            owner.refuse_as(refusals.QUEUE_SIZE, advice=advised, **values)
        if owner.target.releases.some_since(refusals.CHECKS_QUEUE_SIZE):
            message = refusals.QUEUE_SIZE.told(**values)
            field = refusals.QUEUE_SIZE.field_of(**values)
            owner.undecided(f"{message}, which QEMU 11 refuses", field=field, source=size, target=ours)

    def _device(self) -> None:
        """The state of the device type."""
        own, source = self._own_layout(), self._source_layout()
        self.at = virtio_device.load_device_state(self.owner, self.at, own, source, self.low_features)
        self._subsections(f"{self.owner.kind}-device")

    def _source_layout(self) -> VirtioLayout | None:
        """The source's blob by its own layout; without a vmdesc, all that is left of its section."""
        owner, placed = self.owner, self.owner.guide.of_type(self.start, vmstate.VIRTIO_BLOB)
        end = placed.end if placed else owner.item.data_offset + owner.item.data_length
        return virtio_layout.read_blob(owner.read(self.start, max(0, end - self.start)), owner.kind)

    def _own_layout(self) -> VirtioLayout:
        layout = virtio_layout.read_blob(self.own, self.owner.kind)
        if layout is None:
            self.owner.undecided("virtio: the target's own state is none of a PCI device", field="virtio")
            raise LoadStoppedError
        return layout

    def _subsections(self, parent: str) -> None:
        """Those that stand in the source; virtio_pci's are nested in virtio/extra_state."""
        owner = self.owner
        while (found := owner.subsection_at(self.at, parent)) is not None:
            name, version, body = found
            if owner.target.knowledge.knows_subsection(parent, name) is False:
                owner.refuse_as(refusals.SUBSECTION_UNKNOWN, source=name)
            if name == virtio_layout.FEATURES_64:
                self.high_features = owner.number(body, 8)
            self.at = virtio_device.subsection(owner, name, version, body)
            self._subsections("virtio_pci" if name == "virtio/extra_state" else name)

    def _features(self) -> None:
        """What the guest negotiated has to be offered, which a stream tells of few features."""
        wanted = self.low_features if self.high_features is None else self.high_features
        if not wanted:
            return
        missing = [bit for bit in range(64) if wanted >> bit & 1 and self._is_missing(bit)]
        if missing:
            names = ", ".join(kind_of(self.owner.kind).feature(bit).name for bit in missing)
            advised = advice.on_features(self.owner.kind, missing)
            self.owner.refuse_as(refusals.FEATURES, source=wanted, names=names, advice=advised)
        self.owner.undecided(
            f"features {wanted:#x} are negotiated: the target's stream does not tell which it offers",
            field="guest_features",
            source=wanted,
            evident=self._has_less(),
        )

    def _has_less(self) -> bool:
        """Whether the target's device is seen to be a lesser one: what it lacks may be a feature's."""
        fewer = self.count > len(self.state.queues) and not kind_of(self.owner.kind).paired
        return fewer or self.config_len > self.state.core.config_len

    def _is_missing(self, bit: int) -> bool:
        """Whether the target surely does not offer a feature."""
        lifetime = vmstates.FEATURE_LIFETIMES.get(bit)
        if lifetime is not None and self.owner.target.releases.cover(lifetime) is False:
            return True
        if self.state.core.config_len < kind_of(self.owner.kind).feature_config.get(bit, 0):
            return True
        needed = vmstates.FEATURE_SUBSECTIONS.get(bit)
        return needed is not None and needed.encode() not in self.own[self.state.end :]
