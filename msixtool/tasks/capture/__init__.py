"""Taking a stream from a running VM, and leaving the VM as it was.

Source: QEMU docs/interop/qmp-spec, qapi/migration.json. The VM is asked through its monitor
(`monitor`); what a capture changes is noted and set back (`state`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from msixtool.containers.base import Progress
from msixtool.errors import InputError
from msixtool.output.files import OutputFile
from msixtool.tasks.capture.address import Address
from msixtool.tasks.capture.devices import write_devices
from msixtool.tasks.capture.moment import Moment, VmStream, moments
from msixtool.tasks.capture.virsh import Domain, managed_address
from msixtool.tasks.capture.visit import Captured, run_visit, visit
from msixtool.tasks.capture.whole import write_whole
from msixtool.tasks.fresh import fresh_qemu

__all__ = [
    "Address",
    "CaptureOptions",
    "Captured",
    "Domain",
    "Moment",
    "Progress",
    "VmStream",
    "capture",
    "capture_fresh",
    "managed_address",
    "moments",
]


class CaptureOptions(TypedDict, total=False):
    """What is captured: with `devices` device state alone, without RAM, while the VM stands for milliseconds;
    with `mapped_ram` RAM stands at fixed offsets. `progress` is called with bytes done and bytes in all."""

    devices: bool
    mapped_ram: bool
    progress: Progress | None


def capture(address: Address, out: OutputFile, **how: Unpack[CaptureOptions]) -> Captured:
    """Write the stream of a VM to `out`.

    `address` is the path of its QMP socket (UNIX: files are handed over it), a connected one, or a libvirt
    domain. The VM is stopped for it if it runs, and runs on afterwards; capabilities and parameters of
    migration are set back. That holds whatever fails, and when a signal (INT, TERM, HUP) ends the capture,
    which raises KeyboardInterrupt(number) then.

    Raises InputError where there is no VM, or its QEMU refuses or fails; OutputError where `out`
    cannot be written; UsageError where the library qemu.qmp is not installed.
    """
    return run_visit(address, _capture(address, out, **how))


def capture_fresh(command: Sequence[str], out: OutputFile, **how: Unpack[CaptureOptions]) -> Captured:
    """Write the stream of a QEMU that `command` starts, paused, and that is ended then.

    Raises as `capture`, and InputError with QEMU's own words where it does not start, or ends.
    """
    with fresh_qemu(command) as target:
        try:
            return capture(target.monitor, out, **how)
        except InputError as error:
            raise target.ended() or error from None


async def _capture(
    address: Address,
    out: OutputFile,
    devices: bool = False,
    mapped_ram: bool = False,
    progress: Progress | None = None,
) -> Captured:
    async with visit(address) as seen:
        if devices:
            await write_devices(seen.vm, seen.machine, seen.release, out)
        else:
            await write_whole(seen.vm, seen.before, out, mapped_ram, progress)
    return seen.captured(devices=devices)
