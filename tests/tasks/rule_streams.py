"""For every rule of `validate` a stream that breaks it, made from one that does not.

Most come from the first sample, a real stream of QEMU 7.2, so that a real QEMU can be asked what
it thinks of them; what cannot be shown there comes from a recorded rare stream or is built.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from msixtool import Dump
from msixtool.containers.file import BytesSource
from msixtool.devices.device import MsixDevice
from msixtool.devices.locate import find_devices
from msixtool.formats import build, libvirt, msix, virtio as virtio_format
from msixtool.msix.state import MsixState
from msixtool.stream.items import Item
from msixtool.stream.read import read_stream
from tests.conftest import REPOSITORY, SAMPLES, unpacked
from tests.stream.build import Stream, config_space, msix_fields, pci_device
from tests.stream.ways import rare

SAMPLE = next(path for path in SAMPLES if path.name.startswith("q35-virtio-e1000e"))
NIC = "e1000e"
NET = "virtio-net"


class Editor:
    """A stream to be changed at places that are found by name. Offsets do not move under changes in place."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        source = BytesSource(data)
        self.index = read_stream(source, walk=True)
        self._devices = {device.kind: device for device in find_devices(source, self.index)[0]}

    def item(self, name: str, kind: str = "full") -> Item:
        return next(i for i in self.index.items if i.type.word == kind and str(i.idstr).endswith(name))

    def device(self, kind: str) -> MsixDevice:
        return self._devices[kind]

    def config(self, kind: str, offset: int) -> int:
        """Where a byte of configuration space stands."""
        at = self.device(kind).config_offset
        assert at is not None
        return at + offset

    def capability(self, kind: str, offset: int) -> int:
        """Where a byte of the MSI-X capability stands."""
        capability = self.device(kind).capability
        assert capability is not None
        return self.config(kind, capability.offset + offset)

    def entry(self, vector: int, offset: int, kind: str = NIC) -> int:
        """Where a byte of a table entry stands."""
        return self.device(kind).offset + msix.ENTRY_SIZE * vector + offset

    def pba(self, kind: str = NIC) -> int:
        device = self.device(kind)
        return device.offset + msix.ENTRY_SIZE * device.vectors

    def virtio(self, offset: str, plus: int = 0) -> int:
        """Where a part of the virtio blob of the network device stands."""
        device = self.device(NET)
        assert device.virtio is not None
        return device.offset - device.virtio.msix_offset + int(getattr(device.virtio, offset)) + plus

    def queue(self, number: int, plus: int) -> int:
        return self.virtio("queues_offset", number * virtio_format.QUEUE_WITH_VECTOR.sizeof() + plus)

    def put(self, offset: int, *data: int) -> bytes:
        """These bytes written at an offset."""
        self.data[offset : offset + len(data)] = bytes(data)
        return bytes(self.data)

    def flip(self, offset: int, mask: int) -> bytes:
        return self.put(offset, self.data[offset] ^ mask)

    def cut(self, start: int, end: int | None = None, instead: bytes = b"") -> bytes:
        """Without the bytes from `start` to `end`, or to the end of the stream."""
        return bytes(self.data[:start]) + instead + bytes(b"" if end is None else self.data[end:])

    def doubled(self, name: str) -> bytes:
        """With a second copy of a section behind it."""
        item = self.item(name)
        return self.cut(item.end, item.end, bytes(self.data[item.offset : item.end]))


@dataclass(frozen=True)
class Case:
    """How to break a rule, and the device that the finding names."""

    base: Callable[[], bytes]
    edit: Callable[[Editor], bytes]
    device: str | None = None
    vector: int | None = None


@cache
def sample() -> bytes:
    return unpacked(SAMPLE)


CASES: dict[str, Case] = {}


def case(
    rule: str,
    edit: Callable[[Editor], bytes],
    device: str | None = None,
    vector: int | None = None,
    base: Callable[[], bytes] = sample,
) -> None:
    CASES[rule] = Case(base, edit, device, vector)


def end_marker(e: Editor) -> int:
    return e.index.items[-1].offset - 1


