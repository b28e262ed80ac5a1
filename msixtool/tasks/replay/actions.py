"""What a guest and a device can do, each under the name that it has in a script.

An action calls the operation of msix/function.py that the line names and gives its events; one
that reads gives an MmioRead. Where it names several vectors, the operation is done for one after
the other.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.formats.pci import CommandBits
from msixtool.msix import events as ev
from msixtool.msix.bar import EXCLUSIVE_PBA_OFFSET, Placement, pba_memory, table_size
from msixtool.msix.events import Events
from msixtool.msix.function import PCI_COMMAND, MmioRead, MsixFunction
from msixtool.msix.registers import LOWER_ADDR, MESSAGE_DATA, VECTOR_CTRL
from msixtool.msix.versions import QemuVersion
from msixtool.tasks.replay.bench import Bench, FunctionInStream
from msixtool.tasks.replay.grammar import Form, When
from msixtool.tasks.replay.values import BarOffset, VectorNumbers

ACTIONS: dict[str, Form] = {}
"""The actions by their names."""

Run = TypeVar("Run", bound=Callable[..., Events | MmioRead])


def action(usage: str, when: When = When.DEVICE) -> Callable[[Run], Run]:
    """Make a function the action with this usage."""

    def register(run: Run) -> Run:
        form = Form(usage, when, run)
        ACTIONS[form.name] = form
        return run

    return register


def operation(usage: str, done: Callable[..., Any], help: str) -> None:
    """Make an operation of the model the action with this usage; of VECTORS, for one after the other."""

    def run(bench: Bench, vectors: VectorNumbers | None = None, **values: Any) -> Any:
        if vectors is None:
            return done(bench.function, *values.values())
        return _each(bench, vectors, lambda vector: done(bench.function, vector, *values.values()))

    run.__doc__ = help
    action(usage)(run)


def _each(bench: Bench, vectors: VectorNumbers, done: Callable[[int], Events]) -> Events:
    """What is done for one vector after the other; nothing follows where QEMU has ended."""
    events: list[ev.MsixEvent] = []
    for vector in bench.numbers(vectors):
        events += done(vector)
        if events and isinstance(events[-1], ev.Error) and events[-1].ends_qemu:
            break
    return tuple(events)


# Settings


@action("qemu-version VERSION", When.SETTING)
def qemu_version(bench: Bench, version: QemuVersion) -> Events:
    """The QEMU to behave as, where releases differ."""
    bench.qemu_version = version
    return ()


@action("xen on|off", When.SETTING)
def xen(bench: Bench, on: bool) -> Events:
    """On Xen: a vector that is remapped to a pirq is never masked."""
    bench.xen = on
    return ()


@action("msi-support on|off", When.SETTING)
def msi_support(bench: Bench, on: bool) -> Events:
    """Whether the machine's interrupt controller knows MSI."""
    bench.msi_supported = on
    return ()


@action("other-capability OFFSET N", When.SETTING)
def other_capability(bench: Bench, offset: int, n: int) -> Events:
    """Another capability of N bytes in configuration space, which MSI-X must not overlap."""
    if offset + n > 4096:
        raise UsageError("other-capability", expected="its end at or below 0x1000", found=f"{offset + n:#x}")
    bench.capabilities[offset] = n
    return ()


# Starting points; those that take a state from outside are in states.py


@action("init N [table=PLACE] [pba=PLACE] [cap=OFFSET]", When.INIT)
def init(
    bench: Bench, n: int, table: BarOffset | None = None, pba: BarOffset | None = None, cap: int = 0
) -> Events:
    """msix_init: N vectors. Without places the table is at 0 of BAR 0, the PBA behind it, not below 0x800."""
    table = table or BarOffset(0, 0)
    pba = pba or BarOffset(table.bar, table.offset + max(EXCLUSIVE_PBA_OFFSET, table_size(n)))
    function = bench.device or bench.new_function()
    return function.init(n, _placement(table, n, table, pba), _placement(pba, n, table, pba), cap)


def _placement(place: BarOffset, vectors: int, table: BarOffset, pba: BarOffset) -> Placement:
    """The place in a BAR of the size given, or of the next power of two that holds what is in it."""
    ends = [table.offset + table_size(vectors)] if table.bar == place.bar else []
    ends += [pba.offset + pba_memory(vectors)] if pba.bar == place.bar else []
    size = 1 << (max(ends) - 1).bit_length() if place.size is None else place.size
    return Placement(place.bar, place.offset, size)


