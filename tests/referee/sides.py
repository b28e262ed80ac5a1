"""The two sides of the game: the model, and QEMU's msix.c as a library.

An operation is a `Step`. Either side says how it ended, what it read, what the outside saw of it
and what is remembered, in the same form: that of referee.c.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from msixtool.msix import events as ev
from msixtool.msix.bar import Placement, pba_memory, table_size
from msixtool.msix.function import MmioRead, MsixFunction

ABORTED, EINVAL, ENOTSUP, NOTIFIER_FAILED = -1000, -22, -95, -1
MESSAGE, USE, RELEASE, POLL, INTX = range(1, 6)
"""The events of qemu.h."""


class Op(IntEnum):
    """The operations, by their numbers in referee.c."""

    INIT = 0
    INIT_BAR = 1
    UNINIT = 2
    UNINIT_BAR = 3
    RESET = 4
    WRITE_CONFIG = 5
    RESTORE = 6
    LOAD = 7
    TABLE_READ = 8
    TABLE_WRITE = 9
    PBA_READ = 10
    PBA_WRITE = 11
    NOTIFY = 12
    SET_MESSAGE = 13
    SET_PENDING = 14
    CLR_PENDING = 15
    SET_MASK = 16
    VECTOR_USE = 17
    VECTOR_UNUSE = 18
    UNUSE_ALL = 19
    SET_NOTIFIERS = 20
    UNSET_NOTIFIERS = 21
    UPDATE_MASKED = 22
    MASK_UPDATE = 23
    MASK_ALL = 24
    SAVE = 25
    IS_MASKED = 26


class Step(NamedTuple):
    """One operation: its number, the arguments as the referee takes them, and the bytes that it reads."""

    operation: Op
    arguments: tuple[int, ...] = ()
    data: bytes = b""


class _Event(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("kind", "a", "b", "c")]


class Referee:
    """QEMU's side."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.referee_play.restype = ctypes.c_int
        library.referee_play.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        library.referee_state.restype = ctypes.c_size_t
        self._arguments = (ctypes.c_uint64 * 8)()
        self._buffer = ctypes.create_string_buffer(64 << 10)
        self._state = ctypes.create_string_buffer(64 << 10)
        self._logged = ctypes.c_uint.in_dll(library, "referee_logged")
        self._value = ctypes.c_uint64.in_dll(library, "referee_value")
        self._log = (_Event * 8192).in_dll(library, "referee_log")

    def new(self, *, bus_master: bool, msi: bool, xen: bool, others: dict[int, int]) -> None:
        pairs = bytes(byte for pair in others.items() for byte in pair)
        self._library.referee_new(bus_master, msi, xen, pairs, len(others))

    def play(self, step: Step) -> int:
        self._arguments[: len(step.arguments)] = [value & (1 << 64) - 1 for value in step.arguments]
        ctypes.memmove(self._buffer, step.data, len(step.data))
        size = len(step.data) or len(self._buffer)
        return int(self._library.referee_play(step.operation, self._arguments, self._buffer, size))

    @property
    def value(self) -> int:
        """What the last operation read."""
        return self._value.value

    @property
    def events(self) -> list[tuple[int, int, int, int]]:
        return [(e.kind, e.a, e.b, e.c) for e in self._log[: self._logged.value]]

    @property
    def state(self) -> bytes:
        size = self._library.referee_state(self._state)
        return ctypes.string_at(self._state, size)

    def saved(self, size: int) -> bytes:
        return ctypes.string_at(self._buffer, size)


def _init(model: MsixFunction, step: Step) -> ev.Events:
    count, bar, offset, size, pba_bar, pba_offset, pba_size, position = step.arguments
    table, pba = Placement(bar, offset, size), Placement(pba_bar, pba_offset, pba_size)
    return model.init(count, table, pba, position)


def _write(step: Step) -> tuple[int, int, int]:
    """Address, value and size of a write by MMIO."""
    address, size, value = step.arguments
    return address, value, size


def _failing(mask: int) -> list[int]:
    return [vector for vector in range(64) if mask >> vector & 1]


