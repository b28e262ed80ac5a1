"""virtio feature bits by name, and the property of QEMU's device that offers each.

Source: virtio 1.3, sections 5 and 6; Linux include/uapi/linux/virtio_*.h; QEMU hw/virtio/virtio.c
(DEFINE_VIRTIO_COMMON_FEATURES) and the properties of hw/net/virtio-net.c, hw/block/virtio-blk.c,
hw/scsi/virtio-scsi.c, hw/virtio/virtio-balloon.c and the others.
"""

from __future__ import annotations

from msixtool.kept import NamedTuple


class Feature(NamedTuple):
    """One feature bit: its name without the prefix, and the property that decides it, where one does."""

    name: str
    prop: str | None = None


COMMON_FEATURES: dict[int, Feature] = {
    24: Feature("NOTIFY_ON_EMPTY", "notify_on_empty"),
    27: Feature("ANY_LAYOUT", "any_layout"),
    28: Feature("INDIRECT_DESC", "indirect_desc"),
    29: Feature("EVENT_IDX", "event_idx"),
    30: Feature("BAD_FEATURE"),
    32: Feature("VERSION_1", "disable-modern"),
    33: Feature("ACCESS_PLATFORM", "iommu_platform"),
    34: Feature("RING_PACKED", "packed"),
    35: Feature("IN_ORDER", "in_order"),
    36: Feature("ORDER_PLATFORM"),
    37: Feature("SR_IOV"),
    38: Feature("NOTIFICATION_DATA"),
    39: Feature("NOTIF_CONFIG_DATA"),
    40: Feature("RING_RESET", "queue_reset"),
    41: Feature("ADMIN_VQ"),
}
"""Of every device type."""

NET_FEATURES = {
    0: Feature("CSUM", "csum"),
    1: Feature("GUEST_CSUM", "guest_csum"),
    2: Feature("CTRL_GUEST_OFFLOADS", "ctrl_guest_offloads"),
    3: Feature("MTU", "host_mtu"),
    5: Feature("MAC", "mac"),
    6: Feature("GSO", "gso"),
    7: Feature("GUEST_TSO4", "guest_tso4"),
    8: Feature("GUEST_TSO6", "guest_tso6"),
    9: Feature("GUEST_ECN", "guest_ecn"),
    10: Feature("GUEST_UFO", "guest_ufo"),
    11: Feature("HOST_TSO4", "host_tso4"),
    12: Feature("HOST_TSO6", "host_tso6"),
    13: Feature("HOST_ECN", "host_ecn"),
    14: Feature("HOST_UFO", "host_ufo"),
    15: Feature("MRG_RXBUF", "mrg_rxbuf"),
    16: Feature("STATUS", "status"),
    17: Feature("CTRL_VQ", "ctrl_vq"),
    18: Feature("CTRL_RX", "ctrl_rx"),
    19: Feature("CTRL_VLAN", "ctrl_vlan"),
    20: Feature("CTRL_RX_EXTRA", "ctrl_rx_extra"),
    21: Feature("GUEST_ANNOUNCE", "guest_announce"),
    22: Feature("MQ", "mq"),
    23: Feature("CTRL_MAC_ADDR", "ctrl_mac_addr"),
    51: Feature("DEVICE_STATS"),
    52: Feature("VQ_NOTF_COAL"),
    53: Feature("NOTF_COAL"),
    54: Feature("GUEST_USO4", "guest_uso4"),
    55: Feature("GUEST_USO6", "guest_uso6"),
    56: Feature("HOST_USO", "host_uso"),
    57: Feature("HASH_REPORT", "hash"),
    59: Feature("GUEST_HDRLEN"),
    60: Feature("RSS", "rss"),
    61: Feature("RSC_EXT", "guest_rsc_ext"),
    62: Feature("STANDBY", "failover"),
    63: Feature("SPEED_DUPLEX", "speed"),
    65: Feature("GUEST_UDP_TUNNEL_GSO", "guest_tunnel"),
    66: Feature("GUEST_UDP_TUNNEL_GSO_CSUM", "guest_tunnel_csum"),
    67: Feature("HOST_UDP_TUNNEL_GSO", "host_tunnel"),
    68: Feature("HOST_UDP_TUNNEL_GSO_CSUM", "host_tunnel_csum"),
}

BLK_FEATURES = {
    0: Feature("BARRIER"),
    1: Feature("SIZE_MAX"),
    2: Feature("SEG_MAX", "seg-max-adjust"),
    4: Feature("GEOMETRY"),
    5: Feature("RO"),
    6: Feature("BLK_SIZE"),
    7: Feature("SCSI", "scsi"),
    9: Feature("FLUSH", "write-cache"),
    10: Feature("TOPOLOGY"),
    11: Feature("CONFIG_WCE", "config-wce"),
    12: Feature("MQ", "num-queues"),
    13: Feature("DISCARD", "discard"),
    14: Feature("WRITE_ZEROES", "write-zeroes"),
    16: Feature("SECURE_ERASE"),
    17: Feature("ZONED"),
}

SCSI = {
    0: Feature("INOUT"),
    1: Feature("HOTPLUG", "hotplug"),
    2: Feature("CHANGE", "param_change"),
    3: Feature("T10_PI", "t10_pi"),
}

CONSOLE = {
    0: Feature("SIZE"),
    1: Feature("MULTIPORT", "max_ports"),
    2: Feature("EMERG_WRITE", "emergency-write"),
}

BALLOON_FEATURES = {
    0: Feature("MUST_TELL_HOST"),
    1: Feature("STATS_VQ"),
    2: Feature("DEFLATE_ON_OOM", "deflate-on-oom"),
    3: Feature("FREE_PAGE_HINT", "free-page-hint"),
    4: Feature("PAGE_POISON", "page-poison"),
    5: Feature("REPORTING", "free-page-reporting"),
}

GPU_FEATURES = {
    0: Feature("VIRGL"),
    1: Feature("EDID", "edid"),
    2: Feature("RESOURCE_UUID"),
    3: Feature("RESOURCE_BLOB", "blob"),
    4: Feature("CONTEXT_INIT"),
}

MEM_FEATURES = {
    0: Feature("ACPI_PXM", "node"),
    1: Feature("UNPLUGGED_INACCESSIBLE", "unplugged-inaccessible"),
    2: Feature("PERSISTENT_SUSPEND"),
}

IOMMU_FEATURES = {
    0: Feature("INPUT_RANGE"),
    1: Feature("DOMAIN_RANGE"),
    2: Feature("MAP_UNMAP"),
    3: Feature("BYPASS"),
    4: Feature("PROBE"),
    5: Feature("MMIO"),
    6: Feature("BYPASS_CONFIG", "boot-bypass"),
}

NINE_P = {0: Feature("MOUNT_TAG", "mount_tag")}
VSOCK = {0: Feature("STREAM"), 1: Feature("SEQPACKET", "seqpacket")}
FS = {0: Feature("NOTIFICATION")}
