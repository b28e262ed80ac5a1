"""What happens to single vectors: messages, pending bits, masks, use counters, notifiers.

The names are those of QEMU's hw/pci/msix.c, which is also the source, less `msix_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.msix import events as ev
from msixtool.msix.events import Events, MsixEvent
from msixtool.msix.registers import CONTROL_WRITABLE, VECTOR_CTRL, MsixRegisters

P = ParamSpec("P")
Model = TypeVar("Model", bound="MsixVectors")


def operation(body: Callable[Concatenate[Model, P], None]) -> Callable[Concatenate[Model, P], Events]:
    """Make a method return the events that its body emits, and of a UsageError an `error` event.

    Called from within another operation it adds to that one's events, which the outermost returns.
    """

    @wraps(body)
    def run(self: Model, /, *args: P.args, **kwargs: P.kwargs) -> Events:
        if self._log is not None:
            body(self, *args, **kwargs)
            return ()
        self._log = log = []
        try:
            body(self, *args, **kwargs)
        except UsageError as error:
            log.append(ev.Error(str(error)))
        finally:
            self._log = None
        return tuple(log)

    return run


class MsixVectors(MsixRegisters):
    """The operations on vectors."""

    _log: list[MsixEvent] | None = None
    """The events of the operation under way."""
    _use_notifier = False
    """Whether a use and a release notifier are registered."""
    _poll_notifier = False
    _failing: frozenset[int] = frozenset()
    """The vectors for which the use notifier fails."""

    # Messages and pending bits

    @operation
    def set_message(self, vector: int, address: int, data: int) -> None:
        """Set a vector's message and clear its mask bit: the side channel of POWER firmware.

        QEMU runs no mask update, so no notifier hears of it and a pending bit stays pending.
        """
        at = self._entry(vector)
        *_, control = fmt.PACKED_ENTRY.unpack_from(self._table, at)
        # Values are cut as the registers cut them.
        fmt.PACKED_ENTRY.pack_into(self._table, at, address & (1 << 64) - 1, data & (1 << 32) - 1, control)
        self._write_mask_bit(vector, False)
        self._report_mask(vector)

    @operation
    def set_pending(self, vector: int) -> None:
        """Set a vector's pending bit. QEMU does not check: the padding bits can be set too."""
        if not self.is_pending(vector):
            self._pba[vector // 8] |= 1 << vector % 8
            self._emit(ev.PendingSet(vector))

    @operation
    def clr_pending(self, vector: int) -> None:
        """Clear a vector's pending bit; its message is not sent."""
        if self.is_pending(vector):
            self._pba[vector // 8] &= ~(1 << vector % 8)
            self._emit(ev.PendingCleared(vector))

    @operation
    def notify(self, vector: int) -> None:
        """Interrupt: send the vector's message, or set its pending bit where it is masked.

        Nothing happens for a vector that the device has not marked used: the interrupt is lost.
        Enable is not looked at, only the cached function mask. Before 7.2 a vector out of range was
        ignored; since, it ends QEMU.
        """
        if not self._has_vector(vector):
            return
        if not self._used[vector]:
            self._emit(ev.MessageDropped(vector, ev.VECTOR_UNUSED))
        elif self.is_masked(vector):
            self.set_pending(vector)
        elif self.behaviour.needs_bus_master and not self.bus_master:
            self._emit(ev.MessageDropped(vector, ev.BUS_MASTER_OFF))
        else:
            self._emit(ev.MessageEvent(vector, *self.get_message(vector)))

    # Masks

    @operation
    def handle_mask_update(self, vector: int, was_masked: bool) -> None:
        """Act on a vector's mask, which was `was_masked` before: tell the notifiers, send what is pending."""
        is_masked = self.is_masked(vector)
        self._report_mask(vector)
        if is_masked == was_masked:
            return
        self._fire_vector_notifier(vector, is_masked)
        if not is_masked and self.is_pending(vector):
            self.clr_pending(vector)
            self.notify(vector)

    @operation
    def set_mask(self, vector: int, masked: bool) -> None:
        """Set or clear a vector's own mask bit, as vfio-user does. QEMU has it since 7.1.

        A vector out of range was refused in 7.1; since 7.2 it ends QEMU.
        """
        if not self._has_vector(vector):
            raise self._no_vector("EINVAL", vector)
        was_masked = self.is_masked(vector)
        self._write_mask_bit(vector, masked)
        self.handle_mask_update(vector, was_masked)

    @operation
    def mask_all(self) -> None:
        """Set the mask bit of every vector."""
        for vector in range(self.nr_vectors_allocated()):
            was_masked = self.is_masked(vector)
            self._write_mask_bit(vector, True)
            self.handle_mask_update(vector, was_masked)

    # Which vectors the device uses

    @operation
    def vector_use(self, vector: int) -> None:
        """The device marks a vector used, once more than before.

        Before 7.2 a vector out of range was refused with -EINVAL; since, it ends QEMU.
        """
        if not self._has_vector(vector):
            raise self._no_vector("EINVAL", vector)
        self._used[vector] += 1
        self._emit(ev.VectorUsed(vector, self._used[vector]))

    @operation
    def vector_unuse(self, vector: int) -> None:
        """The device gives a vector up, once; the last time clears its pending bit.

        Before 7.2 a vector out of range was ignored; since, it ends QEMU.
        """
        if not self._has_vector(vector) or not self._used[vector]:
            return
        self._used[vector] -= 1
        self._emit(ev.VectorUnused(vector, self._used[vector]))
        if not self._used[vector]:
            self.clr_pending(vector)

    @operation
    def unuse_all_vectors(self) -> None:
        """No vector is used any more, and none pending."""
        for vector, count in enumerate(self._used):
            if count:
                self._used[vector] = 0
                self._emit(ev.VectorUnused(vector, 0))
            self.clr_pending(vector)

    # Notifiers

    @operation
    def set_vector_notifiers(self, *, poll: bool = False, failing: Iterable[int] = ()) -> None:
        """Register a use and a release notifier, and with `poll` one for pending bits kept elsewhere.

        Whether to tell of vectors now is decided by enable and function mask in configuration
        space, not by the cached flag. The use notifier fails for the vectors `failing`: then those
        told before are released again, last first, and nothing stays registered (before 8.2 the
        poll notifier did). In a later mask update such a failure ends QEMU.
        """
        self._use_notifier, self._poll_notifier, self._failing = True, poll, frozenset(failing)
        told: list[int] = []
        for vector in self._live_vectors():
            if not self._use(vector):
                self._undo_notifiers(told)
                raise UsageError(f"the use notifier failed for vector {vector}")
            told.append(vector)
        if poll:
            self._emit(ev.PollNotifier(0, self.nr_vectors_allocated()))

    @operation
    def unset_vector_notifiers(self) -> None:
        """Release every live vector and forget the notifiers.

        As in set_vector_notifiers, configuration space decides whether any is live.
        """
        if not self._use_notifier:
            raise UsageError("QEMU aborts: no vector notifiers are set")
        for vector in self._live_vectors():
            self._emit(ev.ReleaseNotifier(vector))
        self._use_notifier = self._poll_notifier = False

    def _undo_notifiers(self, told: list[int]) -> None:
        for vector in reversed(told):
            self._emit(ev.ReleaseNotifier(vector))
        self._use_notifier = False
        if self.behaviour.rollback_clears_poll:
            self._poll_notifier = False

    def _live_vectors(self) -> list[int]:
        """The unmasked vectors, where configuration space has MSI-X enabled and no function mask."""
        if self.control & CONTROL_WRITABLE != fmt.CONTROL_ENABLE:
            return []
        return [vector for vector in range(self.nr_vectors_allocated()) if not self.is_masked(vector)]

    def _fire_vector_notifier(self, vector: int, is_masked: bool) -> None:
        if not self._use_notifier:
            return
        if is_masked:
            self._emit(ev.ReleaseNotifier(vector))
        elif not self._use(vector):
            raise UsageError(f"QEMU aborts: the use notifier failed for vector {vector} in a mask update")

    def _use(self, vector: int) -> bool:
        """Call the use notifier; whether it succeeded."""
        self._emit(ev.UseNotifier(vector, *self.get_message(vector)))
        return vector not in self._failing

    # Parts of the operations

    def _emit(self, event: MsixEvent) -> None:
        assert self._log is not None, "events arise in operations only"
        self._log.append(event)

    def _has_vector(self, vector: int) -> bool:
        """Whether there is such a vector; since 7.2 QEMU ends where there is not."""
        if 0 <= vector < self.nr_vectors_allocated():
            return True
        if self.behaviour.asserts_vector:
            raise self._no_vector("QEMU aborts", vector)
        return False

    def _report_mask(self, vector: int) -> None:
        """Emit `mask` or `unmask` where the effective mask is not what was last reported."""
        is_masked = self.is_masked(vector)
        if is_masked != self._reported_masked[vector]:
            self._reported_masked[vector] = is_masked
            self._emit(ev.Mask(vector) if is_masked else ev.Unmask(vector))

    def _write_mask_bit(self, vector: int, masked: bool) -> None:
        at = self._entry(vector) + VECTOR_CTRL
        self._table[at] = self._table[at] & ~fmt.ENTRY_MASKED | int(masked)
