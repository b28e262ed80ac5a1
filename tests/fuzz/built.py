"""Streams that no QEMU at hand writes, or none that is small: made with the tests' own builder."""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.formats.qevm import CommandType
from msixtool.formats.ram import MAPPED_RAM_HEADER
from msixtool.msix.state import MsixState
from tests.stream import build
from tests.stream.build import HEADER, PAGE, Stream


def streams() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each."""
    yield "built: ram", bytes(_with_ram(Stream()))
    yield "built: ram, no footers", bytes(_with_ram(Stream(footers=False)))
    yield "built: ram, no vmdesc", bytes(_with_ram(Stream(vmdesc=False)))
    yield "built: neither", bytes(_with_ram(Stream(footers=False, vmdesc=False)))
    yield "built: capabilities", bytes(_with_ram(Stream(page_bits=12, capabilities=("xbzrle", "x-colo"))))
    yield "built: commands", bytes(_with_commands(Stream()))
    yield "built: device", bytes(_with_device(Stream()))
    yield "built: device, no vmdesc", bytes(_with_device(Stream(vmdesc=False)))
    yield "built: package", bytes(_packaged())
    yield "built: mapped-ram", bytes(mapped())


def _with_ram(stream: Stream) -> Stream:
    """Every kind of RAM record, in three blocks, and a section behind."""
    blocks = (("pc.ram", 64 * PAGE), ("vga.vram", 8 * PAGE), ("/rom@etc/acpi/tables", 2 * PAGE))
    part = b"".join(
        (
            build.page(0, bytes(range(256)) * 16, "pc.ram"),
            build.zero(PAGE),
            build.zero(2 * PAGE, fill=0x55),
            build.compressed(3 * PAGE, b"x" * 40),
            build.xbzrle(4 * PAGE, b"y" * 30),
            build.FLUSH,
            *(build.zero(n * PAGE) for n in range(5, 40)),
            build.page(0, bytes(PAGE), "vga.vram"),
        )
    )
    return _with_device(stream.ram(part, build.zero(0, "pc.ram"), end=build.FLUSH, blocks=blocks))


def _with_device(stream: Stream) -> Stream:
    state = MsixState.reset(3)
    config = build.config_space(3)
    data = build.pci_device(config) + state.to_vmstate() + bytes(8)
    stream.full(4, "timer", bytes(24))
    return stream.full(39, "0000:00:03.0/thing", data, build.msix_fields(config, state, 8), version=2)


def _with_commands(stream: Stream) -> Stream:
    stream.command(CommandType.OPEN_RETURN_PATH)
    stream.command(CommandType.PING, build.u32(1))
    stream.command(CommandType.POSTCOPY_ADVISE, build.u64(PAGE) * 2)
    _with_ram(stream)
    stream.command(CommandType.POSTCOPY_RAM_DISCARD, b"\0\x06pc.ram\0" + build.u64(0) + build.u64(PAGE))
    return stream.command(CommandType.POSTCOPY_LISTEN)


def _packaged() -> Stream:
    """Device state inside of a package, as postcopy sends it."""
    inner = _with_device(Stream(machine=None))
    body = b"".join(inner.pieces) + b"\0"
    stream = _with_ram(Stream(vmdesc=False)).command(CommandType.PACKAGED, build.u32(len(body)))
    stream.pieces.append(body)
    return stream


def mapped() -> Stream:
    """RAM laid out for a file: each block's header, bitmap and pages behind its entry in the list."""
    sizes = {"pc.ram": 6 * PAGE, "vga.vram": 2 * PAGE, "/rom@etc/acpi/tables": PAGE}
    made = Stream(page_bits=12, capabilities=("mapped-ram",))
    at = len(HEADER) + len(made.configuration) + _BEFORE_BLOCKS
    tails = []
    for number, (name, size) in enumerate(sizes.items()):
        bitmap = at + 1 + len(name) + 8 + MAPPED_RAM_HEADER.sizeof()
        pages = -(-(bitmap + 8) // PAGE) * PAGE
        value = {"version": 1, "page_size": PAGE, "bitmap_offset": bitmap, "pages_offset": pages}
        header = MAPPED_RAM_HEADER.build(value) + bytes([0b101]) * 8
        tails.append(
            header.ljust(pages - bitmap + MAPPED_RAM_HEADER.sizeof(), b"\0") + bytes([number]) * size
        )
        at = pages + size
    return _with_device(made.ram(blocks=tuple(sizes.items()), tails=tails))


_BEFORE_BLOCKS = 1 + 4 + 1 + len("ram") + 4 + 4 + 8
"""The header of the section that begins RAM, and the size of all blocks."""
