"""Random operations on the model and on QEMU's msix.c: what happens, what is returned, what is left.

Each operation is chosen for the state at hand, played on the model and on the referee, and compared:
refusal or assertion, return value, messages and notifier calls in their order, and then all that is
remembered. What the model calls undefined is not played. A function that ended QEMU is replaced by a new one.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Sequence

from msixtool.msix.bar import pba_memory
from msixtool.msix.function import MsixFunction
from tests.referee.sides import Op, Referee, Step, on_model, outcome, remembered, seen

WEIGHTS = {
    Op.UNINIT: 1, Op.UNINIT_BAR: 1, Op.RESET: 3, Op.WRITE_CONFIG: 24, Op.RESTORE: 4,
    Op.LOAD: 6, Op.TABLE_READ: 8, Op.TABLE_WRITE: 40, Op.PBA_READ: 8, Op.PBA_WRITE: 3,
    Op.NOTIFY: 40, Op.SET_MESSAGE: 4, Op.SET_PENDING: 8, Op.CLR_PENDING: 4, Op.SET_MASK: 10,
    Op.VECTOR_USE: 24, Op.VECTOR_UNUSE: 8, Op.UNUSE_ALL: 1, Op.SET_NOTIFIERS: 6, Op.UNSET_NOTIFIERS: 3,
    Op.UPDATE_MASKED: 2, Op.MASK_UPDATE: 4, Op.MASK_ALL: 1, Op.SAVE: 2, Op.IS_MASKED: 6,
}  # fmt: skip
SIZES = (1, 2, 4, 4, 4, 8)
FUNCTION_LIFE = 400
"""Operations on one function at most; then a new one is made."""


class DifferenceError(AssertionError):
    """The model and QEMU disagree over one operation."""


class Game:
    """Both sides, and the dice: `random.Random(seed)` decides everything."""

    def __init__(self, library: ctypes.CDLL, version: Sequence[int], seed: int) -> None:
        self.referee = Referee(library)
        self.version = tuple(version)
        self.dice = random.Random(seed)
        self.choices, self.weights = zip(*WEIGHTS.items(), strict=True)
        self.history: list[Step] = []
        self._new_function()

    def play(self, operations: int) -> None:
        """Play that many. Raises Difference at the first operation over which the two disagree."""
        for _ in range(operations):
            if len(self.history) >= FUNCTION_LIFE:
                self._new_function()
            step = self._step()
            self.history.append(step)
            self._compare(step)

    def _new_function(self) -> None:
        dice = self.dice
        self.history = []
        facts = {"bus_master": dice.random() < 0.7, "xen": dice.random() < 0.2}
        msi = dice.random() < 0.97
        others = {0x40: dice.choice((2, 8, 14))} if dice.random() < 0.4 else {}
        if dice.random() < 0.02:
            others = dict.fromkeys(range(64, 256, 60)[:3], 60)
        self.model = MsixFunction(qemu_version=self.version, msi_supported=msi, capabilities=others, **facts)
        self.referee.new(msi=msi, others=others, **facts)

    # The dice

    def _step(self) -> Step:
        dice = self.dice
        if not self.model.present() and dice.random() < 0.9:
            return (
                self._init() if dice.random() < 0.5 else Step(Op.INIT_BAR, (self._count(), dice.randrange(6)))
            )
        operation = dice.choices(self.choices, self.weights)[0]
        if operation == Op.SET_MASK and self.version < (7, 1):
            operation = Op.NOTIFY
        return Step(operation, *self._arguments(operation))

    def _init(self) -> Step:
        dice, count = self.dice, self._count()
        table, pba = (dice.choice((0, 0, 0x800, 0x1000, 0x2000, 12)) for _ in range(2))
        bars = [dice.randrange(2), dice.randrange(2)]
        size = dice.choice((0x1000, 0x2000, 0x4000, 0x10000))
        position = dice.choice((0, 0, 0x40, 0x50, 0x70, 0x80, 0xA0, 0x1A0))
        return Step(Op.INIT, (count, bars[0], table, size, bars[1], pba, size, position))

    def _count(self) -> int:
        dice = self.dice
        return dice.choice((
            *(dice.randrange(1, 9),) * 12, *(dice.randrange(1, 34),) * 4, 64, 65,
            dice.choice((128, 129, 200)), dice.choice((0, 2048, 2049, 65535, 65536, 65537, 65540, 3, 4)),
        ))  # fmt: skip

    def _arguments(self, operation: int) -> tuple[tuple[int, ...], bytes]:
        dice, count = self.dice, self.model.nr_vectors_allocated()
        vector = dice.randrange(count) if count and dice.random() < 0.985 else count + dice.randrange(3)
        match operation:
            case Op.WRITE_CONFIG:
                return self._config_write(), b""
            case Op.RESTORE:
                control = max(0, count - 1) | dice.choice((0, 0x8000, 0x8000, 0xC000, 0x4000))
                return (control, dice.random() < 0.7), b""
            case Op.LOAD:
                return (), self._saved(count)
            case Op.TABLE_READ | Op.TABLE_WRITE:
                at = dice.randrange(0, 16 * count + 16)
                return (at & ~3 if dice.random() < 0.9 else at, dice.choice(SIZES), self._word()), b""
            case Op.PBA_READ | Op.PBA_WRITE:
                at = dice.randrange(0, pba_memory(count) + 8)
                return (at & ~3 if dice.random() < 0.9 else at, dice.choice(SIZES), self._word()), b""
            case Op.SET_MESSAGE:
                return (vector, dice.getrandbits(64), dice.getrandbits(32)), b""
            case Op.SET_MASK | Op.MASK_UPDATE:
                return (vector, dice.random() < 0.5), b""
            case Op.SET_NOTIFIERS:
                failing = dice.getrandbits(64) & dice.getrandbits(64) if dice.random() < 0.1 else 0
                return (dice.random() < 0.5, failing), b""
            case _:
                return (vector,), b""

    def _config_write(self) -> tuple[int, int, int]:
        dice = self.dice
        size = dice.choice((1, 2, 4))
        at = dice.choice((4, self.model.capability + 2, self.model.capability + 3, self.model.capability, 7))
        if dice.random() < 0.1:
            at = dice.randrange(256 - size)
        value = dice.choice((0, 4, 0x80, 0xC0, 0x8000, 0xC000, 0x80000000, 0xC0000000, 0x40000000))
        return at, value if dice.random() < 0.7 else dice.getrandbits(32), size

    def _word(self) -> int:
        return self.dice.choice((0, 1, 0, 1, self.dice.getrandbits(32), self.dice.getrandbits(64)))

    def _saved(self, count: int) -> bytes:
        dice = self.dice
        entries = b"".join(
            dice.randbytes(12) + bytes([dice.choice((0, 1, 1, 2)), 0, 0, 0]) for _ in range(count)
        )
        return entries + dice.randbytes(-(-count // 8))

    # The comparison

    def _compare(self, step: Step) -> None:
        if step.operation == Op.IS_MASKED and step.arguments[0] >= self.model.nr_vectors_allocated():
            return
        value, events = on_model(self.model, step)
        expected, ends = outcome(events)
        if expected is None:
            return
        self._same("outcome", expected, self.referee.play(step), step)
        if not expected:
            self._same("value", value, self.referee.value, step)
        self._same("events", list(seen(self.model, events)), self.referee.events, step)
        if ends:
            self._new_function()
            return
        if step.operation == Op.SAVE and self.model.present():
            saved = self.model.save()
            self._same("saved", saved, self.referee.saved(len(saved)), step)
        self._same("state", remembered(self.model), self.referee.state, step)

    def _same(self, what: str, model: object, qemu: object, step: Step) -> None:
        if model != qemu:
            lately = "\n".join(map(str, self.history[-12:]))
            raise DifferenceError(f"{what} of {step}: model {model!r}, QEMU {qemu!r}; lately:\n{lately}")
