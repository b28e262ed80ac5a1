"""Device state without RAM: the guest stands for milliseconds, whatever its memory.

Source: QEMU migration/savevm.c (qmp_xen_save_devices_state), qapi/misc.json. The command has
nothing to do with Xen but its name; QEMU stops the VM for it, and lets one that ran run on, by itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msixtool.errors import InputError
from msixtool.formats import qevm
from msixtool.output.files import OutputFile
from msixtool.ram.looked_at import MemoryPiece, Span
from msixtool.tasks.capture import guest_memory
from msixtool.tasks.capture.monitor import Monitor, QmpCommand, RefusedError
from msixtool.tasks.capture.written_file import for_qemu


async def write_devices(vm: Monitor, machine: str, version: str, out: OutputFile) -> None:
    """Write the device state of a VM to `out`, with the configuration section that QEMU leaves out.

    Raises InputError where QEMU refuses, or gives no stream; OutputError where `out` cannot be written.
    """
    async with for_qemu(vm, _save) as written:
        _finish(written, machine, version, out)


async def write_look(
    vm: Monitor, machine: str, version: str, out: OutputFile, spans: Sequence[Span], *, runs: bool
) -> list[MemoryPiece]:
    """The same, and what `spans` of guest memory hold at that moment. A VM that `runs` stands for it.

    All of it is asked for at once, so that the VM does not stand while answers are read.
    """
    around: tuple[list[QmpCommand], list[QmpCommand]] = ([("stop", {})], [("cont", {})]) if runs else ([], [])
    reads = [guest_memory.reading(span) for span in spans]
    read: list[MemoryPiece] = []

    async def save(monitor: Monitor, filename: str) -> None:
        answers = await monitor.ask_all([*around[0], _saving(filename), *reads, *around[1]])
        dumps = answers[len(around[0]) + 1 :][: len(reads)]
        for answer in (answers[0], answers[len(around[0])], answers[-1]):
            if isinstance(answer, RefusedError) and answer not in dumps:
                raise answer
        read[:] = guest_memory.pieces(spans, dumps)

    async with for_qemu(vm, save) as written:
        _finish(written, machine, version, out)
    return read


def _saving(filename: str) -> QmpCommand:
    # Without `live: false` QEMU lets go of the disks of a VM that does not run.
    return "xen-save-devices-state", {"filename": filename, "live": False}


async def _save(vm: Monitor, filename: str) -> None:
    await vm.ask(*_saving(filename))


def _finish(written: int, machine: str, version: str, out: OutputFile) -> None:
    size = os.fstat(written).st_size
    header = os.pread(written, qevm.HEADER_SIZE, 0)
    if header != qevm.HEADER.build({"version": qevm.VERSION}) or size <= len(header):
        raise InputError("QEMU saved no device state", found=f"{size} bytes")
    out.write(header)
    configured = {"machine": qevm.with_note(machine, version), "subsections": []}
    out.write(qevm.CONFIGURATION.build(configured))
    out.copy(written, len(header), size - len(header))
