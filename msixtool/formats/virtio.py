"""The vmstate of a virtio-pci device: one opaque field of type `virtio` in the vmdesc.

Source: QEMU hw/virtio/virtio.c (virtio_save) and hw/virtio/virtio-pci.c
(virtio_pci_save_config, virtio_pci_save_queue, vmstate_virtio_pci_modern_state_sub). All
integers are big-endian but for configuration space, MSI-X table and PBA, which are device
memory. After the queues comes the state of the device type, whose length nothing tells,
then the subsections of `virtio`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from construct import Array, Bytes, Const, Int8ub, Int16ub, Int16ul, Int32ub, Int64ub, Int64ul, Struct, this

from msixtool.formats import function, sizeof

VECTOR = Int16ub
NO_VECTOR = 0xFFFF
"""config_vector and queue vector of a device that uses none."""

MAX_QUEUES = 1024
"""VIRTIO_QUEUE_MAX: what virtio_load accepts, and the length of all arrays by queue."""


@lru_cache(maxsize=64)
def transport(config_size: int, vectors: int) -> Any:
    """PCIDevice, then table, PBA and config_vector; the last three only with MSI-X (vectors > 0)."""
    config_vector = ["config_vector" / VECTOR] if vectors else []
    return Struct(*function.schema(config_size, vectors).subcons, *config_vector)


MMIO_TRANSPORT = Struct(
    "host_features_sel" / Int32ub, "guest_features_sel" / Int32ub, "guest_page_shift" / Int32ub
)
"""What stands before the core on virtio-mmio (hw/virtio/virtio-mmio.c, virtio_mmio_save_config)."""

CORE_HEAD = Struct(
    "status" / Int8ub,
    "isr" / Int8ub,
    "queue_sel" / Int16ub,
    "guest_features" / Int32ub,
    "config_len" / Int32ub,
)
NUM_QUEUES = Int32ub
CORE = Struct(*CORE_HEAD.subcons, "config" / Bytes(this.config_len), "num_queues" / NUM_QUEUES)
"""The part common to all transports, up to the queues. guest_features has the low 32 bits."""

NET_CONFIG = Struct("mac" / Bytes(6), "status" / Int16ul, "max_virtqueue_pairs" / Int16ul, "mtu" / Int16ul)
BLK_CONFIG = Struct("capacity" / Int64ul)
"""How the device configuration of CORE begins, as the driver sees it; capacity in sectors of 512 bytes."""

DRIVER = 2
"""Bit of `status`: a driver has taken the device."""

CORE_FIXED_SIZE = sizeof(CORE_HEAD)
"""Bytes of CORE before the device's configuration."""

_QUEUE_FIELDS = (
    "num" / Int32ub,
    "desc" / Int64ub,
    "last_avail_idx" / Int16ub,
)

QUEUE = Struct(*_QUEUE_FIELDS)
"""One queue of a device without MSI-X; desc is a guest physical address."""

QUEUE_WITH_VECTOR = Struct(*_QUEUE_FIELDS, "vector" / VECTOR)
"""One queue of a device with MSI-X."""

QUEUE_ON_MMIO = Struct(_QUEUE_FIELDS[0], "align" / Int32ub, *_QUEUE_FIELDS[1:])
"""One queue of a device on virtio-mmio, whose driver may choose the alignment of a legacy ring."""

VERSION_1, RING_PACKED = 32, 34
"""Numbers of feature bits: a modern device, and packed rings."""

RING = Struct("avail" / Int64ub, "used" / Int64ub)
"""Where a modern queue's rings are, as guest physical addresses."""

RING_SIZE = Int32ub
"""The most entries of a queue."""

PACKED_RING = Struct(
    "last_avail_idx" / Int16ub,
    "last_avail_wrap_counter" / Int8ub,
    "used_idx" / Int16ub,
    "used_wrap_counter" / Int8ub,
    "inuse" / Int32ub,
)

_DESCRIPTOR_SIZE, _LEGACY_ALIGN = 16, 4096


def legacy_rings(desc: int, num: int) -> tuple[int, int]:
    """The addresses of avail and used of a legacy queue of `num` entries on PCI, which follow `desc`."""
    avail = desc + _DESCRIPTOR_SIZE * num
    used = avail + 6 + 2 * num
    return avail, used + -used % _LEGACY_ALIGN


FIELDS_BY_SUBSECTION: dict[str, Any] = {
    "virtio/device_endian": Struct("device_endian" / Int8ub),
    "virtio/64bit_features": Struct("guest_features" / Int64ub),
    "virtio/128bit_features": Struct("guest_features_hi" / Int64ub),
    "virtio/virtqueues": Struct("rings" / Array(MAX_QUEUES, RING)),
    "virtio/ringsize": Struct("num_default" / Array(MAX_QUEUES, RING_SIZE)),
    "virtio/broken": Struct("broken" / Int8ub),
    "virtio/started": Struct("started" / Int8ub),
    "virtio/disabled": Struct("disabled" / Int8ub),
    "virtio/packed_virtqueues": Struct("rings" / Array(MAX_QUEUES, PACKED_RING)),
    "virtio/extra_state": Struct(),
    "virtio_pci/modern_state": Struct(
        "dfselect" / Int32ub,
        "gfselect" / Int32ub,
        "guest_features" / Array(2, Int32ub),
        "queues"
        / Array(
            MAX_QUEUES,
            Struct(
                "num" / Int16ub,
                "unused" / Const(0, Int8ub),
                "enabled" / Int8ub,
                "desc" / Array(2, Int32ub),
                "avail" / Array(2, Int32ub),
                "used" / Array(2, Int32ub),
            ),
        ),
    ),
    "virtio_pci/modern_state/features128": Struct("guest_features" / Array(2, Int32ub)),
}
"""Body of each subsection by its name, behind a SUBSECTION_HEADER; nested ones follow it."""