def built(vectors: int, size: int | None = None) -> bytes:
    """A device with a state of `vectors` vectors, and a vmdesc that says `size` bytes."""
    config, state = config_space(3), MsixState.reset(vectors)
    fields = msix_fields(config, state)
    if size is not None:
        inner = fields[1]["struct"]["fields"][0]
        inner["size"] = fields[1]["size"] = size
    body = pci_device(config) + state.to_vmstate()
    return bytes(Stream().ram().full(5, "0000:00:05.0/strange", body[: 276 + (size or len(body))], fields))


# The stream
case("configuration", lambda e: e.put(9, 0xFF, 0xFF, 0xFF, 0xFF))
case("item", lambda e: e.put(e.item("fw_cfg").offset, 0x44))
case("skipped", lambda e: e.put(e.item("fw_cfg").offset, 0x44))
case("command", lambda e: e.cut(end_marker(e), end_marker(e), b"\x08\x00\x1d\x00\x00"))
case(
    "ram-record",
    lambda e: e.put(e.item("ram", "end").data_offset, 0, 0, 0, 0, 0, 0, 0, 0x80),
    "ram",
)
case(
    "ram-fill",
    lambda e: e.put(bytes(e.data).index(b"\x02\x06pc.ram\0", e.item("ram", "part").offset) + 8, 0x77),
    "ram",
)
case("truncated", lambda e: e.cut(e.item("e1000e").data_offset + 5000), "0000:00:04.0/e1000e")
case("no-end-marker", lambda e: e.cut(end_marker(e)))
case("footer-missing", lambda e: e.cut(e.item("fw_cfg").end - 5, e.item("fw_cfg").end), "fw_cfg")
case("footer-mismatch", lambda e: e.put(e.item("fw_cfg").end - 1, 0x7F), "fw_cfg")
case("vmdesc", lambda e: e.put(e.index.items[-1].data_offset, 0x5B))
case("vmdesc-mismatch", lambda e: e.cut(e.item("e1000e").end - 9, e.item("e1000e").end - 5), NIC)
case("no-vmdesc", lambda e: e.cut(end_marker(e) + 1))
case("trailing-bytes", lambda e: bytes(e.data) + b"what is this?")
case("duplicate-section", lambda e: e.doubled("timer"), "timer")
case(
    "section-record",
    lambda e: e.put(e.item("dirty-bitmap", "end").data_offset, 0x80),
    "dirty-bitmap",
    base=lambda: rare("dirty-bitmap"),
)
case(
    "unfinished-section",
    lambda e: e.cut(e.item("ram", "end").offset, e.item("ram", "end").end),
    "ram",
)


# The function
case("capability-list", lambda e: e.put(e.capability(NIC, 1), 0xA0), NIC)
case("capability-missing", lambda e: e.flip(e.config(NIC, 6), 0x10), NIC)
case("vector-count", lambda e: e.put(e.capability(NIC, 2), 8), NIC)
case("message-control-reserved", lambda e: e.flip(e.capability(NIC, 3), 0x08), NIC)
case("table-pba-overlap", lambda e: e.put(e.capability(NIC, 8), 0x43, 0), NIC)
case("bar-indicator", lambda e: e.put(e.capability(NIC, 4), 7), NIC)
case("beyond-bar", lambda e: e.put(e.config(NIC, 0x1C), 0, 0x10, 0x00, 0xC0), NIC)
case("pci-version", lambda e: e.put(e.config(NIC, -1), 3), NIC)
case("irq-state", lambda e: e.put(e.config(NIC, 4096 + 3), 2), NIC)
case("msi-and-msix", lambda e: e.flip(e.config(NIC, 0xD0 + 2), 1), NIC)
case("bus-master-off", lambda e: e.flip(e.config(NIC, 4), 4), NIC)
case("virtio-vector", lambda e: e.put(e.queue(1, 14), 0, 4), NET, 4)
case("virtio-queue-select", lambda e: e.put(e.virtio("core_offset", 2), 4, 0), NET)
case("virtio-queue-index", lambda e: (e.put(e.queue(0, 4), *bytes(8)), e.put(e.queue(0, 12), 0, 5))[1], NET)
case("virtio-state", lambda e: e.put(e.virtio("queues_offset", -4), 0, 0, 4, 1), NET)
case("vector-limit", lambda e: built(2049), "strange", base=lambda: built(3))
case("msix-state", lambda e: built(3, 48), "strange", base=lambda: built(3))