@action("init-exclusive-bar N [bar=BAR]", When.INIT)
def init_exclusive_bar(bench: Bench, n: int, bar: int = 1) -> Events:
    """msix_init_exclusive_bar: N vectors, with table and PBA in a BAR of their own (1)."""
    return (bench.device or bench.new_function()).init_exclusive_bar(n, bar)


# What the guest does


operation(
    "write table OFFSET VALUE [SIZE]",
    MsixFunction.table_mmio_write,
    "MMIO: write SIZE (4) bytes of the table.",
)
operation("read table OFFSET [SIZE]", MsixFunction.table_mmio_read, "MMIO: read SIZE (4) bytes of the table.")
operation(
    "write pba OFFSET VALUE [SIZE]",
    MsixFunction.pba_mmio_write,
    "MMIO: write SIZE (4) bytes of the pending bits, which QEMU ignores.",
)
operation(
    "read pba OFFSET [SIZE]", MsixFunction.pba_mmio_read, "MMIO: read SIZE (4) bytes of the pending bits."
)
operation(
    "write config OFFSET VALUE WIDTH", MsixFunction.write_config, "Write WIDTH bytes of configuration space."
)


@action("write capability OFFSET VALUE WIDTH")
def write_capability(bench: Bench, offset: int, value: int, width: int) -> Events:
    """The same, OFFSET bytes from the start of the MSI-X capability: Message Control is at 2."""
    return bench.function.write_config(bench.function.capability + offset, value, width)


@action("write control CONTROL")
def write_control(bench: Bench, control: int) -> Events:
    """Write Message Control, 2 bytes."""
    return write_capability(bench, fmt.CONTROL.offset, control, 2)


@action("write command COMMAND")
def write_command(bench: Bench, command: int) -> Events:
    """Write the Command register, 2 bytes: bit 2 is bus mastering."""
    return bench.function.write_config(PCI_COMMAND, command, 2)


@action("enable")
def enable(bench: Bench) -> Events:
    """Message Control: set enable, leave the function mask."""
    return write_control(bench, bench.function.control | fmt.CONTROL_ENABLE)


@action("disable")
def disable(bench: Bench) -> Events:
    """Message Control: clear enable, leave the function mask."""
    return write_control(bench, bench.function.control & ~fmt.CONTROL_ENABLE)


@action("function-mask on|off")
def function_mask(bench: Bench, on: bool) -> Events:
    """Message Control: set or clear the function mask, leave enable."""
    rest = bench.function.control & ~fmt.CONTROL_FUNCTION_MASK
    return write_control(bench, rest | fmt.CONTROL_FUNCTION_MASK * on)


@action("bus-master on|off")
def bus_master(bench: Bench, on: bool) -> Events:
    """Command: set or clear bus mastering."""
    return write_command(bench, CommandBits.MEMORY | CommandBits.BUS_MASTER * on)


@action("entry VECTOR ADDRESS DATA VECTOR-CONTROL")
def entry(bench: Bench, vector: int, address: int, data: int, vector_control: int) -> Events:
    """MMIO: write a table entry as drivers do, by four double words in their order."""
    words = (address & 0xFFFFFFFF, address >> 32, data, vector_control)
    at = vector * fmt.ENTRY_SIZE + LOWER_ADDR
    return tuple(
        chain.from_iterable(
            bench.function.table_mmio_write(at + 4 * step, word) for step, word in enumerate(words)
        )
    )


@action("message VECTOR ADDRESS DATA")
def message(bench: Bench, vector: int, address: int, data: int) -> Events:
    """MMIO: write address and data of a table entry by three double words, leave Vector Control."""
    at = vector * fmt.ENTRY_SIZE
    write = bench.function.table_mmio_write
    low, high = address & 0xFFFFFFFF, address >> 32
    return write(at + LOWER_ADDR, low) + write(at + LOWER_ADDR + 4, high) + write(at + MESSAGE_DATA, data)


@action("mask VECTORS")
def mask(bench: Bench, vectors: VectorNumbers) -> Events:
    """MMIO: set bit 0 of Vector Control."""
    return _each(bench, vectors, lambda vector: _write_mask(bench, vector, True))


@action("unmask VECTORS")
def unmask(bench: Bench, vectors: VectorNumbers) -> Events:
    """MMIO: clear bit 0 of Vector Control."""
    return _each(bench, vectors, lambda vector: _write_mask(bench, vector, False))


