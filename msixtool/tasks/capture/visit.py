"""A VM while it is captured: what it is, how it was before, and that it is left so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from msixtool.errors import UsageError
from msixtool.tasks.capture.address import Address, connected, vm_name
from msixtool.tasks.capture.ending import ended_in_order
from msixtool.tasks.capture.monitor import Monitor
from msixtool.tasks.capture.state import Before, look, put_back
from msixtool.tasks.capture.virsh import Domain
from msixtool.tasks.qmp_answers import member, shaped

_Result = TypeVar("_Result")


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
    name: str = ""
    """What the VM is called: its socket or domain."""


@dataclass(slots=True)
class Visit:
    """A VM while it is captured, and what is to be told of that."""

    address: Address
    vm: Monitor
    release: str
    machine: str
    before: Before
    began: float

    def captured(self, *, devices: bool) -> Captured:
        """What there is to tell, after the visit."""
        return Captured(
            self.release,
            self.machine,
            time.monotonic() - self.began,
            self.before.running,
            self.vm.pauses.milliseconds if self.before.running else 0.0,
            devices,
            tuple(self.before.notes),
            vm_name(self.address),
        )


@asynccontextmanager
async def visit(address: Address) -> AsyncIterator[Visit]:
    """A VM to be captured within the block; it is left as it was. Raises InputError where there is none."""
    began = time.monotonic()
    async with connected(address) as vm:
        version = member("query-version", await vm.ask("query-version"), "qemu", dict)
        numbers = (str(member("query-version", version, part, int)) for part in ("major", "minor", "micro"))
        release = ".".join(numbers)
        asked = await vm.ask("qom-get", {"path": "/machine", "property": "type"})
        machine = shaped("qom-get", asked, str).removesuffix("-machine")
        before = await look(vm)
        try:
            yield Visit(address, vm, release, machine, before, began)
        finally:
            await put_back(vm, address, before)
        await vm.settle()


def run_visit(address: Address, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do `work` with a VM: a signal (INT, TERM, HUP) ends it in order.

    Raises KeyboardInterrupt(number) then, UsageError where the library qemu.qmp is needed and not installed.
    """
    try:
        if not isinstance(address, Domain):
            import qemu.qmp  # noqa: F401
    except ImportError:
        work.close()
        raise UsageError("a VM is asked by the library qemu.qmp: pip install 'msixtool[capture]'") from None
    return asyncio.run(ended_in_order(work))
