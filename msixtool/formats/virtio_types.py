"""The own state of each virtio device type: what stands between the queues and the subsections of `virtio`.

Source: QEMU hw/net/virtio-net.c (vmstate_virtio_net_device), hw/block/virtio-blk.c (virtio_blk_save_device),
hw/char/virtio-serial-bus.c (virtio_serial_save_device), hw/virtio/virtio-balloon.c, virtio-iommu.c,
virtio-mem.c, and qemu_put_virtqueue_element of virtio.c, of 5.2 to 10.2. All integers are big-endian but for
those of a request in flight, which is a struct of the host that wrote it.

A schema is parsed with the parameters that `_params` names: `features`, the low 32 guest features, `queues`
and `packed`, whether RING_PACKED is offered, which the rest of the blob tells; and those of `PARAMETERS`,
which nothing tells: all values are tried in turn.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    If,
    Int8ub,
    Int16ub,
    Int32ub,
    Int32ul,
    Int64ub,
    Int64ul,
    RepeatUntil,
    Struct,
    this,
)

from msixtool.formats.vmstate import MORE, NO_MORE

NET_CTRL_GUEST_OFFLOADS = 2
"""Number of the feature bit with which virtio-net saves its offloads."""

MAC_SIZE = 6
_VLANS_SIZE = (1 << 12) // 8
_RSS_KEY_SIZE = 40

NET = Struct(
    "mac" / Bytes(MAC_SIZE),
    "tx_waiting" / Int32ub,
    "mergeable_rx_bufs" / Int32ub,
    "status" / Int16ub,
    "promisc" / Int8ub,
    "allmulti" / Int8ub,
    "mac_table_in_use" / Int32ub,
    "mac_table" / Array(this.mac_table_in_use, Bytes(MAC_SIZE)),
    "vlans" / Bytes(_VLANS_SIZE),
    "has_vnet_hdr" / Int32ub,
    "mac_table_multi_overflow" / Int8ub,
    "mac_table_uni_overflow" / Int8ub,
    "alluni" / Int8ub,
    "nomulti" / Int8ub,
    "nouni" / Int8ub,
    "nobcast" / Int8ub,
    "has_ufo" / Int8ub,
    "max_queue_pairs" / If(this._params.multiqueue, Int16ub),
    "curr_queue_pairs" / If(this._params.multiqueue, Int16ub),
    "more_tx_waiting"
    / If(
        this._params.multiqueue, Array(lambda context: max(0, (context.curr_queue_pairs or 0) - 1), Int32ub)
    ),
    "curr_guest_offloads"
    / If(lambda context: context._params.features >> NET_CTRL_GUEST_OFFLOADS & 1, Int64ub),
)
"""max_queue_pairs to more_tx_waiting only where the network backend has more than one queue; curr_queue_pairs
was curr_queues up to 7.0. mac is what the guest reads, mac_table what it listens to besides."""

RSS = Struct(
    "enabled" / Int8ub,
    "redirect" / Int8ub,
    "populate_hash" / Int8ub,
    "hash_types" / Int32ub,
    "supported_hash_types" / If(this._params.version >= 2, Int32ub),
    "indirections_len" / Int16ub,
    "default_queue" / Int16ub,
    "key" / Bytes(_RSS_KEY_SIZE),
    "indirections_table" / Array(this.indirections_len, Int16ub),
)
"""virtio-net's receive side scaling, where the driver switched it on. Version 2 is of 10.2."""
RSS_SUBSECTION = "virtio-net-device/rss"

_MAX_SEGMENTS = 1024
_SEGMENT = Struct("base" / Int64ul, "length" / Int64ul)

ELEMENT = Struct(
    "ndescs" / If(this._params.packed, Int32ub),
    "index" / Int32ul,
    "out_num" / Int32ul,
    "in_num" / Int32ul,
    "padding" / Int32ul,
    "in_addr" / Array(_MAX_SEGMENTS, Int64ul),
    "out_addr" / Array(_MAX_SEGMENTS, Int64ul),
    "in_sg" / Array(_MAX_SEGMENTS, _SEGMENT),
    "out_sg" / Array(_MAX_SEGMENTS, _SEGMENT),
)
"""A request that the device has taken and not given back (VirtQueueElementOld). QEMU writes ndescs in front
and reads it behind."""

_REQUEST = Struct(
    "more" / Int8ub,
    "queue" / If(lambda context: context.more and context._params.queues > 1, Int32ub),
    "element" / If(this.more, ELEMENT),
)

BLK = Struct("requests" / RepeatUntil(lambda request, *_: not request.more, _REQUEST))
"""Requests that wait for an error to be mended (rerror, werror); the last has more = 0 and nothing else."""

SERIAL_PORT = Struct(
    "id" / Int32ub,
    "guest_connected" / Int8ub,
    "host_connected" / Int8ub,
    "elem_popped" / Int32ub,
    "iov_idx" / If(this.elem_popped, Int32ub),
    "iov_offset" / If(this.elem_popped, Int64ub),
    "element" / If(this.elem_popped, ELEMENT),
)

MAX_PORTS = 511
"""The most ports that a virtio-serial device can have: two queues each, and two for control."""


def serial_ports(max_nr_ports: int) -> int:
    """The number of ports that a max_nr_ports tells: it is in the byte order of the guest."""
    if max_nr_ports <= MAX_PORTS:
        return max_nr_ports
    return int.from_bytes(max_nr_ports.to_bytes(4, "little"), "big")


