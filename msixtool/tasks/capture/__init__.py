"""Taking a stream from a running VM, and leaving the VM as it was.

Source: QEMU docs/interop/qmp-spec, qapi/migration.json. The VM is asked through its monitor
(`monitor`); what a capture changes is noted and set back (`state`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from msixtool.errors import UsageError
from msixtool.output.files import OutputFile
from msixtool.tasks.capture.address import Address, connected
from msixtool.tasks.capture.devices import write_devices
from msixtool.tasks.capture.in_order import in_order
from msixtool.tasks.capture.state import look, put_back
from msixtool.tasks.capture.virsh import Domain, address_of
from msixtool.tasks.capture.whole import Progress, write_whole
from msixtool.tasks.qmp_answers import member, shaped

__all__ = ["Address", "Captured", "Domain", "Progress", "address_of", "capture"]


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured: QEMU's version, the machine type, seconds, and whether the VM ran before.

    `paused_ms` is for how long the guest stood, in milliseconds by QEMU's own clock: 0 for one that did not
    run, None where QEMU did not say. `notes` are what a person should know of how the VM was found.
    """

    qemu: str
    machine: str
    seconds: float
    was_running: bool
    paused_ms: float | None = None
    devices_only: bool = False
    notes: tuple[str, ...] = ()


def capture(
    address: Address,
    out: OutputFile,
    *,
    devices: bool = False,
    mapped_ram: bool = False,
    progress: Progress | None = None,
) -> Captured:
    """Write the stream of a VM to `out`.

    `address` is the path of its QMP socket (UNIX: files are handed over it), a connected one, or a libvirt
    domain. The VM is
    stopped for it if it runs, and runs on afterwards; capabilities and parameters of migration
    are set back. With `devices` it is device state alone, without RAM, and the VM stands for
    milliseconds. That holds whatever fails, and when a signal (INT, TERM, HUP) ends the capture,
    which raises KeyboardInterrupt(number) then.

    Raises InputError where there is no VM, or its QEMU refuses or fails; OutputError where `out`
    cannot be written; UsageError where the library qemu.qmp is not installed.
    """
    try:
        if not isinstance(address, Domain):
            import qemu.qmp  # noqa: F401
    except ImportError:
        raise UsageError("capture needs the library qemu.qmp: pip install 'msixtool[capture]'") from None
    return asyncio.run(in_order(_capture(address, out, devices, mapped_ram, progress)))


async def _capture(
    address: Address,
    out: OutputFile,
    devices: bool,
    mapped_ram: bool,
    progress: Progress | None,
) -> Captured:
    began = time.monotonic()
    async with connected(address) as vm:
        version = member("query-version", await vm.ask("query-version"), "qemu", dict)
        numbers = (str(member("query-version", version, part, int)) for part in ("major", "minor", "micro"))
        release = ".".join(numbers)
        asked = await vm.ask("qom-get", {"path": "/machine", "property": "type"})
        machine = shaped("qom-get", asked, str).removesuffix("-machine")
        before = await look(vm)
        try:
            if devices:
                await write_devices(vm, machine, release, out)
            else:
                await write_whole(vm, before, out, mapped_ram, progress)
        finally:
            await put_back(vm, address, before)
        await vm.settle()
    return Captured(
        release,
        machine,
        time.monotonic() - began,
        before.running,
        vm.pauses.milliseconds if before.running else 0.0,
        devices,
        tuple(before.notes),
    )