_ON_MODEL: dict[Op, Callable[[MsixFunction, Step], ev.Events | MmioRead | int | None]] = {
    Op.INIT: _init,
    Op.INIT_BAR: lambda model, step: model.init_exclusive_bar(*step.arguments),
    Op.UNINIT: lambda model, step: model.uninit(),
    Op.UNINIT_BAR: lambda model, step: model.uninit_exclusive_bar(),
    Op.RESET: lambda model, step: model.reset(),
    Op.WRITE_CONFIG: lambda model, step: model.write_config(*step.arguments),
    Op.RESTORE: lambda model, step: model.restore_config(
        step.arguments[0], bus_master=bool(step.arguments[1])
    ),
    Op.LOAD: lambda model, step: model.load(step.data),
    Op.TABLE_READ: lambda model, step: model.table_mmio_read(*step.arguments[:2]),
    Op.TABLE_WRITE: lambda model, step: model.table_mmio_write(*_write(step)),
    Op.PBA_READ: lambda model, step: model.pba_mmio_read(*step.arguments[:2]),
    Op.PBA_WRITE: lambda model, step: model.pba_mmio_write(*_write(step)),
    Op.NOTIFY: lambda model, step: model.notify(step.arguments[0]),
    Op.SET_MESSAGE: lambda model, step: model.set_message(*step.arguments),
    Op.SET_PENDING: lambda model, step: model.set_pending(step.arguments[0]),
    Op.CLR_PENDING: lambda model, step: model.clr_pending(step.arguments[0]),
    Op.SET_MASK: lambda model, step: model.set_mask(step.arguments[0], bool(step.arguments[1])),
    Op.VECTOR_USE: lambda model, step: model.vector_use(step.arguments[0]),
    Op.VECTOR_UNUSE: lambda model, step: model.vector_unuse(step.arguments[0]),
    Op.UNUSE_ALL: lambda model, step: model.unuse_all_vectors(),
    Op.SET_NOTIFIERS: lambda model, step: model.set_vector_notifiers(
        poll=bool(step.arguments[0]), failing=_failing(step.arguments[1])
    ),
    Op.UNSET_NOTIFIERS: lambda model, step: model.unset_vector_notifiers(),
    Op.UPDATE_MASKED: lambda model, step: model.update_function_masked(),
    Op.MASK_UPDATE: lambda model, step: model.handle_mask_update(step.arguments[0], bool(step.arguments[1])),
    Op.MASK_ALL: lambda model, step: model.mask_all(),
    Op.SAVE: lambda model, step: len(model.save()),
    Op.IS_MASKED: lambda model, step: int(model.is_masked(step.arguments[0])),
}  # fmt: skip


def on_model(model: MsixFunction, step: Step) -> tuple[int, ev.Events]:
    """Play a step on the model: the value that it returns, and its events."""
    done = _ON_MODEL[step.operation](model, step)
    if isinstance(done, MmioRead):
        return done.value, done.events
    return (done, ()) if isinstance(done, int) else (0, done or ())


def outcome(events: ev.Events) -> tuple[int | None, bool]:
    """What QEMU returns for the model's error (None: QEMU is not asked), and whether it ends."""
    if not events or not isinstance(events[-1], ev.Error):
        return 0, False
    message = events[-1].message
    if events[-1].ends_qemu:
        return ABORTED, True
    if message.startswith("undefined"):
        return None, False
    if message.startswith("EINVAL"):
        return EINVAL, False
    return (ENOTSUP if message.startswith("ENOTSUP") else NOTIFIER_FAILED), False


def seen(model: MsixFunction, events: ev.Events) -> Iterator[tuple[int, int, int, int]]:
    """Those of the model's events that the referee's surroundings see, as it logs them."""
    for event in events:
        match event:
            case ev.MessageEvent(_, address, data):
                yield MESSAGE, address, data, 1
            case ev.MessageDropped(vector, ev.BUS_MASTER_OFF):
                yield MESSAGE, *model.get_message(vector), 0
            case ev.UseNotifier(vector, address, data):
                yield USE, vector, address, data
            case ev.ReleaseNotifier(vector):
                yield RELEASE, vector, 0, 0
            case ev.PollNotifier(start, end):
                yield POLL, start, end, 0
            case ev.IntxDeasserted():
                yield INTX, 0, 0, 0


def remembered(model: MsixFunction) -> bytes:
    """The model's state in the referee's form: registers, use counters, table and padded pending bits."""
    count, control = model.nr_vectors_allocated(), model.control if model.present() else 0
    registers = bytes([
        model.capability, control & 0xFF, control >> 8, model.present() and model.function_masked,
        model.bus_master, model.present(), model.enabled(), 0,
    ])  # fmt: skip
    used = b"".join(n.to_bytes(4, "little") for n in model.used)
    saved = model.save()
    padding = range(8 * (len(saved) - table_size(count)), 8 * pba_memory(count))
    rest = sum(1 << bit - padding.start for bit in padding if model.is_pending(bit))
    return registers + used + saved + rest.to_bytes(len(padding) // 8, "little")
