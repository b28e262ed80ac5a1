"""A QEMU as a process with a folder of its own, and its monitor: what every guest of these tests is."""

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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from .wire import GuestError, Qmp, Qtest, listen

PATIENCE = 120.0
"""Seconds that QEMU has to start, to migrate, or for what its guest does, on a machine that is busy."""

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class QemuProcess:
    """One QEMU and the wires to it, started by `with` and ended whatever happens.

    `chroot` is the root that a QEMU of another release runs in. No wait takes longer than `timeout` seconds.
    Raises GuestError where QEMU does not start; its own words are in the message.
    """

    WIRES: ClassVar[tuple[str, ...]] = ("qmp",)
    qmp: Qmp
    qtest: Qtest

    def __init__(self, *, chroot: str = "", timeout: float = PATIENCE) -> None:
        self._timeout = timeout
        self._folder = Path(tempfile.mkdtemp(prefix="msixtool-", dir=f"{chroot}/tmp" if chroot else None))
        self._root = chroot
        self._command: Sequence[str] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def _inside(self, name: str) -> str:
        """The path of a file of the folder as QEMU has it."""
        return str(self._folder / name).removeprefix(self._root)

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
        with ExitStack() as stack:
            servers = {name: stack.enter_context(listen(self._folder / name)) for name in self.WIRES}
            self._run()
            self._connect(lambda name: self._accept(servers[name]))

    def _run(self, *descriptors: int) -> None:
        """Start the command, which is handed these descriptors."""
        with (self._folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=descriptors,
                preexec_fn=die_with_parent,
            )

    def _connect(self, connection: Callable[[str], socket.socket]) -> None:
        """Greet QEMU at each wire; `connection` gives that of a name."""
        try:
            if "qtest" in self.WIRES:
                self.qtest = Qtest(connection("qtest"), timeout=self._timeout)
            self.qmp = Qmp(connection("qmp"), timeout=self._timeout)
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
        for wire in self.WIRES:
            if hasattr(self, wire):
                getattr(self, wire).close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stderr(self) -> str:
        """What QEMU wrote to its standard error so far."""
        return (self._folder / "stderr").read_text(errors="replace").strip()

    def save(self) -> bytes:
        """The stream of the stopped machine. Raises GuestError where QEMU refuses to migrate."""
        self.qmp.execute("migrate", uri=f"exec:cat > {shlex.quote(self._inside('saved'))}")
        status = self._migrated()
        if status != "completed":
            raise GuestError(f"migrate: {status}: {self.stderr()}")
        path = self._folder / "saved"
        stream = path.read_bytes()
        path.unlink()
        return stream

    def _migrated(self, *, pause: float = 0.01) -> str:
        """The status of a migration that has ended."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            status = str(self.qmp.execute("query-migrate").get("status", "none"))
            if status in ("completed", "failed", "cancelled"):
                return status
            time.sleep(pause)
        raise GuestError(f"migration took longer than {self._timeout:g} s")

    def _incoming(self, stream: bytes) -> str:
        """Load a stream; the status of its migration. QEMU was started to wait for it."""
        path = self._folder / "incoming"
        path.write_bytes(stream)
        self.qmp.execute("migrate-incoming", uri=f"exec:cat {shlex.quote(self._inside('incoming'))}")
        status = self._migrated()
        path.unlink()
        return status


def die_with_parent() -> None:
    """In the child: SIGKILL when the process that started it ends, so that no QEMU is left behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
