"""A living Linux guest: reads its disk, answers and sends pings, and tells of each read on its console.

`with Linux(qemu) as guest:` boots Debian's cloud kernel with an initial RAM disk made here out of its modules
and a static busybox. Nothing is installed: the kernel's package is only unpacked.

Environment: MSIXTOOL_KERNEL names the folder that the package linux-image-…-cloud-amd64 was unpacked in;
without it, ~/.cache/msixtool/kernel and / are looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .process import PATIENCE, QemuProcess
from .wire import GuestError

MODULES = ("virtio_pci", "virtio_blk", "virtio_net")

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {modules}; do insmod /lib/$module.ko; done
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
{extra}
(while :; do ping -i 0.05 -q -c 1000 10.0.2.2 > /dev/null 2>&1; sleep 0.2; done) &
number=0
for disk in {disks}; do
  (while :; do
    dd if=/dev/$disk of=/dev/null bs=64k count=16 skip=$((number % 64)) iflag=direct 2> /dev/null ||
      {{ echo 1 > /proc/sys/vm/drop_caches; dd if=/dev/$disk of=/dev/null bs=64k count=16 2> /dev/null; }}
    number=$((number + 1)); echo "READ $disk $number" > /dev/console; sleep {pause}
  done) &
done
while :; do sleep 1000; done
"""


def find_kernel() -> tuple[Path, Path] | None:
    """The kernel's image and the folder of its modules; None where there is none."""
    places = [Path.home() / ".cache" / "msixtool" / "kernel", Path("/")]
    if named := os.environ.get("MSIXTOOL_KERNEL"):
        places.insert(0, Path(named))
    for place in places:
        for image in sorted(place.glob("boot/vmlinuz-*-cloud-amd64"), reverse=True):
            modules = place / "lib" / "modules" / image.name.removeprefix("vmlinuz-")
            if (modules / "modules.order").exists() and os.access(image, os.R_OK):
                return image, modules
    return None


def find_busybox() -> str | None:
    """A busybox that needs no libraries."""
    return shutil.which("busybox")


def missing() -> str | None:
    """Why no Linux can be booted here; None where one can."""
    if find_kernel() is None:
        return "no kernel of linux-image-cloud-amd64 (unpack it, and set MSIXTOOL_KERNEL)"
    return None if find_busybox() else "no busybox-static is installed"


def in_order(modules: Path, names: Iterable[str]) -> list[Path]:
    """The files of the modules and of all that they need, each behind what it needs."""
    found: dict[Path, None] = {}

    def add(path: Path) -> None:
        if path in found:
            return
        data = path.read_bytes()
        needed = re.search(rb"\0depends=([^\0]*)\0", data)
        for name in needed[1].decode().split(",") if needed else []:
            add(by_name[name]) if name else None
        found[path] = None

    by_name = {path.name.removesuffix(".ko").replace("-", "_"): path for path in modules.rglob("*.ko")}
    for name in names:
        if name in by_name:
            add(by_name[name])
    return list(found)


