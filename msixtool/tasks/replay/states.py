"""Starting points from outside: a device of a stream, or a raw vmstate, as a new process loads it.

Both go the load path (tasks/load.py has it for `msixtool load`): nothing but the vectors that the
kind marks used at its creation is used, configuration space is restored, then msix_load runs.
"""

from __future__ import annotations

from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.formats import msix as fmt, virtio as virtio_format
from msixtool.msix import events as ev
from msixtool.msix.events import Events
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixState
from msixtool.qemu.kinds import kind_of
from msixtool.tasks.refusals import refusals
from msixtool.tasks.replay.actions import action
from msixtool.tasks.replay.bench import Bench
from msixtool.tasks.replay.grammar import When
from msixtool.tasks.replay.values import VectorNumbers


@action("stream FILE DEVICE [used=LIST]", When.START)
def stream(bench: Bench, file: str, device: str, used: VectorNumbers | None = None) -> Events:
    """A new process has loaded this device of a stream; a virtio device then marks its vectors used."""
    with OpenDump.open(bench.path(file)) as dump:
        found = dump.select_one(device)
        refused = [
            finding
            for finding in refusals(dump, bench.qemu_version)
            if (finding.section, finding.instance) == (found.name, found.instance)
        ]
    if found.capability is None or found.bus_master is None:
        raise InputError("the stream does not hold the configuration space of the device", device=found.name)
    function = _fresh(bench, found.state.vectors, found.kind, used, capability=found.capability.offset)
    function.restore_config(found.capability.control, bus_master=found.bus_master)
    events = function.load(found.state)
    if refused:
        return (*events, ev.Error(f"the load fails: {refused[0].message}"))
    return events + _use_after_load(function, found)


@action("state FILE vectors=N [kind=KIND] [used=LIST] [control=CONTROL] [bus-master=on|off]", When.START)
def state(
    bench: Bench,
    file: str,
    vectors: int,
    kind: str | None = None,
    used: VectorNumbers | None = None,
    control: int | None = None,
    bus_master: bool = True,
) -> Events:
    """A new process has loaded a raw vmstate; without CONTROL MSI-X is enabled, no function mask."""
    if not 1 <= vectors <= fmt.MAX_VECTORS:
        raise UsageError("state: vectors", expected=f"1 to {fmt.MAX_VECTORS}", found=vectors)
    vmstate = bench.read_vmstate(file)
    function = _fresh(bench, vectors, kind, used)
    control = fmt.CONTROL_ENABLE | vectors - 1 if control is None else control
    function.restore_config(control, bus_master=bus_master)
    return function.load(vmstate)


def _fresh(
    bench: Bench, vectors: int, kind: str | None, used: VectorNumbers | None, *, capability: int = 0x40
) -> MsixFunction:
    """A function as a new process creates it, before a load."""
    chosen = _used_at_load(vectors, kind) if used is None else range(vectors) if used == "all" else used
    bench.device = MsixFunction.from_state(
        MsixState.reset(vectors),
        capability=capability,
        used=chosen,
        qemu_version=bench.qemu_version,
        xen=bench.xen,
    )
    return bench.device


def _used_at_load(vectors: int, kind: str | None) -> list[int]:
    """The vectors that a kind has marked used before msix_load."""
    profile = kind_of(kind).msix
    used = None if profile is None else profile.used.vectors(vectors)
    if used is None:
        of = "of a device whose kind is not given" if kind is None else f"of a {kind}"
        raise UsageError(f"which vectors {of} are used at load is not known", expected="used=LIST to say it")
    return sorted(used)


def _use_after_load(function: MsixFunction, device: MsixDevice) -> Events:
    """What virtio does behind msix_load: the config vector and those of the queues are used."""
    if device.virtio is None:
        return ()
    numbers = [device.virtio.config_vector, *(queue.vector for queue in device.virtio.queues)]
    events: Events = ()
    for vector in numbers:
        if vector is not None and vector != virtio_format.NO_VECTOR:
            events += function.vector_use(vector)
    return events
