"""virtio devices on PCI.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_realize, virtio_pci_device_plugged), hw/virtio/virtio-*-pci.c,
hw/net/virtio-net.c, hw/block/virtio-blk.c; Virtual I/O Device 1.2, section 4.1.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.errors import FormatError
from msixtool.formats import parse, pci, sizeof, virtio as fmt
from msixtool.formats.virtio_types import serial_ports
from msixtool.qemu.kinds import Backend, DeviceKind, Options, features, register_kinds, register_strangers
from msixtool.qemu.kinds.facts import MACHINE, Advice, Compat, give_same
from msixtool.qemu.kinds.transport import (
    LAYOUTS,
    device,
    legacy_bar,
    since,
    size,
    vectors,
    virtio,
    without_msix,
)
from msixtool.qemu.recorded import default_of
from msixtool.qemu.versions import Version, format_version

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

_VGA = 0x0300
_SUBCLASSES = {0x00: "virtio-keyboard-pci", 0x02: "virtio-mouse-pci"}


_NET_MTU, _NET_MQ = 3, 22
_NET_FEATURES = [(bit, str(features.NET_FEATURES[bit].prop)) for bit in (57, 60, 61)]


def _net(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = vectors(seen)
    config = seen.virtio.device_config.ljust(sizeof(fmt.NET_CONFIG), b"\0")
    told = parse(fmt.NET_CONFIG, config, what="virtio-net config")
    mac = told.mac
    if any(mac) and not mac[0] & 1:
        options["mac"] = mac.hex(":")
    features = seen.virtio.features
    if features >> _NET_MQ & 1 or seen.virtio.vectors > 4:
        options["mq"] = "on"
    if features >> _NET_MTU & 1:
        options["host_mtu"] = str(told.mtu or 1500)
    options |= {name: "on" for bit, name in _NET_FEATURES if features >> bit & 1}
    default = int(default_of("rx_queue_size", seen.machine, "virtio-net-pci"))
    rx = size(seen, 0, "rx_queue_size", default)
    if int(rx.get("rx_queue_size", 0)) > default:
        options |= rx
    return options


def _queue_size(seen: Seen, name: str, kind: str) -> int:
    return int(default_of(name, seen.machine, f"{kind}-device", f"{kind}-pci"))


_BLK_FEATURES = [(bit, str(features.BLK_FEATURES[bit].prop)) for bit in (13, 14)]


def _blk(seen: Seen) -> Options:
    """Discarding was asked for where old machine types have it off."""
    assert seen.virtio is not None
    features, types = seen.virtio.features, ("virtio-blk-device", "virtio-blk-pci")
    asked = {
        name: "on"
        for bit, name in _BLK_FEATURES
        if features >> bit & 1 and default_of(name, seen.machine, *types) == "off"
    }
    if seen.version < (4, 0):
        asked = {}
    queues = {"num-queues": str(max(1, len(seen.virtio.sizes)))}
    return (
        vectors(seen)
        | queues
        | size(seen, 0, "queue-size", _queue_size(seen, "queue-size", "virtio-blk"))
        | asked
    )


def _scsi(seen: Seen) -> Options:
    assert seen.virtio is not None
    queues = {"num_queues": str(max(1, len(seen.virtio.sizes) - 2))}
    return (
        vectors(seen)
        | queues
        | size(seen, 2, "virtqueue_size", _queue_size(seen, "virtqueue_size", "virtio-scsi"))
    )


def _console(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = vectors(seen)
    ports = seen.virtio.own("max_nr_ports")
    default = int(default_of("max_ports", seen.machine, "virtio-serial-pci"))
    if isinstance(ports, int) and 1 <= (number := serial_ports(ports)) != default:
        options["max_ports"] = str(number)
    return options


def _balloon(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = vectors(seen) if seen.version >= (10, 0) else {}
    hint = seen.virtio.has("virtio-balloon-device/free-page-report")
    if hint:
        options["free-page-hint"] = "on"
    if len(seen.virtio.sizes) > 3 + hint:
        options["free-page-reporting"] = "on"
    if seen.virtio.features >> 2 & 1:
        options["deflate-on-oom"] = "on"
    return options


EARLY = "virtio-mem-device-early"
"""The section in which a virtio-mem sends ahead what the target must have: that of no device of its own."""


def _mem(seen: Seen) -> Options:
    """Where it stands and how it is divided: QEMU compares both."""
    assert seen.virtio is not None
    options = since((10, 0))(seen)
    for name, field, inside in (
        ("memaddr", "addr", "migration_addr"),
        ("block-size", "block_size", "block_size"),
    ):
        value = seen.virtio.own(f"checks/{field}")
        for path in (field, inside, f"migration_{field}"):
            value = seen.beside(EARLY, path) if value is None else value
        if isinstance(value, int) and value > 0:
            options[name] = hex(value)
    return options


def _outputs(seen: Seen) -> Options:
    """Behind the resources, here those of a guest that has made none, stand `enable` and the outputs."""
    from msixtool.formats import opaque  # of no use to most commands, and slow to make

    try:
        tail = parse(opaque.GPU_UNUSED, seen.tail(sizeof(opaque.GPU_UNUSED)), what="virtio-gpu")
    except FormatError:
        return {}
    return {"max_outputs": str(tail.max_outputs)} if 2 <= tail.max_outputs <= 16 else {}


def _gpu(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = _outputs(seen)
    size = seen.block("vga.vram")
    if size not in (None, 8 << 20) and _gpu_name(seen) == "virtio-vga":
        options["vgamem_mb"] = str(size >> 20)
    return options


FRAMEBUFFERS: Version = (9, 0)
"""Since when an output of a virtio-gpu has a framebuffer of its own in the stream: 8.2.2 has none."""


def _gpu_doubt(seen: Seen) -> str | None:
    """scanout_vmstate_after_v2() takes every output for the first of them (hw/display/virtio-gpu.c)."""
    if seen.version < FRAMEBUFFERS or not _outputs(seen):
        return None
    return (
        f"it has several outputs, and QEMU (since {format_version(FRAMEBUFFERS)}) looks for the layout of all"
        " but the first where no setting is: it may refuse this stream or not, as its memory happens to be"
    )


def _gpu_name(seen: Seen) -> str:
    return "virtio-vga" if pci.CLASS_CODE.value(seen.config) >> 8 == _VGA else "virtio-gpu-pci"


def _input_name(seen: Seen) -> str:
    return _SUBCLASSES.get(pci.CLASS_CODE.value(seen.config) >> 8 & 0xFF, "virtio-tablet-pci")


def _queues(setting: str) -> Compat:
    return Compat(setting, "queues and vectors follow the CPUs later")


def _length(setting: str) -> Compat:
    return Compat(setting, "256 entries in a queue later")


_TWO_VECTORS = Compat("virtio-blk-pci,vectors", "number of vectors")
_PAIRS = "Give the target's network backend the source's queues=."
_BLK_BAR = legacy_bar("discard= and write-zeroes= (off for machine types up to 3.1)")
_PORTS = "Give the target the source's virtserialport and virtconsole devices, each with the same nr=."
_SANITY = "virtio-mem-device/sanity-checks"
_WHERE = Advice(
    fields={"addr": give_same("memaddr"), "block_size": give_same("block-size"), "node": give_same("node")},
)

register_strangers(("virtio-", "vhost-"), virtio)
register_kinds(
    device(
        "virtio-net",
        "virtio-net-pci",
        _net,
        number=1,
        transitional_id=0x1000,
        backend=Backend.NETDEV,
        rom=True,
        probes=LAYOUTS,
        features=features.NET_FEATURES,
        # MTU, MQ, HASH_REPORT and RSS, SPEED_DUPLEX
        feature_config={3: 12, 22: 10, 57: 24, 60: 24, 63: 17},
        paired=True,
        host_features=True,
        subsections=("virtio-net-device/rss", "virtio-net-device/backend"),
        changes=(Compat("virtio-net-pci-base,vectors", "3 vectors instead of 4"),),
        registers={
            "MSI-X table size": give_same("vectors")
            + " Without it the number is 2 for each queue pair and 2 more, and 3 for machine types up to 5.2."
        },
        advice=Advice(
            sizes={"max_queue_pairs": _PAIRS},
            fields={
                "max_queue_pairs": _PAIRS,
                "has_vnet_hdr": "Give the target's device a network backend with a vnet header, as the"
                " source's has: -netdev tap without vnet_hdr=off; `user` and `socket` have none.",
                "has_ufo": "Give the target a host whose tap devices take UDP fragmentation offload"
                " (TUN_F_UFO), as the source's do; or switch host_ufo= and guest_ufo= off on the source, and"
                " restart its guest.",
            },
            queues=("rx_queue_size", "tx_queue_size"),
        ),
    ),
    device(
        "virtio-blk",
        "virtio-blk-pci",
        _blk,
        number=2,
        transitional_id=0x1001,
        backend=Backend.DRIVE,
        features=features.BLK_FEATURES,
        # DISCARD, WRITE_ZEROES
        feature_config={13: 48, 14: 57},
        requests=True,
        changes=(
            _TWO_VECTORS,
            _length("virtio-blk-device,queue-size"),
            _queues("virtio-blk-device,num-queues"),
        ),
        registers={"BAR 0": _BLK_BAR},
        advice=Advice(queues=("queue-size", "num-queues")),
    ),
    device(
        "virtio-scsi",
        "virtio-scsi-pci",
        _scsi,
        number=8,
        transitional_id=0x1004,
        features=features.SCSI,
        changes=(
            _length("virtio-scsi-device,virtqueue_size"),
            _queues("virtio-scsi-device,num_queues"),
        ),
        advice=Advice(queues=("virtqueue_size", "num_queues")),
    ),
    device(
        "virtio-console",
        "virtio-serial-pci",
        _console,
        number=3,
        transitional_id=0x1003,
        features=features.CONSOLE,
        advice=Advice(
            give_same("max_ports"), fields={"ports_map": _PORTS, "ports": _PORTS}, queues=("max_ports",)
        ),
    ),
    device(
        "virtio-balloon",
        "virtio-balloon-pci",
        _balloon,
        number=5,
        transitional_id=0x1002,
        features=features.BALLOON_FEATURES,
        subsections=("virtio-balloon-device/free-page-report", "virtio-balloon-device/page-poison"),
        registers={
            "BAR 0": legacy_bar(
                "qemu-4-0-config-size= (on for machine types of 4.0 alone; those up to 3.1 have it off),"
                " page-poison= and free-page-hint="
            ),
            **without_msix("9.2"),
        },
        changes=(Compat("virtio-balloon-pci,vectors", "no MSI-X"),),
    ),
    device(
        "virtio-rng",
        "virtio-rng-pci",
        since((7, 2)),
        number=4,
        transitional_id=0x1005,
        backend=Backend.RNG,
        registers=without_msix("7.1"),
        changes=(Compat("virtio-rng-pci,vectors", "no MSI-X"),),
    ),
    device(
        "virtio-9p",
        "virtio-9p-pci",
        vectors,
        number=9,
        transitional_id=0x1009,
        backend=Backend.FSDEV,
        features=features.NINE_P,
    ),
    device(
        "virtio-gpu",
        "virtio-gpu-pci",
        _gpu,
        number=16,
        transitional=False,
        named=_gpu_name,
        doubt=_gpu_doubt,
        rom=True,
        features=features.GPU_FEATURES,
        framebuffer=0,
        only_equal="max_outputs",
        changes=(Compat("virtio-gpu-device,x-scanout-vmstate-version", "bytes saved of each output"),),
        registers={
            "class code": "Use virtio-vga on both sides, or virtio-gpu-pci on both.",
            "BAR 0": give_same("vgamem_mb"),
        },
        advice=Advice(
            f"Use {MACHINE}: those up to 8.2 save less of each output. Where the source's QEMU wrote it"
            " otherwise than its machine type says (8.2 and 9.0 did), give the target's device"
            " x-scanout-vmstate-version=1 for the old layout, 2 for the new.",
            fields={"max_outputs": give_same("max_outputs")},
        ),
    ),
    virtio("virtio-vga", integrated=True),
    device(
        "virtio-input",
        "virtio-tablet-pci",
        number=18,
        transitional=False,
        named=_input_name,
        note="a tablet or a multitouch",
    ),
    device(
        "virtio-iommu", "virtio-iommu-pci", number=23, transitional=False, features=features.IOMMU_FEATURES
    ),
    device(
        "virtio-mem",
        "virtio-mem-pci",
        _mem,
        number=24,
        backend=Backend.MEMDEV,
        transitional=False,
        features=features.MEM_FEATURES,
        registers=without_msix("9.2"),
        changes=(
            Compat("virtio-mem,x-early-migration", f"no section {EARLY}"),
            Compat("virtio-mem-pci,vectors", "no MSI-X"),
        ),
        equal_vmsd=_SANITY,
        advice=_WHERE,
    ),
    DeviceKind(EARLY, equal_vmsd=_SANITY, advice=_WHERE),
    device("virtio-rtc", "virtio-rtc-pci", number=17, transitional=False, since=(11, 0)),
    virtio(
        "vhost-user-blk",
        features=features.BLK_FEATURES,
        requests=True,
        changes=(_TWO_VECTORS,),
        registers={"BAR 0": _BLK_BAR},
    ),
    virtio(
        "vhost-user-fs",
        number=26,
        features=features.FS,
        since=(8, 2),
        advice=Advice(
            blocked="Unmount the virtiofs directory in the guest and unplug it before the migration, or"
            " use QEMU 8.2 and virtiofsd 1.11 or newer, which migrate it."
        ),
    ),
    virtio("virtio-vhost_scsi", features=features.SCSI),
    virtio("virtio-vhost_vsock", number=19, transitional_id=0x1012, features=features.VSOCK),
)
