"""Device state without RAM: the guest stands for milliseconds, whatever its memory.

Source: QEMU migration/savevm.c (qmp_xen_save_devices_state), qapi/misc.json (add-fd). The command has
nothing to do with Xen but its name; QEMU stops the VM for it, and lets one that ran run on, by itself.
"""

from __future__ import annotations

import os
from contextlib import suppress

from msixtool.errors import InputError
from msixtool.formats import qevm
from msixtool.output.files import OutputFile
from msixtool.tasks.capture.monitor import Monitor, RefusedError
from msixtool.tasks.qmp_answers import member


async def write_devices(vm: Monitor, machine: str, version: str, out: OutputFile) -> None:
    """Write the device state of a VM to `out`, with the configuration section that QEMU leaves out.

    Raises InputError where QEMU refuses, or gives no stream; OutputError where `out` cannot be written.
    """
    descriptor = os.memfd_create("msixtool")
    try:
        await _save(vm, descriptor)
        size = os.fstat(descriptor).st_size
        header = os.pread(descriptor, qevm.HEADER_SIZE, 0)
        if header != qevm.HEADER.build({"version": qevm.VERSION}) or size <= len(header):
            raise InputError("QEMU saved no device state", found=f"{size} bytes")
        out.write(header)
        configured = {"machine": qevm.with_note(machine, version), "subsections": []}
        out.write(qevm.CONFIGURATION.build(configured))
        out.copy(descriptor, len(header), size - len(header))
    finally:
        os.close(descriptor)


async def _save(vm: Monitor, descriptor: int) -> None:
    """Have QEMU write into a file in memory, which it is handed: it opens none of its own."""
    # QEMU looks in the set for a descriptor with these very flags, and writes where its offset stands.
    handed = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
    try:
        answer = await vm.hand_over(handed, "add-fd", {})
    finally:
        os.close(handed)
    fd_set = member("add-fd", answer, "fdset-id", int)
    try:
        # Without `live: false` QEMU lets go of the disks of a VM that does not run.
        await vm.ask("xen-save-devices-state", {"filename": f"/dev/fdset/{fd_set}", "live": False})
    except RefusedError as error:
        if "denied" in str(error):
            error.found = f"{error.found} (a security module keeps QEMU from what it is handed?)"
        raise
    finally:
        with suppress(InputError):
            await vm.ask("remove-fd", {"fdset-id": fd_set})
