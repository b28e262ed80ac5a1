"""Displays and sound.

Source: QEMU hw/display/ (vga-pci.c, cirrus_vga.c, vmware_vga.c, bochs-display.c), hw/audio/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msixtool.formats import pci
from msixtool.qemu.kinds import ISA, Backend, DeviceKind, Options, register_kinds, without_msi
from msixtool.qemu.kinds.facts import (
    BARS,
    CAPABILITY_LIST,
    PLAIN,
    Advice,
    Probe,
    give_same,
)
from msixtool.qemu.recorded import default_of

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

_MIB = 1 << 20
HDA_ONE_STREAM = 10000
"""A codec's section is shorter than this where it has one stream (9429 bytes, 17682 with two)."""

_OTHER_DISPLAY = 0x80


def _memory(device: str) -> Callable[[Seen], Options]:
    def options(seen: Seen) -> Options:
        size = seen.block("vga.vram")
        if size is None or size == int(default_of("vgamem_mb", seen.machine, device)) * _MIB:
            return {}
        return {"vgamem_mb": str(size // _MIB)}

    return options


_vga_memory = _memory("VGA")


def _bochs(seen: Seen) -> Options:
    size = seen.block("bochs-display-vram")
    default = int(default_of("vgamem", seen.machine, "bochs-display"))
    return {} if size in (None, default) else {"vgamem": str(size)}


def _vga(seen: Seen) -> str:
    return "secondary-vga" if pci.CLASS_CODE.value(seen.config) >> 8 & 0xFF == _OTHER_DISPLAY else "VGA"


def _std(seen: Seen) -> Options:
    """The standard VGA is of revision 2 where its registers are in a BAR."""
    options: Options = _vga_memory(seen)
    old = seen.machine is not None and seen.machine <= (2, 2)
    if seen.config and not pci.REVISION_ID.value(seen.config) and not old:
        options["mmio"] = "off"
    return options


def _codec(seen: Seen) -> str:
    return "hda-output" if seen.length < HDA_ONE_STREAM else "hda-duplex"


def _qxl(seen: Seen) -> Options:
    options = {}
    for block, name in (("qxl.vgavram", "ram_size"), ("qxl.vram", "vram_size")):
        size = seen.block(block)
        if size is not None:
            options[name] = str(size)
    return options


register_kinds(
    DeviceKind(
        "vga",
        {"": "VGA"},
        _std,
        rom=True,
        named=_vga,
        probes=PLAIN,
        framebuffer=0,
        advice=Advice(registers={BARS: give_same("vgamem_mb")}),
    ),
    DeviceKind(
        "cirrus_vga",
        {"": "cirrus-vga", ISA: "isa-cirrus-vga"},
        _memory("cirrus-vga"),
        rom=True,
        probes=PLAIN,
        alone=True,
    ),
    DeviceKind("vmware_vga", {"": "vmware-svga"}, _memory("vmware-svga"), rom=True),
    DeviceKind(
        "bochs-display",
        {"": "bochs-display"},
        _bochs,
        rom=True,
        probes=(Probe(behind_port=True), Probe()),
        framebuffer=0,
        advice=Advice(registers={BARS: give_same("vgamem")}),
    ),
    DeviceKind("qxl", {"": "qxl-vga"}, _qxl, rom=True),
    DeviceKind("vga-isa", {"": "isa-vga"}, alone=True),
    DeviceKind("i2c-ddc", {"": "i2c-ddc"}, alone=True),
    DeviceKind("ramfb-dev", {"": "ramfb"}, alone=True),
    DeviceKind(
        "intel-hda",
        {"": "intel-hda", "8086:293e": "ich9-intel-hda"},
        without_msi,
        advice=Advice(registers={CAPABILITY_LIST: give_same("msi")}),
        probes=PLAIN,
    ),
    DeviceKind("hda-audio", {"": "hda-duplex"}, backend=Backend.AUDIODEV, named=_codec, sound=True),
    *(
        DeviceKind(section, {"": device}, backend=Backend.AUDIODEV, sound=True)
        for section, device in (("ac97", "AC97"), ("es1370", "ES1370"))
    ),
    *(
        DeviceKind(section, {"": section}, backend=Backend.AUDIODEV, sound=True, alone=True)
        for section in ("sb16", "cs4231a", "gus")
    ),
)
