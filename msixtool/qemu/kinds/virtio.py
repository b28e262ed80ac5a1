"""virtio devices on PCI.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_realize, virtio_pci_device_plugged), hw/virtio/virtio-*-pci.c,
hw/net/virtio-net.c, hw/block/virtio-blk.c; Virtual I/O Device 1.2, section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msixtool.formats import pci
from msixtool.qemu.kinds import Backend, DeviceKind, Options, features, no_options, register
from msixtool.qemu.kinds.facts import (
    BARS,
    CAPABILITY_LIST,
    MACHINE,
    MSIX_PLACEMENT,
    NOTHING,
    POWER_STATE,
    Advice,
    Capabilities,
    Compat,
    Msix,
    MsixPlace,
    PciFunction,
    UsedAtLoad,
    give,
)
from msixtool.qemu.versions import Lifetime

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

_VENDOR = 0x09
_NOTIFY = 2
_MODERN_IDS = 0x1040
_AER, _ATS = 0x01, 0x0F
_IOMMU_PLATFORM = 33
_PAGE = 4096
_EXTRA = "virtio_pci/modern_state"

_SUBCLASSES = {0x00: "virtio-keyboard-pci", 0x02: "virtio-mouse-pci"}


def _transport(seen: Seen, *, transitional: bool) -> Options:
    """The properties of virtio-pci."""
    assert seen.virtio is not None
    options: Options = {}
    modern = seen.virtio.has(_EXTRA)
    if transitional:
        legacy = pci.DEVICE_ID.value(seen.config) < _MODERN_IDS
        old = seen.machine is not None and seen.machine <= (2, 6)
        if old or not modern or legacy == seen.behind_port:
            options |= {
                "disable-legacy": "off" if legacy else "on",
                "disable-modern": "off" if modern else "on",
            }
    multiplier = _multiplier(seen)
    default = _PAGE if seen.machine is not None and seen.machine <= (2, 7) else 4
    if multiplier not in (None, default):
        options["page-per-vq"] = "on" if multiplier == _PAGE else "off"
    if seen.virtio.has("virtio/packed_virtqueues"):
        options["packed"] = "on"
    if seen.virtio.features >> _IOMMU_PLATFORM & 1:
        options["iommu_platform"] = "on"
    for name, number in (("aer", _AER), ("ats", _ATS)):
        if seen.extended(number) is not None:
            options[name] = "on"
    return options


def _multiplier(seen: Seen) -> int | None:
    """Bytes between two queues' notify registers, of the capability that tells."""
    at = seen.config[0x34]
    for _ in range(48):
        if at < pci.HEADER_SIZE or at + 20 > pci.CONFIG_SIZE:
            return None
        if seen.config[at] == _VENDOR and seen.config[at + 3] == _NOTIFY:
            return pci.Register(at + 16, 4).value(seen.config)
        at = seen.config[at + 1] & 0xFC
    return None


def _vectors(seen: Seen) -> Options:
    assert seen.virtio is not None
    return {"vectors": str(seen.virtio.vectors)}


def _size(seen: Seen, queue: int, name: str, default: int) -> Options:
    """The size of a queue, where it is one that can be asked for and not the default."""
    assert seen.virtio is not None
    sizes = seen.virtio.sizes
    size = sizes[queue] if queue < len(sizes) else 0
    if size == default or size < 2 or size > 1024 or size & (size - 1):
        return {}
    return {name: str(size)}


_NET_FEATURES = ((57, "hash"), (60, "rss"), (61, "guest_rsc_ext"))
_NET_MTU, _NET_MQ = 3, 22


