#!/usr/bin/env python3
"""Have real QEMUs refuse streams, and record what they say.

    python tests/data/logs/make.py [--qemu BIN]… [--out DIR] [--force]

Each BIN is asked to load every stream of RECIPES; what it says is written to DIR/VERSION.log, a
heading `# NAME: what was done` before each failure. Without --qemu it is the qemu-system-x86_64 of the PATH.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from msixtool import Dump  # noqa: E402
from msixtool.devices.device import MsixDevice  # noqa: E402
from msixtool.devices.virtio import VirtioState  # noqa: E402
from msixtool.stream.items import Item  # noqa: E402
from tests.live.guest import Guest, GuestError  # noqa: E402

DISK = ("-drive", "if=none,id=d0,driver=null-co,size=1M")
NET = ("-device", "virtio-net-pci,romfile=,addr=2")
NIC = ("-device", "e1000e,romfile=,addr=3")
BLOCK = ("-device", "virtio-blk-pci,drive=d0,addr=4")
ALL = (*DISK, *NET, *NIC, *BLOCK)
PORT = ("-device", "pcie-root-port,addr=2,chassis=3")


@dataclass(frozen=True)
class Attempt:
    """A stream, and the devices and settings of the QEMU that is to load it."""

    stream: bytes
    devices: Sequence[str] = ALL
    capability: str | None = None


class Source:
    """Fresh streams of one QEMU, and edits of the usual one."""

    def __init__(self, binary: str) -> None:
        self.binary = binary
        with Guest(["-machine", "none"], binary=binary) as guest:
            major, minor, _ = guest.version
        self.version = (major, minor)
        self.machine = ("-machine", f"pc-q35-{major}.{minor}")
        self.stream = self.fresh(*ALL)
        self.dump = Dump.open(io.BytesIO(self.stream))

    def fresh(self, *devices: str) -> bytes:
        with Guest([*self.machine, *devices], binary=self.binary) as guest:
            return guest.save()

    def refusal(self, attempt: Attempt) -> str:
        """What QEMU says of an attempt; empty where it loads."""
        arguments = [*self.machine, *attempt.devices]
        with Guest(arguments, binary=self.binary, incoming=True) as guest:
            if attempt.capability:
                state = {"capability": attempt.capability, "state": True}
                guest.qmp.execute("migrate-set-capabilities", capabilities=[state])
            result = guest.load(attempt.stream)
        return "" if result.ok else result.stderr

    def item(self, kind: str, name: str) -> Item:
        return next(i for i in self.dump.index.items if i.type == kind and str(i.idstr).endswith(name))

    def device(self, kind: str) -> MsixDevice:
        return next(device for device in self.dump.devices if device.kind == kind)

    def patched(self, offset: int, data: bytes) -> Attempt:
        return Attempt(self.stream[:offset] + data + self.stream[offset + len(data) :])

    def inserted(self, offset: int, data: bytes) -> Attempt:
        return Attempt(self.stream[:offset] + data + self.stream[offset:])

    def configured(self, name: bytes, body: bytes) -> bytes:
        """The stream with one more subsection of the configuration."""
        end = 13 + int.from_bytes(self.stream[9:13], "big")
        head = b"\x05" + bytes([len(name)]) + name + number(1)
        return self.stream[:end] + head + body + self.stream[end:]

    def in_config(self, kind: str, offset: int, data: bytes) -> Attempt:
        start = self.device(kind).config_offset
        assert start is not None
        return self.patched(start + offset, data)

    def in_virtio(self, place: Callable[[VirtioState], int], data: bytes) -> Attempt:
        device = self.device("virtio-net")
        assert device.virtio is not None
        return self.patched(device.offset - device.virtio.msix_offset + place(device.virtio), data)

    def in_subsection(self, name: bytes, offset: int, data: bytes) -> Attempt:
        start = self.stream.index(name, self.device("virtio-net").item.data_offset)
        return self.patched(start + offset, data)


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


Recipe = Callable[[Source], Attempt]
RECIPES: dict[str, tuple[str, Recipe]] = {}


def recipe(name: str, what: str, make: Recipe) -> None:
    RECIPES[name] = (what, make)


def edits_of_the_header() -> None:
    recipe("magic", "the first bytes are gzip's", lambda s: s.patched(0, b"\x1f\x8b\x08\0"))
    recipe("version-2", "format version 2", lambda s: s.patched(4, number(2)))
    recipe("version", "format version 4", lambda s: s.patched(4, number(4)))
    recipe("configuration-missing", "the configuration section is cut out", _no_configuration)
    recipe("machine", "the machine type is another", lambda s: s.patched(13, b"pc-x"))
    bits = b"configuration/target-page-bits"
    recipe("page-bits", "pages of 16 KiB", lambda s: Attempt(s.configured(bits, number(14))))
    capabilities = b"configuration/capabilities"
    unknown = number(1) + b"\x06x-frob"
    recipe(
        "capability-unknown",
        "a capability that does not exist",
        lambda s: Attempt(s.configured(capabilities, unknown)),
    )
    recipe(
        "capability",
        "x-ignore-shared is on in the target",
        lambda s: Attempt(s.stream, capability="x-ignore-shared"),
    )
    uuid = ("-uuid", "12345678-1234-1234-1234-123456789abc")
    recipe(
        "uuid",
        "another UUID",
        lambda s: Attempt(
            s.configured(b"configuration/uuid", bytes(range(16))), (*ALL, *uuid), "validate-uuid"
        ),
    )


def _no_configuration(source: Source) -> Attempt:
    end = 13 + int.from_bytes(source.stream[9:13], "big")
    return Attempt(source.stream[:8] + source.stream[end:])


def edits_of_sections() -> None:
    net = "/virtio-net"
    recipe("section-too-new", "version 12 of virtio-net", lambda s: _versioned(s, net, 12))
    recipe("version-too-old", "version 10 of virtio-net", lambda s: _versioned(s, net, 10))
    recipe("section-unknown", "no e1000e", lambda s: Attempt(s.stream, (*DISK, *NET, *BLOCK)))
    recipe("section-type", "a section of type 9", lambda s: s.patched(_nic(s).offset, b"\x09"))
    recipe(
        "section-id-unknown",
        "a part of a section that never began",
        lambda s: s.patched(s.item("part", "ram").offset + 1, number(0x7777)),
    )
    recipe("footer-missing", "no footer", lambda s: s.patched(_nic(s).end - 5, b"\x04"))
    recipe("footer-id", "another section's footer", lambda s: s.patched(_nic(s).end - 4, number(0x7F)))
    recipe("cut", "cut in the e1000e", lambda s: Attempt(s.stream[: _nic(s).data_offset + 5000]))
    recipe("id-unreadable", "cut in a section's header", lambda s: Attempt(s.stream[: _nic(s).offset + 7]))
    rings = b"virtio/virtqueues"
    recipe(
        "subsection-unknown",
        "a subsection that does not exist",
        lambda s: s.in_subsection(rings, 0, b"virtio/virtquexxx"),
    )
    recipe(
        "version-too-new",
        "version 5 of a subsection",
        lambda s: s.in_subsection(rings, len(rings), number(5)),
    )
    start = _before_ram
    recipe("command-unknown", "command 0x63", lambda s: start(s, b"\x08\0\x63\0\0"))
    recipe("command-length", "a ping of 8 bytes", lambda s: start(s, b"\x08\0\x02\0\x08" + bytes(8)))
    recipe("ping", "a ping without return path", lambda s: start(s, b"\x08\0\x02\0\x04" + bytes(4)))
    recipe("postcopy-state", "postcopy runs at once", lambda s: start(s, b"\x08\0\x05\0\0"))
    recipe(
        "postcopy-advise",
        "postcopy is on in the source",
        lambda s: start(s, b"\x08\0\x03\0\x10" + number(4096, 8) * 2),
    )
    recipe("bitmap-node", "a dirty bitmap of another disk", lambda s: start(s, _bitmap()))
    recipe(
        "run-state",
        "a run state that does not exist",
        lambda s: s.patched(s.stream.index(b"prelaunch"), b"preluncho"),
    )


def _nic(source: Source) -> Item:
    return source.item("full", "/e1000e")


def _versioned(source: Source, name: str, version: int) -> Attempt:
    return source.patched(source.item("full", name).data_offset - 4, number(version))


def _before_ram(source: Source, data: bytes) -> Attempt:
    return source.inserted(source.item("start", "ram").offset, data)


def _bitmap() -> bytes:
    """A section that announces the bitmap b0 of the node xyz."""
    chunk = b"\x1c\x03xyz\x02b0" + number(65536) + b"\x01"
    return b"\x01" + number(0x7777) + b"\x0cdirty-bitmap" + number(0) + number(1) + chunk


def edits_of_ram() -> None:
    recipe("block-unknown", "a block of another name", lambda s: s.patched(_block(s), b"xc"))
    recipe(
        "block-rom",
        "the source's NIC has an option ROM",
        lambda s: Attempt(s.fresh("-device", "virtio-net-pci,addr=2"), NET),
    )
    recipe("block-size", "4 MiB of memory", lambda s: s.patched(_block(s) + 6, number(4 << 20, 8)))
    loader = b"/rom@etc/table-loader"
    recipe(
        "block-too-large",
        "an ACPI table loader of 1 GiB",
        lambda s: s.patched(s.stream.index(loader) + len(loader), number(1 << 30, 8)),
    )
    page = _first_page
    recipe("ram-flags", "flag 0x800", lambda s: s.patched(page(s), number(0x800, 8)))
    recipe("block-lost", "a page of another block", lambda s: s.patched(page(s), number(2, 8) + b"\x03foo\0"))
    recipe(
        "page-outside",
        "a page beyond the block's end",
        lambda s: s.inserted(page(s), number(0x7FFFF008, 8) + b"\x06pc.ram" + bytes(4096)),
    )
    recipe(
        "zero-page",
        "a page filled with 7",
        lambda s: s.patched(s.stream.index(b"\x06pc.ram\0", page(s)) + 7, b"\x07"),
    )
    recipe(
        "xbzrle",
        "XBZRLE of another method",
        lambda s: s.inserted(page(s), number(0x40, 8) + b"\x06pc.ram\x07\0\x04abcd"),
    )
    recipe(
        "compressed-page",
        "a compressed page",
        lambda s: s.inserted(page(s), number(0x100, 8) + b"\x06pc.ram" + number(4) + b"abcd"),
    )
    recipe("cut-in-ram", "cut among the pages", lambda s: Attempt(s.stream[: page(s) + 200]))


def _block(source: Source) -> int:
    """Where the name of the first RAM block stands."""
    return source.item("start", "ram").data_offset + 9


def _first_page(source: Source) -> int:
    return source.item("part", "ram").data_offset


def edits_of_devices() -> None:
    recipe("at-most", "version 3 of PCIDevice", lambda s: s.in_config("e1000e", -4, number(3)))
    recipe("irq-state", "an INTx level of 5", lambda s: s.in_config("e1000e", 4096, number(5)))
    recipe(
        "serial-number",
        "another device serial number",
        lambda s: s.in_config("e1000e", 0x145, b"\x55"),
    )
    recipe(
        "vectors",
        "9 vectors in the target",
        lambda s: Attempt(s.fresh(*NET), ("-device", "virtio-net-pci,romfile=,addr=2,vectors=9")),
    )
    recipe(
        "legacy",
        "disable-modern=on in the target",
        lambda s: Attempt(s.fresh(*NET), ("-device", "virtio-net-pci,romfile=,addr=2,disable-modern=on")),
    )
    recipe(
        "slot-number",
        "another slot number of a root port",
        lambda s: Attempt(s.fresh(PORT[0], PORT[1] + ",slot=4"), (PORT[0], PORT[1] + ",slot=5")),
    )
    recipe(
        "footer-of-xhci",
        "another number of ports",
        lambda s: Attempt(s.fresh("-device", "qemu-xhci,addr=2"), ("-device", "qemu-xhci,p2=8,addr=2")),
    )
    recipe(
        "subsystem",
        "another subsystem id",
        lambda s: Attempt(s.fresh(*NIC), (NIC[0], NIC[1] + ",subsys=7")),
    )
    recipe(
        "not-equal",
        "two outputs in the target",
        lambda s: Attempt(
            s.fresh("-device", "virtio-gpu-pci,addr=2"), ("-device", "virtio-gpu-pci,max_outputs=2,addr=2")
        ),
    )
    recipe("property-changed", "another block size of virtio-mem", _virtio_mem)
    recipe(
        "config-vector", "config_vector 9", lambda s: s.in_virtio(lambda v: v.core_offset - 2, number(9, 2))
    )
    recipe(
        "queue-vector",
        "vector 9 of queue 0",
        lambda s: s.in_virtio(lambda v: v.queues_offset + 14, number(9, 2)),
    )
    recipe("queue-sel", "queue_sel 2000", lambda s: s.in_virtio(lambda v: v.core_offset + 2, number(2000, 2)))
    recipe("queue-count", "1025 queues", lambda s: s.in_virtio(lambda v: v.queues_offset - 4, number(1025)))
    recipe(
        "queue-address",
        "taken from address 0",
        lambda s: s.in_virtio(lambda v: v.queues_offset + 12, number(7, 2)),
    )
    recipe("queue-size", "1024 entries", lambda s: s.in_virtio(lambda v: v.queues_offset, number(1024)))
    recipe(
        "features",
        "features that nothing offers",
        lambda s: s.in_subsection(b"virtio/64bit_features", 25, number(0x3FFFFFFFFF, 8)),
    )
    ports = ("-device", "virtio-serial-pci,addr=2")
    port = ("-chardev", "null,id=c", "-device", "virtserialport,chardev=c,name=x,nr=3")
    recipe("serial-ports", "no port in the target", lambda s: Attempt(s.fresh(*ports, *port), ports))


def _virtio_mem(source: Source) -> Attempt:
    memory = ("-m", "8,slots=2,maxmem=1G", "-object", "memory-backend-ram,id=m0,size=128M")
    device = "virtio-mem-pci,memdev=m0,addr=5,block-size="
    return Attempt(source.fresh(*memory, "-device", f"{device}2M"), (*memory, "-device", f"{device}4M"))


edits_of_the_header()
edits_of_sections()
edits_of_ram()
edits_of_devices()


def record(binary: str, out: Path, *, force: bool) -> None:
    """Write what one QEMU says. Raises GuestError where it cannot be run."""
    source = Source(binary)
    parts = []
    for name, (what, make) in RECIPES.items():
        said = source.refusal(make(source))
        if said:
            parts.append(f"# {name}: {what}\n{said}\n")
    path = out / f"{source.version[0]}.{source.version[1]}.log"
    with path.open("w" if force else "x") as file:
        file.write("".join(parts))
    print(f"{path}: {len(parts)} failures")


def main() -> int:
    parser = argparse.ArgumentParser(description="Record what QEMU says of streams that it refuses.")
    parser.add_argument("--qemu", metavar="BIN", action="append", help="may be given several times")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(__file__).parent)
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    options = parser.parse_args()
    try:
        for binary in options.qemu or [shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"]:
            record(binary, options.out, force=options.force)
    except (GuestError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
