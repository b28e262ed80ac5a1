"""A device's configuration space, probed through qtest: which of its bits a guest can change.

Source: docs/devel/qtest.rst; PCI Local Bus Specification 3.0, sections 3.2.2.3.2 (0xCF8) and 6.2.5.1 (a BAR's
size); Intel 3 Series datasheet, section 5.1.16 (PCIEXBAR).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import pci
from msixtool.qemu.kinds import Backend, DeviceKind, kinds
from tests.live.devices import device_names

_SLOT = 4
_ADDRESS, _DATA = 0xCF8, 0xCFC
_EXBAR, _WINDOW = 0x60, 0xB0000000
_ONES = 0xFFFFFFFF
_BACKENDS = {
    Backend.CHARDEV: ("-chardev", "null,id=back"),
    Backend.CAN: ("-object", "can-bus,id=back"),
    Backend.CAN_PAIR: ("-object", "can-bus,id=back"),
}
_NEEDS = {"pci_bridge": "chassis_nr=1"}
"""Those without which a device does not start."""


class StillQemu:
    """A QEMU that stands still and answers qtest. Raises OSError where it does not start."""

    def __init__(self, binary: str, arguments: Sequence[str]) -> None:
        still = ["-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-m", "128,slots=2,maxmem=1G"]
        self._run = subprocess.Popen(
            [binary, "-machine", "q35", *still, *arguments, "-qtest", "stdio", "-qtest-log", "/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> StillQemu:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.kill()
        self._run.communicate()

    def ask(self, words: str) -> int:
        """The number in an answer, 0 for one without. Raises OSError where there is no answer."""
        into, out = self._run.stdin, self._run.stdout
        assert into is not None
        assert out is not None
        print(words, file=into, flush=True)
        answer = _answer(out).split()
        return int(answer[1], 16) if len(answer) > 1 else 0


def _answer(out: IO[str]) -> str:
    while line := out.readline():
        if line.startswith("OK"):
            return line
        if line.startswith(("FAIL", "ERR")):
            raise OSError(line)
    raise OSError("QEMU ended")


class _Config:
    """The configuration space of the device in the slot, by way of memory."""

    def __init__(self, qtest: StillQemu) -> None:
        self._qtest = qtest
        qtest.ask(f"outl {_ADDRESS:#x} {1 << 31 | _EXBAR:#x}")
        qtest.ask(f"outl {_DATA:#x} {_WINDOW | 1:#x}")
        self._base = _WINDOW + (_SLOT << 15)

    def read(self, at: int) -> int:
        return self._qtest.ask(f"readl {self._base + at:#x}")

    def writable(self, at: int) -> int:
        """The bits of a register that can be 1 and 0."""
        before, found = self.read(at), [0, 0]
        for index, value in enumerate((_ONES, 0)):
            self._qtest.ask(f"writel {self._base + at:#x} {value:#x}")
            found[index] = self.read(at)
        self._qtest.ask(f"writel {self._base + at:#x} {before:#x}")
        return found[0] & ~found[1]


def functions(binary: str) -> dict[str, dict[str, Any]]:
    """By kind that can be probed: its BARs, where its capabilities are, and what of them is live."""
    names, found = device_names(binary), {}
    for kind in kinds():
        device = kind.devices.get("", next(iter(kind.devices.values()), ""))
        if not kind.probed or device not in names:
            continue
        try:
            with StillQemu(binary, _arguments(kind, device)) as qtest:
                found[kind.section] = _function(_Config(qtest))
        except OSError as error:
            print(f"{kind.section} does not start: {error}", file=sys.stderr)
    return dict(sorted(found.items()))


def _arguments(kind: DeviceKind, device: str) -> list[str]:
    backend = _BACKENDS.get(kind.backend, ())
    options = [device, f"addr={_SLOT:#x}"]
    if kind.rom:
        options.append("romfile=")
    if kind.numbered:
        options.append("chassis=9")
    if kind.section in _NEEDS:
        options.append(_NEEDS[kind.section])
    if backend:
        options.append(f"{kind.backend.value}=back")
    if kind.backend is Backend.CAN_PAIR:
        options.append("canbus1=back")
    return [*backend, "-device", ",".join(options)]


def _function(config: _Config) -> dict[str, Any]:
    data = b"".join(config.read(at).to_bytes(4, "little") for at in range(0, 4096, 4))
    space = ConfigSpace(data if any(data[256:]) and data[256:] != b"\xff" * 3840 else data[:256])
    express, power = space.find(pci.CapabilityId.EXPRESS), space.find(pci.CapabilityId.PM)
    return {
        "header": space.header.layout,
        "capabilities": [[each.id, each.offset] for each in space.capabilities],
        "extended": [list(each) for each in space.extended_capabilities],
        "bars": _bars(config, space),
        "power": 0 if power is None else config.writable(power + 4) & 0xFFFF,
        "errors": express is not None and config.writable(express + 8) & 0xF == 0xF,
        "link": express is not None and config.writable(express + 16) & 0xC0 == 0xC0,
    }


def _bars(config: _Config, space: ConfigSpace) -> dict[str, list[int]]:
    """Size and type of each that is registered."""
    found = {}
    for bar in pci.bars(space.data):
        at = 0x10 + 4 * bar.number
        mask = config.writable(at) | (config.writable(at + 4) << 32 if bar.wide else 0)
        if mask:
            found[str(bar.number)] = [mask & -mask, bar.word & 0xF]
    return found
