"""The monitor of a libvirt domain, which libvirt holds: every command goes through `virsh`.

Source: libvirt tools/virsh-domain.c (qemu-monitor-command, qemu-monitor-event). virsh is there wherever
libvirt is; libvirt-python is not, and has to be built for the very libvirt. Descriptors are handed over
with --pass-fds (libvirt 8.2 and later), so that QEMU opens no file, whatever user it has.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from msixtool.errors import InputError, UsageError
from msixtool.tasks.capture import monitor
from msixtool.tasks.capture.monitor import Monitor, QmpCommand, RefusedError
from msixtool.tasks.qmp_answers import optional, shaped, short_answer

PROXMOX = "/var/run/qemu-server"
"""Where Proxmox has the monitors of its VMs, as plain sockets: ID.qmp."""

_USUAL = ("qemu:///system", "qemu:///session")
"""The libvirt of a machine, and that of a user."""
_NOT_THERE = "failed to get domain"
"""What virsh says of a domain that this libvirt does not have."""
_EVENT = re.compile(r"event (STOP|RESUME) at (\d{1,12})\.(\d{1,9}) ")


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of libvirt by name, ID or UUID; `connect` is the URI, None for the usual ones in turn."""

    name: str
    connect: str | None = None

    def __str__(self) -> str:
        return f"domain {self.name}"


def managed_address(name: str, connect: str | None = None) -> str | Domain:
    """A VM by the name that its manager has for it: Proxmox's socket where there is one, else a domain."""
    socket = f"{PROXMOX}/{name}.qmp"
    if connect is None and name.isdecimal() and os.path.exists(socket):
        return socket
    if not name or "\0" in name or "\0" in (connect or ""):
        raise UsageError("the domain's name", expected="one that libvirt knows", found=ascii(name))
    return Domain(name, connect)


class VirshMonitor(Monitor):
    """A domain's monitor. Made by `through_virsh`."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(str(domain))
        self._domain = domain

    async def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Run one command. Raises InputError with QEMU's or libvirt's own words."""
        return await self._one(command, arguments or {}, ())

    async def ask_all(self, commands: Sequence[QmpCommand]) -> list[Any]:
        """Run commands one after another, all of them by one virsh: to start one takes longer than they."""
        return await self._run(commands, ())

    async def hand_over(self, descriptor: int, command: str, arguments: Mapping[str, Any]) -> Any:
        """Run a command that takes a descriptor. Raises InputError as `ask`."""
        return await self._one(command, arguments, (descriptor,))

    async def _one(self, command: str, arguments: Mapping[str, Any], handed: Sequence[int]) -> Any:
        (answer,) = await self._run([(command, arguments)], handed)
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    async def _run(self, commands: Sequence[QmpCommand], handed: Sequence[int]) -> list[Any]:
        passed = [f"--pass-fds={','.join(map(str, handed))}"] if handed else []
        to = ["qemu-monitor-command", f"--domain={self._domain.name}", *passed]
        # One word is a list of commands, which virsh takes apart much as a shell does.
        script = "; ".join(shlex.join([*to, _message(*each)]) for each in commands)
        first = commands[0][0]
        virsh = await _started(self._domain, [script], handed)
        try:
            async with asyncio.timeout(monitor.TIMEOUT):
                out, err = await virsh.communicate()
        except TimeoutError:
            raise InputError(
                f"libvirt does not answer {first} within {monitor.TIMEOUT:g} seconds", path=self.name
            ) from None
        finally:
            await _ended(virsh)
        if virsh.returncode:
            raise InputError("libvirt refuses", path=self.name, found=said_by_virsh(err))
        lines = [line for line in out.splitlines() if line] or [b""]
        if len(lines) < len(commands):
            raise InputError(
                "virsh does not answer all that was asked",
                expected=f"{len(commands)} lines",
                found=len(lines),
            )
        return [self._answer(name, line) for (name, _), line in zip(commands, lines, strict=False)]

    def _answer(self, command: str, line: bytes) -> Any:
        """What QEMU returned, or the error that it answered with."""
        try:
            answer = shaped(command, json.loads(line), dict)
        except (ValueError, RecursionError):
            raise InputError(
                f"virsh answers {command} with no JSON",
                path=self.name,
                found=said_by_virsh(line),
            ) from None
        error = optional(command, answer, "error", dict)
        if error is None:
            return answer.get("return")
        return RefusedError(f"QEMU refuses {command}", found=short_answer(str(error.get("desc"))))


def _message(command: str, arguments: Mapping[str, Any]) -> str:
    """A command as QMP has it."""
    message: dict[str, Any] = {"execute": command}
    if arguments:
        message["arguments"] = dict(arguments)
    return json.dumps(message)


async def _started(
    domain: Domain, words: Sequence[str], handed: Sequence[int] = ()
) -> asyncio.subprocess.Process:
    connect = [] if domain.connect is None else [f"--connect={domain.connect}"]
    try:
        # A session of its own: what ctrl-C ends in order must not lose its way to the VM.
        return await asyncio.create_subprocess_exec(
            *("virsh", "--quiet", *connect, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=handed,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise InputError(
            "virsh cannot be started", expected="libvirt's clients installed", found=error.strerror
        ) from None


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a virsh that has not ended, and its pipes with it."""
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


def said_by_virsh(said: bytes | str) -> str:
    """In one line, what virsh wrote to standard error."""
    text = said if isinstance(said, str) else said.decode(errors="replace")
    lines = (line.removeprefix("error: ").strip() for line in text.splitlines())
    return short_answer("; ".join(line for line in lines if line)) or "nothing"


async def _found(domain: Domain) -> Domain:
    """The domain where it is: without a URI with virsh's own, then the system's libvirt and the user's.

    Raises InputError as virsh's own says it, where it is nowhere.
    """
    if domain.connect is not None:
        await VirshMonitor(domain).ask("query-status")
        return domain
    first: InputError | None = None
    for connect in (None, *_USUAL):
        there = replace(domain, connect=connect)
        try:
            await VirshMonitor(there).ask("query-status")
        except InputError as error:
            if _NOT_THERE not in str(error):
                raise first or error from None
            first = first or error
        else:
            return there
    assert first is not None
    raise first


@asynccontextmanager
async def through_virsh(domain: Domain) -> AsyncIterator[Monitor]:
    """The monitor of a domain. Raises InputError where libvirt is not there, or the domain not, or off."""
    domain = await _found(domain)
    vm = VirshMonitor(domain)
    words = ["qemu-monitor-event", f"--domain={domain.name}", "--loop", "--regex", "--event=^(STOP|RESUME)$"]
    events = await _started(domain, words)

    async def hear() -> None:
        # virsh keeps what it prints into a pipe, and gives it when it ends.
        with suppress(ProcessLookupError):
            events.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            async with asyncio.timeout(monitor.TIMEOUT):
                out, _ = await events.communicate()
            for name, seconds, micro in _EVENT.findall(out.decode(errors="replace")):
                vm.pauses.moved(name == "RESUME", int(seconds), int(micro))

    vm.settle = hear
    try:
        yield vm
    finally:
        await _ended(events)