def _ports(context: Any) -> int:
    """How many bits ports_map has: as many as the reader's device has ports, where that is another."""
    return serial_ports(context._params.get("max_ports", context.max_nr_ports))


SERIAL_HEAD = Struct(
    "cols" / Int16ub,
    "rows" / Int16ub,
    "max_nr_ports" / Int32ub,
    "ports_map" / Array(lambda context: (min(_ports(context), MAX_PORTS) + 31) // 32, Int32ub),
    "nr_active_ports" / Int32ub,
)
"""What virtio-serial reads before its ports."""

SERIAL = Struct(
    *SERIAL_HEAD.subcons,
    "ports" / Array(this.nr_active_ports, SERIAL_PORT),
)
"""ports_map has a bit for each port that there is; max_nr_ports is read by nobody. The parameter `max_ports`
is that of the device which reads."""

BALLOON = Struct("num_pages" / Int32ub, "actual" / Int32ub)
"""Pages of 4096 bytes."""

MEM_CHECKS = Struct("addr" / Int64ub, "region_size" / Int64ub, "block_size" / Int64ub, "node" / Int32ub)
"""Of virtio-mem: what has to be the same on the target."""

MEM = Struct(
    "checks" / If(this._params.early == 0, MEM_CHECKS),
    "usable_region_size" / Int64ub,
    "size" / If(this._params.early == 0, Int64ub),
    "requested_size" / Int64ub,
    "bitmap"
    / If(
        this._params.early == 0,
        Array(
            lambda context: (context.checks.region_size // max(1, context.checks.block_size) + 63) // 64,
            Int64ub,
        ),
    ),
)
"""bitmap has a bit for each block that is plugged. Since 8.0 all but two fields are in a section of
their own, virtio-mem-device-early."""

MAPPING = Struct(
    "more" / Const(MORE),
    "low" / Int64ub,
    "high" / Int64ub,
    "phys_addr" / Int64ub,
    "flags" / Int32ub,
)

_ENDPOINT = Struct("more" / Int8ub, "id" / If(this.more, Int32ub))

DOMAIN = Struct(
    "more" / Const(MORE),
    "key" / Int64ub,
    "id" / Int32ub,
    "nr_mappings" / Int32ub,
    "mappings" / Array(this.nr_mappings, MAPPING),
    "mappings_end" / Const(NO_MORE),
    "endpoints" / RepeatUntil(lambda endpoint, *_: not endpoint.more, _ENDPOINT),
    "bypass" / If(this._params.version >= 2, Int8ub),
)

IOMMU = Struct(
    "nr_domains" / Int32ub,
    "domains" / Array(this.nr_domains, DOMAIN),
    "domains_end" / Const(NO_MORE),
    "bypass" / If(this._params.version >= 2, Int8ub),
)
"""Trees and lists as vmstate writes them, with a byte before each element. Version 2 is of 7.0 and later."""

BACKEND_STATE = Struct(
    "chunks"
    / RepeatUntil(lambda chunk, *_: not chunk.length, Struct("length" / Int32ub, "data" / Bytes(this.length)))
)
"""Of a vhost-user back end, in chunks (vhost_save_backend_state)."""

NO_STATE = Struct()

GPU = "virtio-gpu"
"""The kind whose section has a field of a type of that name too: what its guest has drawn."""

OWN: dict[str, Any] = {
    "virtio-net": NET,
    "virtio-blk": BLK,
    "virtio-console": SERIAL,
    "virtio-balloon": BALLOON,
    "virtio-mem": MEM,
    "virtio-iommu": IOMMU,
    **dict.fromkeys(
        (
            "virtio-9p",
            GPU,
            "virtio-input",
            "virtio-rng",
            "virtio-scsi",
            "virtio-vhost_scsi",
            "virtio-vhost_vsock",
            "vhost-user-blk",
            "vhost-user-fs",
        ),
        NO_STATE,
    ),
}
"""By the kind of section. What virtio-gpu and virtio-scsi hold besides stands outside of the blob."""


def in_flight(own: Any) -> int:
    """How many elements of virtqueues the own state of a device holds; 0 for None."""
    if own is None:
        return 0
    requests, ports = own.get("requests", ()), own.get("ports", ())
    return max(0, len(requests) - 1) + sum(bool(port.elem_popped) for port in ports)


_CHOICES: dict[str, dict[str, tuple[int, ...]]] = {
    "virtio-net": {"multiqueue": (0, 1)},
    "virtio-mem": {"early": (1, 0)},
    "virtio-iommu": {"version": (2, 1)},
}


def parameters(kind: str) -> list[dict[str, int]]:
    """The parameters of a kind that nothing tells, in the order in which they are tried."""
    choices = _CHOICES.get(kind, {})
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


SUBSECTIONS: dict[str, Any] = {
    RSS_SUBSECTION: RSS,
    "virtio-net-device/backend": BACKEND_STATE,
    "virtio-balloon-device/free-page-report": Struct("cmd_id" / Int32ub, "status" / Int32ub),
    "virtio-balloon-device/page-poison": Struct("poison_val" / Int32ub),
    "vitio-balloon-device/page-poison": Struct("poison_val" / Int32ub),
}
"""Of device types, which stand before those of `virtio`. The one without an r is how 5.2 to 6.1 spell it."""
