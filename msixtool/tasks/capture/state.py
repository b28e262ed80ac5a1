"""How a VM stands before a capture, what a capture changes in it, and its way back.

Source: QEMU qapi/migration.json (MigrationStatus, MigrationCapability, max-bandwidth), qapi/run-state.json.

Nothing outlives a capture that is killed but the VM. So the bandwidth that holds during a capture says
what stood there before (`marked`), and the next capture reads it and puts that back.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from msixtool.errors import InputError
from msixtool.tasks.capture import monitor
from msixtool.tasks.capture.address import Address, connected
from msixtool.tasks.capture.monitor import Monitor, is_gone
from msixtool.tasks.qmp_answers import member, optional, shaped

POLL = 0.05
"""Seconds between two looks at the migration."""
AT_WORK = 1.0
"""Seconds within which a capture that has set its bandwidth migrates, or has set it back."""
BANDWIDTH = 1 << 40
"""Bytes a second, and more: no limit, for as long as the capture takes."""

OVER = frozenset(("none", "completed", "failed", "cancelled"))
"""Where no migration is under way; any other state is one, known or not."""

IN_THE_WAY = (
    "multifd",
    "return-path",
    "postcopy-ram",
    "x-colo",
    "background-snapshot",
    "zero-copy-send",
    "switchover-ack",
    "mapped-ram",
)
"""Capabilities that a capture turns off for its duration: they need an answering target, or other files.

