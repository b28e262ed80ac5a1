"""A real QEMU with its CPU stopped, whose guest is played from here over qtest and QMP.

`with Guest([...]) as guest:` starts one and ends it whatever happens. The guest's memory is zero
and its BIOS image blank but for a halt where the CPU begins, so that its streams are small and
depend on nothing but QEMU. DMA and MSI writes of devices reach memory although the CPU does
nothing: a message whose address points there is a word that appears.

Environment: MSIXTOOL_QEMU names the binary; without it, qemu-system-x86_64 of the PATH.
"""

from __future__ import annotations

import ctypes
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .pci import Function, Msix, Placement, scan
from .wire import GuestError, Qmp, Qtest, listen

__all__ = ["Guest", "GuestError", "LoadResult", "find_qemu"]

BIOS = bytes(0xFFF0) + b"\xf4\xeb\xfd" + bytes(13)
"""The least BIOS image that QEMU takes, 64 KiB: `hlt` and a jump back to it where the CPU starts."""

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


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


class Guest:
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
        timeout: float = 120.0,
    ) -> None:
        found = binary or find_qemu()
        if found is None:
            raise GuestError("no qemu-system-x86_64 is installed")
        self.binary = found
        self.arguments = list(arguments)
        self._timeout = timeout
        self._directory = Path(tempfile.mkdtemp(prefix="msixtool-"))
        self._command = self._command_line(memory, incoming)
        self._process: subprocess.Popen[bytes] | None = None
        self.qmp: Qmp
        self.qtest: Qtest

    def _command_line(self, memory: int, incoming: bool) -> list[str]:
        bios = self._directory / "bios"
        bios.write_bytes(BIOS)
        return [
            self.binary,
            *("-accel", "tcg", "-S", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-bios", str(bios), "-m", str(memory), "-qtest-log", "/dev/null"),
            *("-qtest", f"unix:{self._directory / 'qtest'}", "-qmp", f"unix:{self._directory / 'qmp'}"),
            *self.arguments,
            *(("-incoming", "defer") if incoming else ()),
        ]

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        with listen(self._directory / "qtest") as qtest, listen(self._directory / "qmp") as qmp:
            with (self._directory / "stderr").open("wb") as stderr:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    preexec_fn=die_with_parent,
                )
            try:
                self.qtest = Qtest(self._accept(qtest), timeout=self._timeout)
                self.qmp = Qmp(self._accept(qmp), timeout=self._timeout)
            except GuestError as error:
                raise GuestError(f"QEMU did not start: {self.stderr() or error}") from None

    def _accept(self, server: socket.socket) -> socket.socket:
        """The connection that QEMU makes, unless it ends or says nothing."""
        assert self._process is not None
        ended = os.pidfd_open(self._process.pid)
        try:
            ready, _, _ = select.select([server.fileno(), ended], [], [], self._timeout)
        finally:
            os.close(ended)
        if server.fileno() not in ready:
            raise GuestError("it ended or made no connection")
        return server.accept()[0]

    def close(self) -> None:
        """End QEMU and remove its files; may be called twice."""
        for wire in ("qtest", "qmp"):
            if hasattr(self, wire):
                getattr(self, wire).close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def stderr(self) -> str:
        """What QEMU wrote to its standard error so far."""
        return (self._directory / "stderr").read_text(errors="replace").strip()

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

    def save(self) -> bytes:
        """The stream of the stopped machine. Raises GuestError where QEMU refuses to migrate."""
        path = self._directory / "saved"
        self.qmp.execute("migrate", uri=f"exec:cat > {shlex.quote(str(path))}")
        status = self._migrated()
        if status != "completed":
            raise GuestError(f"migrate: {status}: {self.stderr()}")
        stream = path.read_bytes()
        path.unlink()
        return stream

    def load(self, stream: bytes) -> LoadResult:
        """Load a stream into a guest that was started with `incoming`."""
        path = self._directory / "incoming"
        path.write_bytes(stream)
        before = len(self.stderr())
        try:
            self.qmp.execute("migrate-incoming", uri=f"exec:cat {shlex.quote(str(path))}")
            status = self._migrated()
        except GuestError:
            # QEMU exits where a load fails: the wire is cut before it could be asked.
            assert self._process is not None
            self._process.wait(self._timeout)
            status = "failed"
        return LoadResult(status, self.stderr()[before:].strip())

    def _migrated(self) -> str:
        """The status of a migration that has ended."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            status = str(self.qmp.execute("query-migrate").get("status", "none"))
            if status in ("completed", "failed", "cancelled"):
                return status
            time.sleep(0.01)
        raise GuestError(f"migration took longer than {self._timeout:g} s")


def die_with_parent() -> None:
    """In the child: SIGKILL when the process that started it ends, so that no QEMU is left behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
