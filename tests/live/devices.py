"""The device kinds with MSI-X that a QEMU has, and the arguments that create each.

Which kinds have MSI-X since when: the devices' calls of msix_init and msix_init_exclusive_bar in
QEMU 5.2 to 11.1. Left out are those that need something outside QEMU (vhost, vfio) and those that
refuse to be saved.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

ANY = (0, 0)


@dataclass(frozen=True)
class DeviceKind:
    """One kind: `device` is QEMU's name of it, `kind` the last part of its section's idstr.

    `vectors` is the property that sets their number, where there is one. `since` is the version that
    gave it MSI-X, or made it migratable with it. In `needs`, arguments that must come before it, and in
    `options`, `{id}` stands for its id. `slot` is the only place for it on a full bus.
    """

    device: str
    kind: str
    vectors: str | None = None
    options: str = ""
    needs: tuple[str, ...] = ()
    since: tuple[int, int] = ANY
    slot: int | None = None

    def arguments(
        self,
        name: str = "dev0",
        *,
        bus: str | None = None,
        addr: int | None = None,
        vectors: int | None = None,
    ) -> list[str]:
        """QEMU's arguments for one such device, with the id `name`."""
        options = [
            self.device,
            f"id={name}",
            *(self.options.format(id=name).split(",") if self.options else ()),
        ]
        if bus is not None:
            options.append(f"bus={bus}")
        if addr is not None:
            options.append(f"addr={addr:#x}")
        if vectors is not None and self.vectors is not None:
            options.append(f"{self.vectors}={vectors}")
        return [*(need.format(id=name) for need in self.needs), "-device", ",".join(options)]


_DRIVE = ("-drive", "if=none,id=drive-{id},driver=null-co,size=1M")

KINDS = (
    DeviceKind("virtio-net-pci", "virtio-net", "vectors", "romfile="),
    DeviceKind("virtio-blk-pci", "virtio-blk", "vectors", "drive=drive-{id}", _DRIVE),
    DeviceKind("virtio-scsi-pci", "virtio-scsi", "vectors"),
    DeviceKind("virtio-serial-pci", "virtio-console", "vectors"),
    DeviceKind("virtio-rng-pci", "virtio-rng", "vectors", since=(7, 2)),
    DeviceKind("virtio-balloon-pci", "virtio-balloon", "vectors", since=(10, 0)),
    DeviceKind("virtio-gpu-pci", "virtio-gpu", "vectors"),
    DeviceKind("virtio-vga", "virtio-gpu", "vectors", "romfile="),
    DeviceKind("virtio-tablet-pci", "virtio-input", "vectors"),
    DeviceKind("virtio-keyboard-pci", "virtio-input", "vectors"),
    DeviceKind("virtio-mouse-pci", "virtio-input", "vectors"),
    DeviceKind("e1000e", "e1000e", options="romfile="),
    DeviceKind("igb", "igb", options="romfile=", since=(8, 0), slot=8),
    DeviceKind("vmxnet3", "vmxnet3", options="romfile="),
    DeviceKind("qemu-xhci", "xhci"),
    DeviceKind("nec-usb-xhci", "xhci"),
    DeviceKind("megasas", "megasas", options="romfile="),
    DeviceKind("megasas-gen2", "megasas-gen2", options="romfile="),
    DeviceKind("pcie-root-port", "pcie-root-port", options="chassis=77"),
    DeviceKind("nvme", "nvme", "msix_qsize", "serial={id},drive=drive-{id}", _DRIVE, since=(11, 0)),
)


@cache
def device_names(binary: str) -> frozenset[str]:
    """The names that `-device help` of this QEMU lists."""
    listing = subprocess.run(
        [binary, "-device", "help"], capture_output=True, text=True, timeout=120, check=True
    )
    return frozenset(line.split('"')[1] for line in listing.stdout.splitlines() if line.startswith('name "'))


@cache
def version(binary: str) -> tuple[int, int]:
    """Major and minor of `--version`."""
    major, minor = _version_line(binary).split("version ")[1].split()[0].split(".")[:2]
    return int(major), int(minor)


@cache
def package(binary: str) -> str:
    """The version of the distribution's package, as `--version` has it in brackets, or nothing."""
    _, _, rest = _version_line(binary).partition("(")
    return rest.rstrip(")").removeprefix("Debian ")


def _version_line(binary: str) -> str:
    run = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=120, check=True)
    return run.stdout.splitlines()[0]


def device_kinds(binary: str) -> list[DeviceKind]:
    """The kinds with MSI-X that this QEMU has and can save."""
    names = device_names(binary)
    return [kind for kind in KINDS if kind.device in names and version(binary) >= kind.since]


def machine(kinds: Sequence[DeviceKind], *, name: str = "q35") -> tuple[list[str], dict[str, DeviceKind]]:
    """The arguments for a machine with one device of each kind, and the kind at each device path.

    igb keeps slot 8: its virtual functions take the slots 16 and 17 further on.
    """
    slots = iter(sorted(set(range(2, 24)) - {kind.slot for kind in kinds}))
    arguments, at = ["-machine", name], {}
    for kind in kinds:
        slot = kind.slot or next(slots)
        arguments += kind.arguments(kind.device, addr=slot)
        at[f"0000:00:{slot:02x}.0"] = kind
    return arguments, at