# The vectors
case("pending-unmasked", lambda e: e.flip(e.pba(), 0x01), NIC, 0)
case("pending-function-masked", lambda e: e.flip(e.capability(NIC, 3), 0x40), NIC, 2)
case("pending-beyond-table", lambda e: e.flip(e.pba(), 0x40), NIC, 6)
case("vector-control-reserved", lambda e: e.flip(e.entry(3, 13), 0x01), NIC, 3)
case("address-zero", lambda e: e.put(e.entry(1, 0), *bytes(8)), NIC, 1)
case("address-not-msi", lambda e: e.put(e.entry(1, 0), 0, 0, 0x10, 0), NIC, 1)
case("address-unaligned", lambda e: e.flip(e.entry(1, 0), 2), NIC, 1)

# Containers: these are files, not streams
# What a device checks when it is loaded
REFUSED = REPOSITORY / "tests" / "data" / "refused"


@cache
def refused(name: str) -> bytes:
    """A stream that a real QEMU refused, or one beside it that it did not."""
    return unpacked(REFUSED / f"{name}.mig.xz")


def dump_of(data: bytes) -> Dump:
    return Dump.open(io.BytesIO(data))


def field_at(e: Editor, section: str, name: str) -> int:
    """Where the first field of this name stands."""
    item = e.item(section)
    assert item.layout is not None
    placed = next(each for each in item.layout.walk() if each.path[-1] == name)
    return item.data_offset + placed.offset


def _rings(e: Editor) -> int:
    """Where the addresses of the first queue's rings stand."""
    return e.data.index(b"virtio/virtqueues\0\0\0\1") + 21


case("run-state", lambda e: e.put(e.item("globalstate").data_offset + 4, 0), "globalstate")
VMXNET3 = REPOSITORY / "tests" / "data" / "compat" / "vmxnet3-mac-11.1-11.1" / "source.mig.xz"
case(
    "device-state",
    lambda e: e.put(field_at(e, "/vmxnet3", "txq_num"), 9),
    "vmxnet3",
    base=lambda: unpacked(VMXNET3),
)
case("ahci-state", lambda e: e.put(field_at(e, "ich9_ahci", "port_regs.cmd"), 0, 0, 0x80, 6), "ich9_ahci")
case(
    "ahci-bus-master",
    lambda e: refused("ahci-fis-source"),
    "ich9_ahci",
    base=lambda: refused("ahci-fis-target"),
)
case(
    "ring-out-of-step", lambda e: refused("ring-used-7.2"), "virtio-blk", base=lambda: refused("ring-ok-7.2")
)
case("ring-available", lambda e: refused("ring-avail-7.2"), "virtio-blk", base=lambda: refused("ring-ok-7.2"))
case("ring-unknown", lambda e: e.put(_rings(e), 1), "virtio-blk", base=lambda: refused("ring-ok-7.2"))


def _without_vectors(e: Editor) -> bytes:
    e.put(e.virtio("core_offset") - 2, 255, 255)
    e.put(e.queue(0, 14), 255, 255)
    return e.put(e.queue(1, 14), 255, 255)


case("vectors-unused", _without_vectors, NET)

FILES: dict[str, Callable[[], bytes]] = {
    "container": lambda: SAMPLE.read_bytes()[:-40] + bytes(40),
    "incomplete-image": lambda: _save_image() + sample(),
}


def _save_image() -> bytes:
    """The head of a libvirt save image that was not finished."""
    text = b"<domain/>\0"
    value = {
        "magic": libvirt.MAGIC_INCOMPLETE,
        "version": 2,
        "data_len": len(text),
        "was_running": 0,
        "format": "raw",
        "cookie_offset": 0,
        "unused": [0] * 14,
    }
    return build(libvirt.HEADER_LITTLE, value, what="header") + text
