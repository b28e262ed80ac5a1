"""What can happen to a function with MSI-X: every effect of an operation, as a value.

`to_json` gives the form that the JSON documents promise: `{"event": KIND, "vector"?, …}`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

VECTOR_UNUSED = "vector-unused"
"""Reason of a dropped message: the device has not marked the vector used, so notify does nothing."""
BUS_MASTER_OFF = "bus-master-off"
"""Reason of a dropped message: the function may not write to memory."""


@dataclass(frozen=True, slots=True)
class MsixEvent:
    """One thing that happened; `event` is its kind."""

    event: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Kind, vector where the event has one, then the fields of the kind."""
        return {"event": self.event} | {field.name: getattr(self, field.name) for field in fields(self)}


Events = tuple[MsixEvent, ...]
"""The events of one operation, in the order in which they happened."""


@dataclass(frozen=True, slots=True)
class StateRestored(MsixEvent):
    """msix_load has read table and pending bits; nothing has been made of them yet."""

    event: ClassVar[str] = "state-restored"


@dataclass(frozen=True, slots=True)
class FunctionMask(MsixEvent):
    """The cached function mask was computed anew from Message Control: `was` before, `masked` now."""

    event: ClassVar[str] = "function-mask"
    masked: bool
    was: bool


@dataclass(frozen=True, slots=True)
class VectorEvent(MsixEvent):
    """Something that happened to one vector."""

    vector: int


@dataclass(frozen=True, slots=True)
class Mask(VectorEvent):
    """The vector is masked from now on, by its own bit or by the function mask."""

    event: ClassVar[str] = "mask"


@dataclass(frozen=True, slots=True)
class Unmask(VectorEvent):
    """The vector is live from now on: neither its own bit nor the function mask holds it."""

    event: ClassVar[str] = "unmask"


@dataclass(frozen=True, slots=True)
class PendingSet(VectorEvent):
    """The vector's pending bit went from 0 to 1."""

    event: ClassVar[str] = "pending-set"


@dataclass(frozen=True, slots=True)
class PendingCleared(VectorEvent):
    """The vector's pending bit went from 1 to 0."""

    event: ClassVar[str] = "pending-cleared"


@dataclass(frozen=True, slots=True)
class MessageEvent(VectorEvent):
    """The message was written to the bus: 32 bits of data to a 64-bit address."""

    event: ClassVar[str] = "message"
    address: int
    data: int


@dataclass(frozen=True, slots=True)
class MessageDropped(VectorEvent):
    """The device notified, yet nothing reached the bus; `reason` says why."""

    event: ClassVar[str] = "message-dropped"
    reason: str


@dataclass(frozen=True, slots=True)
class UseNotifier(VectorEvent):
    """Whoever registered notifiers (vfio, virtio with irqfd) was told that the vector is live."""

    event: ClassVar[str] = "use-notifier"
    address: int
    data: int


@dataclass(frozen=True, slots=True)
class ReleaseNotifier(VectorEvent):
    """Whoever registered notifiers was told that the vector is masked."""

    event: ClassVar[str] = "release-notifier"


@dataclass(frozen=True, slots=True)
class PollNotifier(MsixEvent):
    """Whoever keeps pending bits elsewhere was asked for those from `start` up to `end`, `end` excluded."""

    event: ClassVar[str] = "poll-notifier"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class IntxDeasserted(MsixEvent):
    """The INTx pin was taken down, as a function with MSI-X enabled must not use it."""

    event: ClassVar[str] = "intx-deasserted"


@dataclass(frozen=True, slots=True)
class VectorUsed(VectorEvent):
    """The device marked the vector used once more; `count` is the counter now."""

    event: ClassVar[str] = "vector-used"
    count: int


@dataclass(frozen=True, slots=True)
class VectorUnused(VectorEvent):
    """The device gave the vector up; `count` is the counter now."""

    event: ClassVar[str] = "vector-unused"
    count: int


@dataclass(frozen=True, slots=True)
class Reset(MsixEvent):
    """msix_reset began."""

    event: ClassVar[str] = "reset"


@dataclass(frozen=True, slots=True)
class Error(MsixEvent):
    """QEMU refused the operation, or ended over it: the last event of an operation, where there is one."""

    event: ClassVar[str] = "error"
    message: str

    @property
    def ends_qemu(self) -> bool:
        """Whether QEMU ended by an assertion, so that nothing comes after."""
        return self.message.startswith("QEMU aborts")
