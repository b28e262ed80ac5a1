"""A QEMU that is started for one question, paused, and ended: the target of a comparison."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msixtool.errors import InputError

START_TIMEOUT = 30.0
"""Seconds within which a QEMU has to connect its monitor."""
END_TIMEOUT = 10.0
DYING = 0.5
"""Seconds within which a QEMU whose monitor has gone has ended, too."""


@dataclass
class FreshQemu:
    """A QEMU with its CPUs stopped. `monitor` is the connected QMP socket, no greeting read yet."""

    monitor: socket.socket
    process: subprocess.Popen[bytes]
    log: Path
    name: str

    def said(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text(errors="replace").strip()

    def ended(self) -> InputError | None:
        """That it has ended by itself, in its own words; None where it runs.

        The monitor is connected before devices are made, so a wrong command line shows as a monitor that
        goes away.
        """
        try:
            self.process.wait(DYING)
        except subprocess.TimeoutExpired:
            return None
        return _ended_at_once(self.process, self.log, self.name)


@contextmanager
def fresh_qemu(command: Sequence[str], *, incoming: bool = False) -> Iterator[FreshQemu]:
    """Start `command` (a QEMU and its arguments) paused with a private monitor; end it afterwards.

    With `incoming` it waits for a migration instead. Raises InputError, with QEMU's own words,
    where it cannot be started or ends at once.
    """
    folder = Path(tempfile.mkdtemp(prefix="msixtool-"))
    process = None
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "qmp"))
            server.listen(1)
            extra = ["-S", "-qmp", f"unix:{folder / 'qmp'}"] + ["-incoming", "defer"] * incoming
            process = _start([*command, *extra], folder / "log")
            monitor = _accept(server, process, folder / "log", command[0])
        with monitor:
            yield FreshQemu(monitor, process, folder / "log", command[0])
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    try:
        with log.open("wb") as out:
            # A session of its own: ctrl-C is for msixtool, which ends QEMU in order.
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
    except OSError as error:
        raise InputError("cannot be started", path=command[0], found=error.strerror) from None


def _accept(server: socket.socket, process: subprocess.Popen[bytes], log: Path, name: str) -> socket.socket:
    """The connection that QEMU makes to its monitor's socket."""
    server.settimeout(0.1)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            return server.accept()[0]
        except TimeoutError:
            if process.poll() is not None:
                raise _ended_at_once(process, log, name) from None
    raise InputError("QEMU does not start", path=name, expected=f"a monitor within {START_TIMEOUT:.0f} s")


def _ended_at_once(process: subprocess.Popen[bytes], log: Path, name: str) -> InputError:
    lines = log.read_text(errors="replace").splitlines()
    said = [line for line in lines if "warning:" not in line]
    found = said[0] if said else f"status {process.returncode}"
    return InputError("QEMU ended at once", path=name, found=found)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