def _write_mask(bench: Bench, vector: int, masked: bool) -> Events:
    at = vector * fmt.ENTRY_SIZE + VECTOR_CTRL
    control = bench.function.table_mmio_read(at).value
    return bench.function.table_mmio_write(at, control & ~fmt.ENTRY_MASKED | int(masked))


# What the device does


operation(
    "notify VECTORS",
    MsixFunction.notify,
    "msix_notify: interrupt. Lost where the vector is not used; waits where it is masked.",
)
operation("use VECTORS", MsixFunction.vector_use, "msix_vector_use: mark used, once more than before.")
operation(
    "unuse VECTORS",
    MsixFunction.vector_unuse,
    "msix_vector_unuse: give up, once; the last time clears the pending bit.",
)
operation(
    "unuse-all",
    MsixFunction.unuse_all_vectors,
    "msix_unuse_all_vectors: give all up; nothing is pending any more.",
)
operation(
    "set-pending VECTORS",
    MsixFunction.set_pending,
    "msix_set_pending. The padding up to 64 bits can be set too.",
)
operation("clr-pending VECTORS", MsixFunction.clr_pending, "msix_clr_pending: no message is sent.")
operation(
    "set-mask VECTORS on|off",
    MsixFunction.set_mask,
    "msix_set_mask: set or clear the mask bit, as vfio-user does.",
)
operation(
    "set-message VECTOR ADDRESS DATA",
    MsixFunction.set_message,
    "msix_set_message: POWER's side channel, which unmasks as well and runs no mask update.",
)
operation("mask-all", MsixFunction.mask_all, "msix_mask_all: set every mask bit.")
operation(
    "handle-mask-update VECTORS on|off",
    MsixFunction.handle_mask_update,
    "msix_handle_mask_update, for vectors that were masked (on) or not before.",
)
operation(
    "update-function-masked",
    MsixFunction.update_function_masked,
    "msix_update_function_masked: compute the cached flag from Message Control.",
)


@action("notifiers on [poll=on|off] [failing=LIST]")
def notifiers_on(bench: Bench, poll: bool = False, failing: VectorNumbers = ()) -> Events:
    """msix_set_vector_notifiers. The use notifier fails for the vectors in LIST."""
    return bench.function.set_vector_notifiers(poll=poll, failing=bench.numbers(failing))


operation(
    "notifiers off",
    MsixFunction.unset_vector_notifiers,
    "msix_unset_vector_notifiers: release the live vectors, forget the notifiers.",
)
operation(
    "reset",
    MsixFunction.reset,
    "msix_reset. Bus mastering stays: ending that is the PCI core's part of a reset.",
)
operation("uninit", MsixFunction.uninit, "msix_uninit: take MSI-X away.")
operation(
    "uninit-exclusive-bar",
    MsixFunction.uninit_exclusive_bar,
    "msix_uninit_exclusive_bar: take MSI-X away with its BAR.",
)


# Saved states


@action("save NAME")
def save(bench: Bench, name: str) -> Events:
    """Keep table, pending bits, Message Control and bus mastering, as a stream does."""
    function = bench.function
    vectors = function.nr_vectors_allocated()
    bench.saved[name] = FunctionInStream(function.save(), vectors, function.control, function.bus_master)
    return ()


@action("restore-config CONTROL on|off")
def restore_config(bench: Bench, control: int, on: bool) -> Events:
    """Message Control and bus mastering come from a stream: nothing is set off until load."""
    # The count is read-only: get_pci_config_device refuses another.
    vectors, given = bench.function.nr_vectors_allocated(), (control & fmt.CONTROL_QSIZE) + 1
    if given != vectors:
        return (ev.Error(f"EINVAL: Message Control is of {given} vectors, the device has {vectors}"),)
    bench.function.restore_config(control, bus_master=on)
    return ()


@action("load NAME")
def load(bench: Bench, name: str) -> Events:
    """Configuration space, then msix_load. A NAME that was not saved is a file, loaded by msix_load alone."""
    function = bench.function
    if name not in bench.saved:
        return function.load(bench.read_vmstate(name))
    saved, vectors = bench.saved[name], function.nr_vectors_allocated()
    if saved.vectors != vectors:
        return (ev.Error(f"EINVAL: the state is of {saved.vectors} vectors, the device has {vectors}"),)
    function.restore_config(saved.control, bus_master=saved.bus_master)
    return function.load(saved.vmstate)


@action("new-process")
def new_process(bench: Bench) -> Events:
    """Another QEMU: the device is gone, what was saved is kept. Settings and a starting point follow."""
    bench.device = None
    return ()
