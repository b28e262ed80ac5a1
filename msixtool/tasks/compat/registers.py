"""The registers of one device's configuration space that QEMU would compare with a stream's.

Which ones follows from the fresh state of the device that loads: its capability lists, and what is
known of its kind's BARs (qemu/config_masks.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import pci
from msixtool.msix.bar import pba_memory, table_size
from msixtool.qemu import config_masks as masks
from msixtool.qemu.config_masks import ComparedRegister, Context
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import PciFunction
from msixtool.qemu.versions import Version

_IO, _IO_TYPE, _MEMORY_TYPE = 0x1, 0x3, 0xF


@dataclass(frozen=True, slots=True)
class TargetDevice:
    """A device as the target has it: `name` is the last part of the section's idstr, `config` its
    configuration space.

    `rom` is the size of its option ROM's RAM block in bytes, 0 where it has none; `framebuffer` that of a
    display's memory. `legacy_bar` is the size of a virtio device's I/O BAR 0, where that is known.
    """

    name: str
    config: bytes
    rom: int = 0
    framebuffer: int = 0
    legacy_bar: int | None = None
    version: Version | None = None


def compared_registers(device: TargetDevice) -> list[ComparedRegister]:
    """All registers that are compared, by offset; none overlaps the next."""
    space = ConfigSpace(device.config)
    own = kind_of(device.name).function
    found = [*masks.IDENTITY, *_bars(device, space, own), masks.CAPABILITIES_POINTER]
    if header_type(device.config) == pci.HeaderType.BRIDGE:
        found += masks.BRIDGE
    express = space.find(pci.CapabilityId.EXPRESS)
    port = None if express is None else masks.express_port(device.config[express:])
    context = Context(own, port, device.version)
    found += _capabilities(device.config, space, context)
    return _clipped(found, len(device.config))


def header_type(config: bytes) -> int:
    """The layout of the header."""
    return pci.HEADER_TYPE.value(config) & pci.HEADER_TYPE_MASK


def _clipped(found: list[ComparedRegister], size: int) -> list[ComparedRegister]:
    """In order of offset, each cut off where the next begins: an overlap belongs to the later capability."""
    found.sort(key=lambda register: register.offset)
    result = []
    for register, following in zip(found, [*found[1:], None], strict=True):
        end = min(size, following.offset if following else size)
        if register.offset < end:
            result.append(replace(register, size=min(register.size, end - register.offset)))
    return result


def _capabilities(config: bytes, space: ConfigSpace, context: Context) -> Iterator[ComparedRegister]:
    for each, at in space.capabilities:
        yield from masks.in_capability(each, at, config[at : pci.CONFIG_SIZE], context)
    for each, at in space.extended_capabilities:
        yield from masks.in_extended(each, at, config[at:], context)


def _bars(device: TargetDevice, space: ConfigSpace, own: PciFunction | None) -> Iterator[ComparedRegister]:
    layout = header_type(device.config)
    if layout not in pci.BAR_COUNTS:
        return
    header = pci.HeaderType(layout)
    sizes = bar_sizes(device, space, own)
    for bar in pci.bars_of(device.config):
        if bar.number in sizes:
            yield masks.sized_bar(bar, sizes[bar.number])
        elif bar.word & _MEMORY_TYPE:
            # The type bits show that it is registered; how large it is, nothing shows.
            known = _IO_TYPE if bar.is_io else _MEMORY_TYPE
            yield masks.bar_of_unknown_size(bar, known)
        elif own is None:
            yield masks.bar_of_unknown_size(bar, 0)
    if device.rom:
        yield masks.rom(_power_of_two(device.rom), header)


def bar_sizes(device: TargetDevice, space: ConfigSpace, own: PciFunction | None) -> dict[int, int]:
    """The sizes in bytes of the BARs that are known to be registered, by number."""
    sizes = _registered(device.config, own) if own else {}
    if own and own.framebuffer is not None and device.framebuffer:
        sizes[own.framebuffer] = _power_of_two(device.framebuffer)
    for number, end in _used_ends(space, device.config, own):
        # QEMU gives such a BAR the next power of two, and a page at least.
        sizes[number] = max(sizes.get(number, 0), _power_of_two(end), 0x1000)
    if device.legacy_bar and pci.bar_register(0).value(device.config) & _IO:
        sizes[0] = _power_of_two(device.legacy_bar)
    return sizes


def _registered(config: bytes, own: PciFunction) -> dict[int, int]:
    """Of a kind's BARs those whose type bits are there: without them it was not registered."""
    return {
        number: bar.size
        for number, bar in own.bars.items()
        if pci.bar_register(number).value(config) & _MEMORY_TYPE == bar.type
    }


def _used_ends(space: ConfigSpace, config: bytes, own: PciFunction | None) -> Iterator[tuple[int, int]]:
    """(BAR, end in bytes) of what the capabilities place in BARs: MSI-X, and a virtio device's structures."""
    capability = space.msix
    if capability is not None:
        yield capability.table.bar, capability.table.offset + table_size(capability.vectors)
        yield capability.pba.bar, capability.pba.offset + pba_memory(capability.vectors)
    if own is not None and own.is_virtio:
        yield from masks.virtio_structures(config, [c.offset for c in space.capabilities])


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()
