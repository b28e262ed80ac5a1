"""A QEMU that stands still, and what can be learned of the configuration space of one of its functions.

What a QEMU compares it says itself where it refuses a stream: a saved state is loaded again and again, with
bits of it flipped. The wires and the image that holds the state reach QEMU as open files, so that one behind
a chroot can be asked too.

Source: QEMU hw/pci/pci.c (get_pci_config_device), docs/devel/qtest.rst; Intel 3 Series datasheet, section
5.1.16 (PCIEXBAR).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from msixtool import Dump
from msixtool.devices.places import config_space
from msixtool.formats.pci import CONFIG_SIZE, EXPRESS_CONFIG_SIZE
from tests.live.pci import PRIMARY_BUS, Function
from tests.live.process import QemuProcess
from tests.live.rare import disk
from tests.live.wire import GuestError, Qtest

_STILL = ("-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-m", "4M,slots=2,maxmem=1G")
_EXBAR, _WINDOW = 0x60, 0xB0000000
_ONES = 0xFFFFFFFF
_REFUSED = re.compile(r"Bad config data: i=0x(\w+) .*?cmask: (\w+) wmask: (\w+) w1cmask: ?(\w+)")
_TOO_NEW = re.compile(r"(\S+): incoming version_id \d+ is too new for local version_id (\d+)")
_TAG = "fresh"

Bytes = dict[int, int]
"""Bytes of a configuration space by their offset, but for those that are 0."""


class StillQemu(QemuProcess):
    """A QEMU with `qmp` and `qtest`. Raises GuestError where it does not start."""

    WIRES = ("qtest", "qmp")

    def __init__(self, binary: str, arguments: Sequence[str]) -> None:
        super().__init__()
        self.image = disk(self._folder, "64k")
        self._state = os.open(self.image, os.O_RDWR)
        self._command = [binary, *_STILL, *arguments]

    def _start(self) -> None:
        with ExitStack() as theirs:
            pairs = {name: socket.socketpair() for name in self.WIRES}
            there = {name: theirs.enter_context(pair[1]).fileno() for name, pair in pairs.items()}
            self._command = [*self._command, *_wires(**there, state=self._state)]
            self._run(*there.values(), self._state)
        self._connect(lambda name: pairs[name][0])

    def close(self) -> None:
        """End QEMU and remove its files; may be called twice."""
        super().close()
        if self._state >= 0:
            os.close(self._state)
            self._state = -1

    def save_snapshot(self) -> str:
        """Save the state that `compared` changes; in words what keeps QEMU from it, or nothing."""
        return str(self.qmp.execute("human-monitor-command", command_line=f"savevm {_TAG}")).strip()

    def saved_config(self, idstr: str) -> bytes:
        """The configuration space in a section of the saved state; empty where it has none."""
        with Dump.open(self.image) as dump:
            item = next(item for item in dump.index.full_sections() if item.idstr == idstr)
            space = config_space(dump.source, item)
        return b"" if space is None else space.data

    def compared(self, config: bytes) -> Bytes:
        """The bits of each byte that are compared; `config` is as it was saved."""
        found: Bytes = {}
        at = self.image.read_bytes().index(config)
        offset = 0
        while offset < len(config):
            flipped = bytes(byte ^ 0xFF for byte in config[offset:])
            os.pwrite(self._state, config[:offset] + flipped, at)
            refused = _REFUSED.search(self._load())
            if refused is None:
                break
            offset, compared, writable, cleared = (int(each, 16) for each in refused.groups())
            found[offset] = compared & ~writable & ~cleared
            offset += 1
        os.pwrite(self._state, config, at)
        return found

    def subsection_versions(self, kind: str, names: Iterable[str]) -> dict[str, int]:
        """The version_id of each vmstate subsection that the section of a kind knows.

        Each is written into the saved state where its parent's begin, in a version that no QEMU reads: one
        that it knows is too new, one that it does not is not there. Those of a virtio device type stand in
        front of virtio's own; where there is none they begin where the section ends.
        """
        with Dump.open(self.image) as dump:
            item = next(item for item in dump.index.full_sections() if item.named.kind == kind)
            data = dump.source.read(item.offset, item.data_offset + item.data_length - item.offset)
        at, found = self.image.read_bytes().index(data), {}
        for name in names:
            places = (_first(data, parent) for parent in (name.rpartition("/")[0], "virtio"))
            place = at + next((offset for offset in places if offset is not None), len(data))
            header = bytes([5, len(name)]) + name.encode() + b"\x7f\xff\xff\xff"
            before = os.pread(self._state, len(header), place)
            os.pwrite(self._state, header, place)
            known = _TOO_NEW.search(self._load())
            os.pwrite(self._state, before, place)
            if known is not None and known[1] == name:
                found[name] = int(known[2])
        return found

    def _load(self) -> str:
        """What is said while the saved state is loaded."""
        before = len(self.stderr())
        try:
            said = str(self.qmp.execute("human-monitor-command", command_line=f"loadvm {_TAG}"))
        except GuestError:
            said = ""  # with all of it flipped that is not compared, the device may well end QEMU
        return said + self.stderr()[before:].strip()


def _first(data: bytes, parent: str) -> int | None:
    """Where the first subsection of a vmsd begins in a section."""
    found = re.search(rb"\x05[\0-\xff]" + re.escape(parent.encode()) + rb"/[^/\0-\x1f]+\0", data)
    return found.start() if found else None


def _wires(qmp: int, qtest: int, state: int) -> Sequence[str]:
    wires = (("qmp", qmp), ("qtest", qtest))
    return [
        *(word for name, fd in wires for word in ("-chardev", f"socket,id={name},fd={fd}")),
        *("-mon", "chardev=qmp,mode=control", "-qtest", "chardev:qtest", "-qtest-log", "/dev/null"),
        "-drive",
        f"if=none,id=state,cache=unsafe,format=qcow2,file.driver=file,file.filename=/proc/self/fd/{state}"
        ",file.locking=off",
    ]


class Config:
    """The configuration space of a function: the first 256 bytes by ports, the rest through q35's window.

    With `port` the function is behind that port of bus 0, which becomes bus 1.
    """

    def __init__(self, qtest: Qtest, slot: int, function: int, *, q35: bool, port: int | None) -> None:
        self._qtest = qtest
        bus = 0
        if port is not None:
            bus = 1
            Function(qtest, 0, port, 0).write(PRIMARY_BUS, bus << 16 | bus << 8, 4)
        self._near = Function(qtest, bus, slot, function)
        self._far = _WINDOW + (bus << 20 | slot << 15 | function << 12)
        self._q35 = q35

    def data(self) -> bytes:
        """256 bytes, or 4096 where there are more that say something."""
        near = self._read(range(0, CONFIG_SIZE, 4))
        if not self._q35:
            return near
        Function(self._qtest, 0, 0, 0).write(_EXBAR, _WINDOW | 1, 4)
        far = self._read(range(CONFIG_SIZE, EXPRESS_CONFIG_SIZE, 4))
        return near if len(set(far)) == 1 else near + far

    def _read(self, offsets: range) -> bytes:
        return b"".join(self.read(at).to_bytes(4, "little") for at in offsets)

    def read(self, at: int) -> int:
        """Four bytes."""
        return self._near.read(at, 4) if at < CONFIG_SIZE else self._qtest.load(self._far + at, 4)

    def _write(self, at: int, value: int) -> None:
        if at < CONFIG_SIZE:
            self._near.write(at, value, 4)
        else:
            self._qtest.store(self._far + at, value, 4)

    def writable(self, at: int) -> int:
        """The bits of a register that can be 1 and 0."""
        before, found = self.read(at), [0, 0]
        for index, value in enumerate((_ONES, 0)):
            self._write(at, value)
            found[index] = self.read(at)
        self._write(at, before)
        return found[0] & ~found[1]

    def written(self, size: int) -> Bytes:
        """The bits of each byte that a guest can make 1 and 0."""
        found: Bytes = {}
        for at in range(0, size, 4):
            bits = self.writable(at).to_bytes(4, "little")
            found |= {at + index: byte for index, byte in enumerate(bits) if byte}
        return found
