"""virtio devices on PCI.

Source: QEMU hw/virtio/virtio-pci.c (virtio_pci_realize, virtio_pci_device_plugged), hw/virtio/virtio-*-pci.c,
hw/net/virtio-net.c, hw/block/virtio-blk.c; Virtual I/O Device 1.2, section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Callable

from msixtool.formats import pci
from msixtool.qemu.kinds import Backend, DeviceKind, Options, Seen, register

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
        legacy = int.from_bytes(seen.config[2:4], "little") < _MODERN_IDS
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
            return int.from_bytes(seen.config[at + 16 : at + 20], "little")
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


_EARLY = "virtio-mem-device-early"


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
            value = seen.beside(_EARLY, path) if value is None else value
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


def _virtio(
    section: str,
    name: str,
    options: Callable[[Seen], Options] = lambda _: {},
    backend: Backend = Backend.NONE,
    *,
    transitional: bool = True,
    rom: bool = False,
    named: Callable[[Seen], str] | None = None,
    note: str | None = None,
) -> DeviceKind:
    def made(seen: Seen) -> Options:
        if seen.virtio is None:
            return {}
        return options(seen) | _transport(seen, transitional=transitional)

    return DeviceKind(section, {"": name}, made, backend, rom=rom, named=named, note=note)


register(
    _virtio("virtio-net", "virtio-net-pci", _net, Backend.NETDEV, rom=True),
    _virtio("virtio-blk", "virtio-blk-pci", _blk, Backend.DRIVE),
    _virtio("virtio-scsi", "virtio-scsi-pci", _scsi),
    _virtio("virtio-console", "virtio-serial-pci", _console),
    _virtio("virtio-balloon", "virtio-balloon-pci", _balloon),
    _virtio("virtio-rng", "virtio-rng-pci", _since((7, 2)), Backend.RNG),
    _virtio("virtio-9p", "virtio-9p-pci", _vectors, Backend.FSDEV),
    _virtio("virtio-gpu", "virtio-gpu-pci", _gpu, transitional=False, named=_gpu_name, rom=True),
    _virtio(
        "virtio-input",
        "virtio-tablet-pci",
        transitional=False,
        named=_input_name,
        note="a tablet or a multitouch",
    ),
    _virtio("virtio-iommu", "virtio-iommu-pci", transitional=False),
    _virtio("virtio-mem", "virtio-mem-pci", _mem, Backend.MEMDEV, transitional=False),
    _virtio("virtio-rtc", "virtio-rtc-pci", transitional=False),
)