def _entry(name: str, data: bytes, mode: int, number: int) -> bytes:
    """One member of a cpio archive of the format newc."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initrd(
    *,
    extra: str = "",
    disks: Sequence[str] = ("vda",),
    pause: float = 0.02,
    modules: Sequence[str] = MODULES,
) -> bytes:
    """An initial RAM disk whose init does what this module says. `extra` are more lines of it."""
    kernel, busybox = find_kernel(), find_busybox()
    assert kernel is not None
    assert busybox is not None
    files = in_order(kernel[1], modules)
    names = [path.name.removesuffix(".ko") for path in files]
    script = _INIT.format(modules=" ".join(names), extra=extra, disks=" ".join(disks), pause=pause)
    folders = [_entry(name, b"", 0o40755, n) for n, name in enumerate(("bin", "lib", "proc", "sys", "dev"))]
    members = [
        _entry("init", script.encode(), 0o100755, 10),
        _entry("bin/busybox", Path(busybox).read_bytes(), 0o100755, 11),
        *(_entry(f"lib/{path.name}", path.read_bytes(), 0o100644, 20 + n) for n, path in enumerate(files)),
    ]
    return b"".join([*folders, *members, _entry("TRAILER!!!", b"", 0, 0)])


class Linux(QemuProcess):
    """A QEMU whose guest is a Linux; `chroot` is the root that a QEMU of another release runs in.

    `devices` are QEMU's arguments besides machine, CPUs and memory; `incoming` is a stream to go on with
    instead of booting. Raises GuestError where QEMU does not start.
    """

    def __init__(
        self,
        binary: str,
        *,
        devices: Sequence[str] | None = None,
        machine: str = "q35",
        cpus: str = "2",
        append: str = "",
        init: bytes | None = None,
        chroot: str = "",
        incoming: bytes | None = None,
        memory: int = 96,
    ) -> None:
        super().__init__(chroot=chroot)
        self._stream = incoming
        self.console_path = self._folder / "console"
        kernel = find_kernel()
        assert kernel is not None
        boot: list[str] = []
        if incoming is None:
            shutil.copy(kernel[0], self._folder / "vmlinuz")
            (self._folder / "initrd").write_bytes(initrd() if init is None else init)
            boot = ["-kernel", self._inside("vmlinuz"), "-initrd", self._inside("initrd")]
            boot += ["-append", f"console=ttyS0 quiet panic=-1 tsc=unstable {append}"]
        self._command = [
            *(["chroot", chroot] if chroot else []),
            binary,
            *("-accel", "tcg", "-machine", machine, "-smp", cpus, "-m", str(memory), "-nodefaults"),
            *("-no-user-config", "-display", "none", "-serial", f"file:{self._inside('console')}"),
            *("-qmp", f"unix:{self._inside('qmp')}"),
            *(DEVICES if devices is None else devices),
            *boot,
            *(["-incoming", "defer", "-S"] if incoming is not None else []),
        ]

    def _start(self) -> None:
        super()._start()
        if self._stream is not None and (status := self._incoming(self._stream)) != "completed":
            raise GuestError(f"migration {status}: {self.stderr()}")

    def console(self) -> str:
        """What the guest has printed."""
        return self.console_path.read_text(errors="replace") if self.console_path.exists() else ""

    def reads(self, disk: str = "vda") -> int:
        """How many reads the guest has told of since this QEMU was started."""
        return self.console().count(f"READ {disk} ")

    def goes_on(self, more: int = 3, *, seconds: float = PATIENCE, disk: str = "vda") -> bool:
        """Whether the guest does `more` reads within `seconds`."""
        wanted, end = self.reads(disk) + more, time.monotonic() + seconds
        while time.monotonic() < end:
            if self.reads(disk) >= wanted:
                return True
            if self._process is not None and self._process.poll() is not None:
                raise GuestError(f"QEMU ended: {self.stderr()}")
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        self.qmp.execute("stop")

    def cont(self) -> None:
        self.qmp.execute("cont")

    def save(self) -> bytes:
        """The stream of the stopped guest, which can go on afterwards."""
        self.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 40)
        return super().save()

    def capture(self) -> bytes:
        """The stream of this moment; the guest goes on."""
        self.stop()
        data = self.save()
        self.cont()
        return data


def disk(options: str = "", *, name: str = "d0") -> list[str]:
    """A virtio-blk on a disk of zeros whose requests take a while, so that interrupts are on their way."""
    node = f"driver=null-co,node-name={name},size={16 << 20},read-zeroes=on,latency-ns=300000"
    return ["-blockdev", node, "-device", f"virtio-blk-pci,drive={name},num-queues=2{options}"]


def net(options: str = "") -> list[str]:
    """A virtio-net on QEMU's own user network."""
    return ["-netdev", "user,id=n0", "-device", f"virtio-net-pci,netdev=n0,romfile={options}"]


DEVICES = [*disk(), *net()]
