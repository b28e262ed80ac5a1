"""A QEMU that is started for one question, paused, and ended: the target of a comparison."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from msixtool.errors import InputError

START_TIMEOUT = 30.0
"""Seconds within which a QEMU has to connect its monitor."""
END_TIMEOUT = 10.0
LOG = 1 << 20
"""Bytes of what it writes to standard error that are read."""
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""What becomes QEMU: 1 is PR_SET_PDEATHSIG (prctl(2)), which outlives exec. Done between fork and exec it
would be Python in a copy of a process with threads."""

DYING = 0.5
"""Seconds within which a QEMU whose monitor has gone has ended, too."""


@dataclass
class FreshQemu:
    """A QEMU with its CPUs stopped. `monitor` is the connected QMP socket, no greeting read yet."""

    monitor: socket.socket
    process: subprocess.Popen[bytes]
    log: int
    name: str

    def said(self) -> str:
        """What it wrote to standard error so far."""
        return _text(self.log).strip()

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
    # Neither its monitor nor its log has a name: nothing is left, whatever kills msixtool.
    ours, theirs = socket.socketpair()
    log = os.memfd_create("msixtool")
    process = None
    try:
        with ours:
            with theirs:
                channel = f"socket,id=msixtool,fd={theirs.fileno()}"
                extra = ["-S", "-chardev", channel, "-qmp", "chardev:msixtool"]
                extra += ["-incoming", "defer"] * incoming
                process = _start([*command, *extra], log, theirs.fileno())
            _await_greeting(ours, process, log, command[0])
            yield FreshQemu(ours, process, log, command[0])
    finally:
        if process is not None:
            _end(process)
        os.close(log)


@contextmanager
def passing_file() -> Iterator[tuple[int, Path]]:
    """A file without a name, which is gone with this process, however that ends.

    Its descriptor, and a path that other processes of the same user can open meanwhile. Raises InputError
    where there is no place for it.
    """
    try:
        file = TemporaryFile(buffering=0)  # noqa: SIM115 (it is closed below)
    except OSError as error:
        raise InputError("no place for a temporary file", found=error.strerror) from None
    with file:
        yield file.fileno(), Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def dying_with_us(command: Sequence[str]) -> list[str]:
    """A command that runs `command` and dies with this process, however that ends.

    Raises InputError where there is no such program.
    """
    if shutil.which(command[0]) is None:
        reason = os.strerror(errno.EACCES if os.path.exists(command[0]) else errno.ENOENT)
        raise InputError("cannot be started", path=command[0], found=reason)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]


def ask_program(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """What a program that reads nothing says, whatever its status.

    Raises OSError where it cannot be started, subprocess.TimeoutExpired after `timeout` seconds.
    """
    # A session of its own, so that what a script has started ends with it.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as run:
        try:
            out, err = run.communicate(timeout=timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, run.returncode, out, err)


def _start(command: list[str], log: int, channel: int) -> subprocess.Popen[bytes]:
    """Start QEMU so that it dies with this process."""
    words = dying_with_us(command)
    try:
        # A session of its own: ctrl-C is for msixtool, which ends QEMU in order.
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(channel,),
            start_new_session=True,
        )
    except OSError as error:
        raise InputError("cannot be started", path=command[0], found=error.strerror) from None


def _await_greeting(monitor: socket.socket, process: subprocess.Popen[bytes], log: int, name: str) -> None:
    """Wait until QEMU speaks; what it says is left to be read."""
    ready, _, _ = select.select([monitor], [], [], START_TIMEOUT)
    if not ready:
        raise InputError("QEMU does not start", path=name, expected=f"a monitor within {START_TIMEOUT:.0f} s")
    if not monitor.recv(1, socket.MSG_PEEK):
        process.wait(END_TIMEOUT)
        raise _ended_at_once(process, log, name)


def _text(log: int) -> str:
    return os.pread(log, LOG, 0).decode(errors="replace")


def _ended_at_once(process: subprocess.Popen[bytes], log: int, name: str) -> InputError:
    lines = _text(log).splitlines()
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
