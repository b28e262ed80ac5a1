"""A real QEMU with its CPU stopped, whose guest is played from here over qtest and QMP.

`with Guest([...]) as guest:` starts one and ends it whatever happens. The guest's memory is zero
and its BIOS image blank but for a halt where the CPU begins, so that its streams are small and
depend on nothing but QEMU. DMA and MSI writes of devices reach memory although the CPU does
nothing: a message whose address points there is a word that appears.

Environment: MSIXTOOL_QEMU names the binary; without it, qemu-system-x86_64 of the PATH.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .pci import Function, Msix, Placement, scan
from .process import PATIENCE, QemuProcess
from .wire import GuestError

__all__ = ["Guest", "GuestError", "LoadResult", "find_qemu"]

BIOS = bytes(0xFFF0) + b"\xf4\xeb\xfd" + bytes(13)
"""The least BIOS image that QEMU takes, 64 KiB: `hlt` and a jump back to it where the CPU starts."""


def find_qemu() -> str | None:
    """The QEMU to try: $MSIXTOOL_QEMU where it is set, otherwise the one on the PATH, if any."""
    return shutil.which(os.environ.get("MSIXTOOL_QEMU") or "qemu-system-x86_64")


@dataclass(frozen=True)
class LoadResult:
    """How a load ended: `status` as query-migrate has it (`completed`, `failed`), and what QEMU wrote to
    its standard error meanwhile."""

    status: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.status == "completed"


class Guest(QemuProcess):
    """One QEMU process and the two wires to it.

    `arguments` are QEMU's (machine, devices, …), `memory` MiB of RAM where they have no -m of their
    own; `incoming` starts it waiting for `load`. No wait takes longer than `timeout` seconds.

    Raises GuestError where there is no QEMU, or it does not start; its own words are in the message.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        binary: str | None = None,
        memory: int = 8,
        incoming: bool = False,
        timeout: float = PATIENCE,
    ) -> None:
        found = binary or find_qemu()
        if found is None:
            raise GuestError("no qemu-system-x86_64 is installed")
        super().__init__(timeout=timeout)
        self.binary = found
        self.arguments = list(arguments)
        self._command = self._command_line(memory, incoming)

    WIRES = ("qtest", "qmp")

    def _command_line(self, memory: int, incoming: bool) -> list[str]:
        bios = self._folder / "bios"
        bios.write_bytes(BIOS)
        return [
            self.binary,
            *("-accel", "tcg", "-S", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-bios", str(bios), "-m", str(memory), "-qtest-log", "/dev/null"),
            *("-qtest", f"unix:{self._folder / 'qtest'}", "-qmp", f"unix:{self._folder / 'qmp'}"),
            *self.arguments,
            *(("-incoming", "defer") if incoming else ()),
        ]

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's version."""
        found = self.qmp.greeting["version"]["qemu"]
        return found["major"], found["minor"], found["micro"]

    def place(self) -> list[Function]:
        """Number the PCI buses, place every BAR, turn on memory, I/O and bus mastering; all functions."""
        return Placement(self.qtest).place()

    def functions(self) -> list[Function]:
        """All PCI functions as they stand, as after a load."""
        return scan(self.qtest)

    def msix(self) -> dict[str, Msix]:
        """The MSI-X registers of every function that has them and whose BARs are placed, by device path."""
        found = {function.path: function.msix() for function in self.functions()}
        return {path: msix for path, msix in found.items() if msix is not None}

    def tick(self) -> None:
        """Let the guest's clock run for a moment, while its CPU halts: devices' timers that are due fire."""
        self.qmp.execute("cont")
        time.sleep(0.001)
        self.turn()
        self.qmp.execute("stop")

    def turn(self) -> None:
        """Wait until QEMU's main loop has gone round: due timers and what stood ready on descriptors.

        A command is answered in one turn of the loop and the next one taken in a later one.
        """
        for _ in range(2):
            self.qmp.execute("query-status")

    def load(self, stream: bytes) -> LoadResult:
        """Load a stream into a guest that was started with `incoming`."""
        before = len(self.stderr())
        try:
            status = self._incoming(stream)
        except GuestError:
            # QEMU exits where a load fails: the wire is cut before it could be asked.
            assert self._process is not None
            self._process.wait(self._timeout)
            status = "failed"
        return LoadResult(status, self.stderr()[before:].strip())