def _net(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = _vectors(seen)
    mac = seen.virtio.device_config[:6]
    if any(mac) and not mac[0] & 1:
        options["mac"] = mac.hex(":")
    features = seen.virtio.features
    if features >> _NET_MQ & 1 or seen.virtio.vectors > 4:
        options["mq"] = "on"
    if features >> _NET_MTU & 1:
        options["host_mtu"] = str(int.from_bytes(seen.virtio.device_config[10:12], "little") or 1500)
    options |= {name: "on" for bit, name in _NET_FEATURES if features >> bit & 1}
    rx = _size(seen, 0, "rx_queue_size", 256)
    if int(rx.get("rx_queue_size", 0)) > 256:
        options |= rx
    return options


def _old_size(seen: Seen) -> int:
    return 128 if seen.machine is not None and seen.machine <= (4, 2) else 256


_BLK_FEATURES = ((13, "discard"), (14, "write-zeroes"))


def _blk(seen: Seen) -> Options:
    """Discarding is off where the machine type is 3.1 or older, unless it was asked for."""
    assert seen.virtio is not None
    features = seen.virtio.features
    asked = {name: "on" for bit, name in _BLK_FEATURES if features >> bit & 1}
    if seen.version < (4, 0) or seen.machine is None or seen.machine > (3, 1):
        asked = {}
    queues = {"num-queues": str(max(1, len(seen.virtio.sizes)))}
    return _vectors(seen) | queues | _size(seen, 0, "queue-size", _old_size(seen)) | asked


def _scsi(seen: Seen) -> Options:
    assert seen.virtio is not None
    queues = {"num_queues": str(max(1, len(seen.virtio.sizes) - 2))}
    return _vectors(seen) | queues | _size(seen, 2, "virtqueue_size", _old_size(seen))


def _console(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = _vectors(seen)
    ports = seen.virtio.own("max_nr_ports")
    if isinstance(ports, int) and 1 <= ports != 31:
        options["max_ports"] = str(ports)
    return options


def _balloon(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = _vectors(seen) if seen.version >= (10, 0) else {}
    hint = seen.virtio.has("virtio-balloon-device/free-page-report")
    if hint:
        options["free-page-hint"] = "on"
    if len(seen.virtio.sizes) > 3 + hint:
        options["free-page-reporting"] = "on"
    if seen.virtio.features >> 2 & 1:
        options["deflate-on-oom"] = "on"
    return options


def _since(version: tuple[int, int]) -> Callable[[Seen], Options]:
    return lambda seen: _vectors(seen) if seen.version >= version else {}


EARLY = "virtio-mem-device-early"
"""The section in which a virtio-mem sends ahead what the target must have: that of no device of its own."""


def _mem(seen: Seen) -> Options:
    """Where it stands and how it is divided: QEMU compares both."""
    assert seen.virtio is not None
    options = _since((10, 0))(seen)
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
    tail = seen.tail(12)
    outputs = int.from_bytes(tail[8:12], "big")
    return {"max_outputs": str(outputs)} if tail[:4] == bytes(4) and 2 <= outputs <= 16 else {}


def _gpu(seen: Seen) -> Options:
    assert seen.virtio is not None
    options = _outputs(seen)
    size = seen.block("vga.vram")
    if size not in (None, 8 << 20) and _gpu_name(seen) == "virtio-vga":
        options["vgamem_mb"] = str(size >> 20)
    return options


def _gpu_name(seen: Seen) -> str:
    return "virtio-vga" if seen.config[10] == 0 and seen.config[11] == 3 else "virtio-gpu-pci"


def _input_name(seen: Seen) -> str:
    return _SUBCLASSES.get(seen.config[10], "virtio-tablet-pci")


_MSIX = Msix(
    UsedAtLoad.NONE,
    MsixPlace.VIRTIO,
    None,
    recovery=(
        "virtio marks its vectors used only after msix_load. The guest hears of the work when the"
        " device next notifies the same queue, or when its driver looks at the ring (a kick, a timeout,"
        " a reset of the device); a queue that waits for nothing else may hang."
    ),
)

_FUNCTION = PciFunction(error_reporting=True, link_control=True, power_control=POWER_STATE, is_virtio=True)
"""Of every virtio device; its BARs follow from its capabilities."""

_STRUCTURES = ((0x09, 0x84), (0x09, 0x70), (0x09, 0x60), (0x09, 0x50), (0x09, 0x40))
_EXPRESS = (
    *((0x09, 0xC8), (0x09, 0xB4), (0x09, 0xA4), (0x09, 0x94), (0x09, 0x84)),
    *((0x01, 0x7C), (0x10, 0x40)),
)
_CAPABILITIES = (
    Capabilities(((0x11, 0x98), *_STRUCTURES)),
    Capabilities(((0x11, 0xDC), *_EXPRESS)),
    Capabilities(((0x11, 0x40),)),
)
"""Modern, modern behind a PCI Express port, and with disable-modern=on."""

_CHANGES = (
    Compat((2, 3), "virtio-…-pci,any_layout=off", "offers ANY_LAYOUT later"),
    Compat((2, 4), "virtio-pci,x-disable-pcie=on", "no PCI Express capability behind a port"),
    Compat((2, 4), "virtio-pci,migrate-extra=off", "no virtio/extra_state in the stream"),
    Compat(
        (2, 6),
        "virtio-pci,disable-modern=on,disable-legacy=off",
        "MSI-X capability at 0x40 instead of 0x98, no virtio structures",
    ),
    Compat((2, 7), "virtio-pci,page-per-vq=on", "notifications spread over a larger BAR"),
    Compat((2, 8), "virtio-pci,x-pcie-deverr-init=off", "error reporting not writable"),
    Compat((4, 0), "virtio-device,use-started=false", "no virtio/started in the stream"),
    Compat((4, 1), "virtio-pci,x-pcie-flr-init=off", "function level reset in Device Capabilities"),
    Compat((5, 1), "virtio-pci,x-ats-page-aligned=off", "ATS capability"),
    Compat((9, 0), "virtio-pci,x-pcie-pm-no-soft-reset=off", "Power Management Control/Status, bit 3"),
)
"""Of every virtio device."""

_NO_ADVICE = Advice()
_TRANSITIONAL = give("disable-legacy", "disable-modern")
_SUBSECTIONS = {
    "virtio/disabled": "is sent of a device whose bus mastering is off: use-disabled-flag=off on the source's"
    " device keeps it out, as machine types up to 4.2 do (up to 4.1 in 5.0 and 5.1).",
    "virtio/started": "is sent of a device that its driver has started: use-started=off keeps it out, as"
    " machine types up to 4.0 do.",
}


def _legacy_bar(properties: str = "properties") -> str:
    """On BAR 0, which holds the device's own configuration where it has a legacy interface."""
    return (
        "BAR 0 is the legacy interface, whose size follows from the length of the device's own configuration:"
        f" give the target's device the source's {properties}, and use {MACHINE}. With disable-legacy=on"
        f" on both"
        " sides the BAR is not there."
    )


def _without_msix(machine: str) -> dict[str, str]:
    """On the capabilities of a device that got MSI-X after `machine`."""
    own = f"vectors=0 is what machine types up to {machine} have."
    return {CAPABILITY_LIST: f"{_REGISTERS[CAPABILITY_LIST]} {own}"}


_REGISTERS = {
    "MSI-X table size": give(
        "vectors", also=" and number of queues, from which the number follows without it"
    ),
    MSIX_PLACEMENT: give("vectors"),
    BARS: give("vectors", "page-per-vq", "modern-pio-notify", "disable-legacy"),
    "BAR 0": _legacy_bar(),
    CAPABILITY_LIST: give("disable-modern", "disable-legacy", "vectors")
    + " Put it behind a PCI Express port on both sides or on neither; some virtio devices have"
    " MSI-X for newer machine types alone.",
    "device ID": _TRANSITIONAL
    + " Transitional devices have other ids than modern ones, and a device behind a PCI Express port is"
    " modern by default.",
    "revision ID": _TRANSITIONAL,
    "virtio structure type": give("disable-modern", "modern-pio-notify"),
    "virtio structure BAR": give("modern-pio-notify"),
    "virtio structure offset": give("page-per-vq", "modern-pio-notify"),
    "virtio structure length": give("page-per-vq", "modern-pio-notify"),
    "virtio notify multiplier": give("page-per-vq"),
    "class code": give("class"),
}


def virtio(
    section: str,
    *,
    pci: PciFunction = _FUNCTION,
    changes: tuple[Compat, ...] = (),
    advice: Advice = _NO_ADVICE,
    registers: Mapping[str, str] = NOTHING,
    **facts: Any,
) -> DeviceKind:
    """A kind of virtio device: what all have, and what is its own."""
    return DeviceKind(
        section,
        is_virtio=True,
        msix=_MSIX,
        pci=pci,
        listed=_CAPABILITIES,
        changes=tuple(sorted((*_CHANGES, *changes), key=lambda change: change.until)),
        advice=advice._replace(registers={**_REGISTERS, **registers}, subsections=_SUBSECTIONS),
        **{"host_features": section.startswith(_BESIDE_QEMU), **facts},
    )


_BESIDE_QEMU = ("vhost", "virtio-vhost")


def _device(
    section: str,
    name: str,
    options: Callable[[Seen], Options] = no_options,
    *,
    transitional: bool = True,
    **facts: Any,
) -> DeviceKind:
    """One that a `-device` makes."""

    def made(seen: Seen) -> Options:
        if seen.virtio is None:
            return {}
        return options(seen) | _transport(seen, transitional=transitional)

    return virtio(section, devices={"": name}, options=made, **facts)


def _queues(setting: str) -> Compat:
    return Compat((5, 1), setting, "queues and vectors follow the CPUs later")


def _length(setting: str) -> Compat:
    return Compat((4, 2), setting, "256 entries in a queue later")


_TWO_VECTORS = Compat((2, 11), "virtio-blk-pci,vectors=2", "number of vectors")
_PAIRS = "Give the target's network backend the source's queues=."
_BLK_BAR = _legacy_bar("discard= and write-zeroes= (off for machine types up to 3.1)")
_PORTS = "Give the target the source's virtserialport and virtconsole devices, each with the same nr=."
_SANITY = "virtio-mem-device/sanity-checks"
_WHERE = Advice(
    fields={"addr": give("memaddr"), "block_size": give("block-size"), "node": give("node")},
)

register(
    _device(
        "virtio-net",
        "virtio-net-pci",
        _net,
        backend=Backend.NETDEV,
        rom=True,
        features=features.NET,
        # MTU, MQ, HASH_REPORT and RSS, SPEED_DUPLEX
        feature_config={3: 12, 22: 10, 57: 24, 60: 24, 63: 17},
        paired=True,
        host_features=True,
        subsections={
            "virtio-net-device/rss": Lifetime(),
            "virtio-net-device/backend": Lifetime((7, 2), (10, 0)),
        },
        changes=(Compat((5, 2), "virtio-net-pci-base,vectors=3", "3 vectors instead of 4"),),
        registers={
            "MSI-X table size": give("vectors")
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
    _device(
        "virtio-blk",
        "virtio-blk-pci",
        _blk,
        backend=Backend.DRIVE,
        features=features.BLK,
        # DISCARD, WRITE_ZEROES
        feature_config={13: 48, 14: 57},
        requests=True,
        changes=(
            _TWO_VECTORS,
            _length("virtio-blk-device,queue-size=128"),
            _queues("virtio-blk-device,num-queues=1"),
        ),
        registers={"BAR 0": _BLK_BAR},
        advice=Advice(queues=("queue-size", "num-queues")),
    ),
    _device(
        "virtio-scsi",
        "virtio-scsi-pci",
        _scsi,
        features=features.SCSI,
        changes=(
            _length("virtio-scsi-device,virtqueue_size=128"),
            _queues("virtio-scsi-device,num_queues=1"),
        ),
        advice=Advice(queues=("virtqueue_size", "num_queues")),
    ),
    _device(
        "virtio-console",
        "virtio-serial-pci",
        _console,
        features=features.CONSOLE,
        advice=Advice(
            give("max_ports"), fields={"ports_map": _PORTS, "ports": _PORTS}, queues=("max_ports",)
        ),
    ),
    _device(
        "virtio-balloon",
        "virtio-balloon-pci",
        _balloon,
        features=features.BALLOON,
        subsections={
            "virtio-balloon-device/free-page-report": Lifetime(),
            "virtio-balloon-device/page-poison": Lifetime((5, 2), (7, 2)),
        },
        registers={
            "BAR 0": _legacy_bar(
                "qemu-4-0-config-size= (on for machine types of 4.0 alone; those up to 3.1 have it off),"
                " page-poison= and free-page-hint="
            ),
            **_without_msix("9.2"),
        },
        changes=(Compat((9, 2), "virtio-balloon-pci,vectors=0", "no MSI-X"),),
    ),
    _device(
        "virtio-rng",
        "virtio-rng-pci",
        _since((7, 2)),
        backend=Backend.RNG,
        registers=_without_msix("7.1"),
        changes=(Compat((7, 1), "virtio-rng-pci,vectors=0", "no MSI-X"),),
    ),
    _device("virtio-9p", "virtio-9p-pci", _vectors, backend=Backend.FSDEV, features=features.NINE_P),
    _device(
        "virtio-gpu",
        "virtio-gpu-pci",
        _gpu,
        transitional=False,
        named=_gpu_name,
        rom=True,
        features=features.GPU,
        pci=_FUNCTION._replace(framebuffer=0),
        only_equal="max_outputs",
        changes=(
            Compat((8, 2), "virtio-gpu-device,x-scanout-vmstate-version=1", "bytes saved of each output"),
        ),
        registers={
            "class code": "Use virtio-vga on both sides, or virtio-gpu-pci on both.",
            "BAR 0": give("vgamem_mb"),
        },
        advice=Advice(
            f"Use {MACHINE}: those up to 8.2 save less of each output. Where the source's QEMU wrote it"
            " otherwise than its machine type says (8.2 and 9.0 did), give the target's device"
            " x-scanout-vmstate-version=1 for the old layout, 2 for the new.",
            fields={"max_outputs": give("max_outputs")},
        ),
    ),
    virtio("virtio-vga", integrated=True),
    _device(
        "virtio-input",
        "virtio-tablet-pci",
        transitional=False,
        named=_input_name,
        note="a tablet or a multitouch",
    ),
    _device("virtio-iommu", "virtio-iommu-pci", transitional=False, features=features.IOMMU),
    _device(
        "virtio-mem",
        "virtio-mem-pci",
        _mem,
        backend=Backend.MEMDEV,
        transitional=False,
        features=features.MEM,
        registers=_without_msix("9.2"),
        changes=(
            Compat((7, 2), "virtio-mem,x-early-migration=false", f"no section {EARLY}"),
            Compat((9, 2), "virtio-mem-pci,vectors=0", "no MSI-X"),
        ),
        equal_vmsd=_SANITY,
        advice=_WHERE,
    ),
    DeviceKind(EARLY, equal_vmsd=_SANITY, advice=_WHERE),
    _device("virtio-rtc", "virtio-rtc-pci", transitional=False, since=(11, 0)),
    virtio(
        "vhost-user-blk",
        features=features.BLK,
        requests=True,
        changes=(_TWO_VECTORS,),
        registers={"BAR 0": _BLK_BAR},
    ),
    virtio(
        "vhost-user-fs",
        features=features.FS,
        since=(8, 2),
        advice=Advice(
            blocked="Unmount the virtiofs directory in the guest and unplug it before the migration, or"
            " use QEMU"
            " 8.2 and virtiofsd 1.11 or newer, which migrate it."
        ),
    ),
    virtio("virtio-vhost_scsi", features=features.SCSI),
    virtio("virtio-vhost_vsock", features=features.VSOCK),
)