Their order is that of their bits in the bandwidth of a capture: new ones come last, and none goes."""
_RAN = BANDWIDTH << 1
_WAS_ON = BANDWIDTH << 2
_MAPPED_WAS_OFF = BANDWIDTH << 18
_MARKED_END = BANDWIDTH << 19


@dataclass(slots=True)
class Before:
    """What a capture changes in the VM, as it was; `started` is whether a migration may be its own."""

    running: bool
    capabilities: list[dict[str, Any]] = field(default_factory=list)
    bandwidth: int | None = None
    started: bool = False
    notes: list[str] = field(default_factory=list)


async def look(vm: Monitor) -> Before:
    """How the VM stands. Raises InputError where a capture would disturb what is under way."""
    answer = await vm.ask("query-status")
    status = member("query-status", answer, "status", str)
    under_way = await migration_status(vm)
    if under_way not in OVER:
        raise InputError("a migration is under way already", found=under_way)
    if status in ("inmigrate", "finish-migrate"):
        raise InputError("the VM is not ready", expected="one that runs or is paused", found=status)
    return Before(member("query-status", answer, "running", bool))


async def migration_status(vm: Monitor) -> str:
    """What `query-migrate` says; "none" where there was no migration yet."""
    answer = await vm.ask("query-migrate")
    return optional("query-migrate", answer, "status", str) or "none"


async def prepare(vm: Monitor, before: Before, mapped_ram: bool) -> None:
    """Stop the VM and set capabilities and bandwidth; `before` notes first what each step changes."""
    known = await _capabilities(vm)
    if mapped_ram and "mapped-ram" not in known:
        raise InputError("this QEMU has no mapped-ram", expected="QEMU 9.0 or later")
    bandwidth = await _bandwidth(vm)
    if bandwidth is not None and BANDWIDTH <= bandwidth < _MARKED_END:
        bandwidth = await _after_a_killed_one(vm, before, bandwidth, known)
    wanted = {name: name == "mapped-ram" and mapped_ram for name in IN_THE_WAY}
    changes = {name: state for name, state in wanted.items() if known.get(name, state) != state}
    if bandwidth is not None and bandwidth < BANDWIDTH:
        temporary = marked(bandwidth, before.running, changes)
        before.bandwidth = bandwidth
        await vm.ask("migrate-set-parameters", {"max-bandwidth": temporary})
    before.capabilities = [{"capability": name, "state": known[name]} for name in changes]
    if before.running:
        await vm.ask("stop")
    if changes:
        states = [{"capability": name, "state": state} for name, state in changes.items()]
        await vm.ask("migrate-set-capabilities", {"capabilities": states})


async def _capabilities(vm: Monitor) -> dict[str, bool]:
    asked = "query-migrate-capabilities"
    return {
        member(asked, each, "capability", str): member(asked, each, "state", bool)
        for each in shaped(asked, await vm.ask(asked), list)
    }


async def _bandwidth(vm: Monitor) -> int | None:
    asked = "query-migrate-parameters"
    return optional(asked, await vm.ask(asked), "max-bandwidth", int)


def marked(bandwidth: int, ran: bool, changes: dict[str, bool]) -> int:
    """The bandwidth for the length of a capture; its bits say what was before.

    `bandwidth` is below BANDWIDTH; `changes` are the capabilities that change, and to what.
    """
    bits = BANDWIDTH | bandwidth | (_RAN if ran else 0)
    for place, name in enumerate(IN_THE_WAY):
        if changes.get(name) is False:
            bits |= _WAS_ON << place
    return bits | (_MAPPED_WAS_OFF if changes.get("mapped-ram") else 0)


def unmarked(bandwidth: int) -> tuple[int, bool, dict[str, bool]]:
    """What `marked` was given, but for each capability what it was."""
    was = {name: True for place, name in enumerate(IN_THE_WAY) if bandwidth & _WAS_ON << place}
    if bandwidth & _MAPPED_WAS_OFF:
        was["mapped-ram"] = False
    return bandwidth & (BANDWIDTH - 1), bool(bandwidth & _RAN), was


async def _after_a_killed_one(vm: Monitor, before: Before, bandwidth: int, known: dict[str, bool]) -> int:
    """Put back what a capture that was killed has left, as far as can be; the bandwidth from then on.

    Raises InputError where that capture is still at work.
    """
    deadline = time.monotonic() + AT_WORK
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL)
        if (status := await migration_status(vm)) not in OVER:
            raise InputError("another capture of this VM is at work", found=f"migration {status}")
        if await _bandwidth(vm) != bandwidth:
            raise InputError("another capture of this VM was at work", expected="one at a time: try again")
    was_bandwidth, ran, capabilities = unmarked(bandwidth)
    if not was_bandwidth:
        before.notes.append(
            f"max-bandwidth is {bandwidth}, as a capture leaves it that is killed: what it was before, "
            "and whether capabilities of migration were on and the VM ran, cannot be known"
        )
        return bandwidth
    states = [{"capability": n, "state": s} for n, s in capabilities.items() if known.get(n, s) != s]
    if states:
        await vm.ask("migrate-set-capabilities", {"capabilities": states})
        known.update(capabilities)
    await vm.ask("migrate-set-parameters", {"max-bandwidth": was_bandwidth})
    note = f"a capture of this VM was killed; set back: max-bandwidth {was_bandwidth}"
    note += "".join(f", {name} {'on' if state else 'off'}" for name, state in capabilities.items())
    if ran and not before.running:
        note += "; the VM ran before it and is stopped since: cont lets it run on"
    before.notes.append(note)
    return was_bandwidth


async def put_back(vm: Monitor, address: Address, before: Before) -> None:
    """Leave the VM as it was; over a new connection where the first is lost.

    Raises InputError where QEMU has ended, or the VM may be left otherwise.
    """
    try:
        await _restore(vm, before)
    except InputError as error:
        if isinstance(address, socket.socket):
            raise
        if isinstance(address, str) and is_gone(address):
            raise InputError("QEMU has ended: nothing is captured", path=address, found=error.what) from None
        with suppress(InputError):
            async with connected(address) as again:
                await _restore(again, before)
                return
        state = "stopped" if before.running else "with its migration settings changed"
        raise InputError(f"the VM may be left {state}", found=error.explanation) from None


async def _restore(vm: Monitor, before: Before) -> None:
    if before.started and await migration_status(vm) not in OVER:
        await _cancel(vm)
    if before.running and not member("query-status", await vm.ask("query-status"), "running", bool):
        await vm.ask("cont")
    if before.capabilities:
        await vm.ask("migrate-set-capabilities", {"capabilities": before.capabilities})
    if before.bandwidth is not None:
        await vm.ask("migrate-set-parameters", {"max-bandwidth": before.bandwidth})


async def _cancel(vm: Monitor) -> None:
    """End a migration that is under way, and wait until it has ended."""
    with suppress(InputError):
        await vm.ask("migrate_cancel")
        deadline = time.monotonic() + monitor.TIMEOUT
        while time.monotonic() < deadline:
            if await migration_status(vm) in OVER:
                return
            await asyncio.sleep(POLL)
