"""The configuration spaces of a QEMU's devices: what stands in them, what is compared, what can be written.

Source: PCI Local Bus Specification 3.0, section 6.2.5.1 (a BAR's size); QEMU's -device help.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import pci
from msixtool.qemu.kinds import Backend, DeviceKind, kinds
from msixtool.qemu.kinds.facts import Probe
from tests.live.devices import device_names
from tests.live.wire import GuestError
from tests.record.still import Bytes, Config, StillQemu

_SLOT, _PORT = 4, 3
_BACKENDS = {
    Backend.CHARDEV: ("-chardev", "null,id=back"),
    Backend.CAN: ("-object", "can-bus,id=back"),
    Backend.CAN_PAIR: ("-object", "can-bus,id=back"),
    Backend.BMC: ("-device", "ipmi-bmc-sim,id=back"),
    Backend.DRIVE: ("-drive", "if=none,id=back,driver=null-co,size=1M,read-only=on"),
}
_AT_ONCE = 2


def functions(binary: str) -> dict[str, list[dict[str, Any]]]:
    """By kind that can be probed: what each of its variants is like, as qemu/recorded has it."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        chosen = sorted((kind for kind in kinds() if kind.probes), key=lambda kind: kind.section)
        found = pool.map(partial(_variants, binary), chosen)
        return {kind.section: variants for kind, variants in zip(chosen, found, strict=True) if variants}


def _variants(binary: str, kind: DeviceKind) -> list[dict[str, Any]]:
    found = []
    for probe in kind.probes:
        device = probe.device or next(iter(kind.devices.values()), "")
        if device and device not in device_names(binary):
            continue
        start = partial(StillQemu, binary, [*_arguments(kind, probe, device)])
        try:
            with start() as qemu:
                row = _layout(qemu, probe)
            with start() as qemu:
                found.append(row | _saved(qemu, kind, probe))
        except GuestError as error:
            print(f"{kind.section} {probe.options}: {error}", file=sys.stderr)
    return found


def _arguments(kind: DeviceKind, probe: Probe, device: str) -> Iterator[str]:
    yield from ("-machine", probe.machine)
    if not device:
        return
    if probe.behind_port:
        yield from ("-device", f"pcie-root-port,id=above,chassis=1,addr={_PORT:#x}")
    yield from _BACKENDS.get(kind.backend, ())
    options = [device, *(("bus=above,addr=0",) if probe.behind_port else (f"addr={_SLOT:#x}",))]
    if kind.rom:
        options.append("romfile=")
    if kind.numbered:
        options.append("chassis=9")
    if kind.backend in _BACKENDS:
        options.append(f"{kind.backend.value}=back")
    if kind.backend is Backend.CAN_PAIR:
        options.append("canbus1=back")
    yield from ("-device", ",".join(filter(None, (*options, probe.options))))


def _place(probe: Probe) -> tuple[int | None, int, int]:
    """The port in front of it, its slot and function."""
    if probe.behind_port:
        return (_PORT, 0, 0)
    return (None, *(probe.at or (_SLOT, 0)))


def _layout(qemu: StillQemu, probe: Probe) -> dict[str, Any]:
    port, slot, function = _place(probe)
    config = Config(qemu.qtest, slot, function, q35=probe.machine == "q35", port=port)
    space = ConfigSpace(config.data())
    found = {
        "header": space.header.layout,
        "capabilities": [[each.id, each.offset] for each in space.capabilities],
        "extended": [list(each) for each in space.extended_capabilities],
        "bars": _bars(config, space),
    }
    # QEMU 5.2 ends where all of a chipset's own registers are set.
    with suppress(GuestError):
        found["written"] = packed(config.written(len(space.data)))
    return found


def _saved(qemu: StillQemu, kind: DeviceKind, probe: Probe) -> dict[str, Any]:
    """What a stream has of it and is compared, where it can be saved."""
    blocked = qemu.save_snapshot()
    if blocked:
        print(f"{kind.section} is not saved: {blocked}", file=sys.stderr)
        return {}
    port, slot, function = _place(probe)
    above = "" if port is None else f"{port:02x}.0:"
    saved = qemu.saved_config(f"0000:00:{above}{slot:02x}.{function:x}/{kind.section}")
    fresh = {at: byte for at, byte in enumerate(saved) if byte}
    return {"config": packed(fresh), "compared": packed(qemu.compared(saved))}


def packed(found: Bytes) -> dict[str, str]:
    """Hexadecimal text of each run of bytes, by its offset."""
    runs: dict[int, list[int]] = {}
    start = end = -1
    for at, byte in sorted(found.items()):
        if at != end:
            start = at
        runs.setdefault(start, []).append(byte)
        end = at + 1
    return {hex(at): bytes(run).hex() for at, run in runs.items()}


def _bars(config: Config, space: ConfigSpace) -> dict[str, list[int]]:
    """Size and type of each that is registered."""
    found = {}
    for bar in pci.bars_of(space.data):
        mask = config.writable(bar.register) | (config.writable(bar.register + 4) << 32 if bar.wide else 0)
        if mask:
            found[str(bar.number)] = [mask & -mask, bar.word & 0xF]
    return found
