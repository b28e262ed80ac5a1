"""The virtio blob: how far it is understood, and where its parts stand.

Source: QEMU hw/virtio/virtio.c, virtio_save and virtio_load; hw/virtio/virtio-pci.c.
"""

from __future__ import annotations

from typing import Any

from msixtool.devices.config_space import ConfigSpace, MsixCapability
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import members, parse, pci, sizeof, virtio as fmt
from msixtool.formats.records import Records
from msixtool.kept import NamedTuple

MAX_CONFIG = 1 << 16
"""The longest device configuration that is believed, in bytes."""


class Queue(NamedTuple):
    """One virtqueue as virtio_save writes it; `desc` is a guest physical address."""

    num: int
    desc: int
    last_avail_idx: int
    vector: int | None
    """As in the stream: 0xffff for none; None where the device has no MSI-X."""


class VirtioState(NamedTuple):
    """The transport, core and queues of one virtio device.

    Offsets are in bytes from the start of the blob.
    """

    config_space: ConfigSpace
    capability: MsixCapability | None
    msix_offset: int
    config_vector: int | None
    core_offset: int
    core: Any
    queues_offset: int
    queue: Any
    """The schema of each queue: its transport has it."""
    queues: tuple[Queue, ...]
    end: int
    """Behind the queues: the state of the device type begins here."""

    def __repr__(self) -> str:
        return f"<VirtioState: {len(self.queues)} queues, {self.end} bytes>"

    @property
    def vectors(self) -> int:
        """Vectors in the blob: those of the capability, 0 without one."""
        return self.capability.vectors if self.capability else 0

    @property
    def config_vector_offset(self) -> int:
        """Where config_vector stands, in a blob that has it."""
        return self.core_offset - sizeof(fmt.VECTOR)

    @property
    def queue_sel_offset(self) -> int:
        """Where the queue stands that the driver has selected."""
        return self.core_offset + members(fmt.CORE_HEAD)["queue_sel"].offset

    def queue_offset(self, number: int, field: str) -> int:
        """Where a field of queue `number` stands."""
        return self.queues_offset + number * sizeof(self.queue) + members(self.queue)[field].offset


def config_size(data: bytes) -> int:
    """256 or 4096: a virtio device has PCI Express configuration space behind a PCI Express port.

    `data` is the configuration space from its start, at least 256 bytes.
    """
    express = ConfigSpace(data[: pci.CONFIG_SIZE]).find(pci.CapabilityId.EXPRESS) is not None
    return pci.EXPRESS_CONFIG_SIZE if express else pci.CONFIG_SIZE


def read_virtio(data: bytes, *, offset: int = 0, capability: MsixCapability | None = None) -> VirtioState:
    """Read a virtio blob that starts at `offset` of the stream (for error messages).

    `capability` overrides what the capability list says, for lists that are damaged.
    Raises FormatError or TruncatedError where the blob cannot be one of virtio_save's.
    """
    if len(data) < pci.device_vmstate_size(pci.CONFIG_SIZE):
        raise TruncatedError("the virtio state is cut short", offset=offset, found=f"{len(data)} bytes")
    size = config_size(data[pci.CONFIG_OFFSET :])
    space = ConfigSpace(data[pci.CONFIG_OFFSET :][:size])
    capability = capability or space.msix
    vectors = capability.vectors if capability else 0
    places = members(fmt.transport(size, vectors))
    core_offset = max(each.end for each in places.values())
    if len(data) < core_offset:
        raise TruncatedError(
            "virtio transport state is cut short",
            offset=offset,
            expected=f"{core_offset} bytes",
            found=len(data),
        )
    config_vector = None
    if vectors:
        vector = data[places["config_vector"].offset : core_offset]
        config_vector = parse(fmt.VECTOR, vector, what="config_vector")
    queue = fmt.QUEUE_WITH_VECTOR if vectors else fmt.QUEUE
    return _behind(data, offset, core_offset, queue, (space, capability, places["pci"].end, config_vector))


def read_virtio_mmio(data: bytes) -> VirtioState:
    """Read the blob of a virtio device on virtio-mmio, which has no configuration space and no vectors.

    Raises FormatError or TruncatedError as `read_virtio` does.
    """
    core_offset = sizeof(fmt.MMIO_TRANSPORT)
    return _behind(data, 0, core_offset, fmt.QUEUE_ON_MMIO, (ConfigSpace(b""), None, core_offset, None))


_Transport = tuple[ConfigSpace, MsixCapability | None, int, int | None]


def _behind(data: bytes, offset: int, core_offset: int, queue: Any, transport: _Transport) -> VirtioState:
    """The core and the queues behind what the transport wrote."""
    core = _core(data, core_offset, offset)
    queues_offset = core_offset + fmt.CORE_FIXED_SIZE + core.config_len + sizeof(fmt.NUM_QUEUES)
    queues, end = _queues(data, queues_offset, core.num_queues, queue, offset)
    return VirtioState(*transport, core_offset, core, queues_offset, queue, queues, end)


def _core(data: bytes, at: int, base: int) -> Any:
    head = data[at : at + fmt.CORE_FIXED_SIZE]
    config_len = parse(fmt.CORE_HEAD, head, what="virtio core state", offset=base + at).config_len
    if config_len > MAX_CONFIG:
        raise FormatError(
            "virtio config_len",
            offset=base + at + members(fmt.CORE_HEAD)["config_len"].offset,
            expected=f"at most {MAX_CONFIG}",
            found=config_len,
        )
    core = parse(fmt.CORE, data[at : at + config_len + 64], what="virtio core state", offset=base + at)
    if core.num_queues > fmt.MAX_QUEUES:
        raise FormatError(
            "virtio num_queues",
            offset=base + at + fmt.CORE_FIXED_SIZE + config_len,
            expected=f"at most {fmt.MAX_QUEUES}",
            found=core.num_queues,
        )
    return core


def _queues(data: bytes, at: int, count: int, schema: Any, base: int) -> tuple[tuple[Queue, ...], int]:
    records = Records(count, schema)
    end = at + records.size
    if len(data) < end:
        whole = (len(data) - at) // records.record_size
        at += whole * records.record_size
        parse(schema, data[at:], what=f"virtio queue {whole}", offset=base + at)
    found = parse(records, data[at:end], what="virtio queues", offset=base + at)
    queues = [
        Queue(each.num, each.desc, each.last_avail_idx, getattr(each, "vector", None)) for each in found
    ]
    return tuple(queues), end
