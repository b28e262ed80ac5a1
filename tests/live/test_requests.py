"""Requests in flight: a disk that fails under `rerror=stop` leaves what the firmware asked of it."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from msixtool import Dump

from .devices import device_names
from .guest import Guest
from .wire import GuestError

PATIENCE = 120.0
"""Seconds that the firmware has to read its disk, on a machine that is busy."""
_GOOD = "driver=null-co,read-zeroes=on,size=64M"
_BAD = (
    "driver=blkdebug,image.driver=null-co,image.size=64M,image.read-zeroes=on,inject-error.0.event=none"
    ",inject-error.0.iotype=read,inject-error.0.errno=5"
)


def machine(controller: str, drive: str) -> list[str]:
    """A PC that boots from a disk at this controller, of virtio-blk itself without one."""
    device, comma, more = controller.partition(",")
    disk = f"if=none,id=disk,{drive},rerror=stop,werror=stop"
    pc = ["-machine", "pc", "-m", "16", "-bios", "bios-256k.bin", "-drive", disk]
    if device == "virtio-blk-pci":
        return [*pc, "-device", f"{controller},drive=disk,bootindex=0"]
    kind = "usb-storage" if "usb" in device or "xhci" in device else "scsi-hd"
    return [
        *pc,
        "-device",
        f"{device},id=bus{comma}{more}",
        "-device",
        f"{kind},bus=bus.0,drive=disk,bootindex=0",
    ]


def saved(qemu: str, arguments: list[str]) -> bytes:
    """The stream of a VM with a request in flight. Once in a thousand times a VM that stopped has none."""
    for _ in range(3):
        stream = stopped(qemu, arguments)
        if waiting(stream):
            break
    return stream


def stopped(qemu: str, arguments: list[str]) -> bytes:
    """The stream of a VM whose firmware was stopped by its disk's error."""
    with Guest(arguments, binary=qemu, timeout=PATIENCE) as guest:
        guest.qmp.execute("cont")
        deadline = time.monotonic() + PATIENCE
        while guest.qmp.execute("query-status")["status"] != "io-error":
            assert time.monotonic() < deadline, "the firmware has not read its disk"
            time.sleep(0.05)
        return guest.save()


def waiting(stream: bytes) -> list[dict[str, Any]]:
    """The requests that `fields` names, over all sections."""

    def found(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            return [each for one in value for each in found(one)]
        if not isinstance(value, dict):
            return []
        own = [value] if value.get("more") and ("cdb" in value or "element" in value) else []
        return own + [each for one in value.values() for each in found(one)]

    with Dump.open(io.BytesIO(stream)) as dump:
        return found([section["fields"] for section in dump.fields().document()["sections"]])


ONE, TWO = "virtio-blk-pci,num-queues=1,vectors=3", "virtio-blk-pci,num-queues=2,vectors=3"
SCSI = "virtio-scsi-pci,num_queues=2,vectors=5"


@pytest.mark.parametrize(
    ("source", "target", "loads"),
    [
        (ONE, ONE, True),
        (ONE, TWO, False),
        (TWO, ONE, False),
        (TWO, TWO, True),
        (SCSI, SCSI, True),
        (SCSI, "virtio-scsi-pci,num_queues=1,vectors=5", None),  # by the firmware's use of the second queue
        ("mptsas1068", "mptsas1068", True),
        ("qemu-xhci", "qemu-xhci", True),
        ("megasas", "megasas", False),
        ("virtio-blk-pci,packed=on", "virtio-blk-pci,packed=on", False),
        ("virtio-scsi-pci,packed=on", "virtio-scsi-pci,packed=on", False),
    ],
)
def test_what_a_disk_had_in_flight_is_named_and_loads_where_compat_says_so(
    qemu: str, source: str, target: str, loads: bool | None
) -> None:
    if not {each.partition(",")[0] for each in (source, target)} <= device_names(qemu):
        pytest.skip("this QEMU has not all of the devices")
    stream = saved(qemu, machine(source, _BAD))
    assert waiting(stream)
    with Guest(machine(target, _GOOD), binary=qemu, timeout=PATIENCE) as guest:
        fresh = guest.save()
    with Guest(machine(target, _GOOD), binary=qemu, timeout=PATIENCE, incoming=True) as guest:
        try:
            result = guest.load(stream).ok
        except GuestError:
            result = False
    assert loads in (None, result)
    with Dump.open(io.BytesIO(stream)) as one, Dump.open(io.BytesIO(fresh)) as other:
        compared = one.compat(other)
    assert compared.compatible is result, compared.findings
