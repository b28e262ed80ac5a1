"""What a load sets off: the devices of a stream through QEMU's load path, without QEMU.

Source: QEMU hw/pci/msix.c (msix_load), hw/pci/pci.c (get_pci_config_device), hw/virtio/virtio.c
(virtio_load). Configuration space comes first, then table and pending bits, then each vector's
mask update as if it had been masked before: a pending vector that is live loses its pending
bit, and its message goes out only if the device has marked the vector used by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msixtool.devices.device import MsixDevice
from msixtool.formats import msix as fmt
from msixtool.msix import events as ev
from msixtool.msix.events import MsixEvent
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixState
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Msix, UsedAtLoad

NOT_KNOWN = "unknown"
"""Reason of a message of a device whose used vectors are not known."""
_STRANGER = Msix(UsedAtLoad.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Message:
    """A vector whose pending bit the load clears because the vector is live.

    `delivered` is None where nobody knows which vectors the device has marked used; `reason` is
    `vector-unused`, `bus-master-off` or `unknown`, and None for a message that is delivered.
    """

    vector: int
    address: int
    data: int
    delivered: bool | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """One state after the load path, and what happened on the way.

    `function_masked` is None, and nothing was set off, where Message Control is not known.
    """

    name: str
    instance: int
    before: MsixState
    after: MsixState
    function_masked: bool | None
    events: tuple[MsixEvent, ...]
    messages: tuple[Message, ...]
    recovery: str

    def __repr__(self) -> str:
        return (
            f"<Loaded {self.name[:60]}@{self.instance}: {len(self.messages)} messages, {len(self.lost)} lost>"
        )

    @property
    def lost(self) -> tuple[int, ...]:
        """The vectors whose pending bit is gone and whose message was not sent."""
        return tuple(message.vector for message in self.messages if message.delivered is False)


def load_device(
    device: MsixDevice,
    qemu_version: QemuVersion = NEWEST,
    *,
    xen: bool = False,
    kind: str | None = None,
    driven: bool = False,
) -> Loaded:
    """Take a device through the load path of `qemu_version`, in a fresh process.

    `kind` is its kind where its name does not say it. With `driven` what is not known of it is taken as a
    driver leaves it: MSI-X enabled, function mask clear, bus mastering on.
    """
    control = fmt.CONTROL_ENABLE | device.vectors - 1 if driven else None
    return load_state(
        device.state,
        name=device.name,
        instance=device.instance,
        kind=kind or device.kind,
        control=control if device.capability is None else device.capability.control,
        bus_master=driven if device.bus_master is None else device.bus_master,
        qemu_version=qemu_version,
        xen=xen,
    )


def load_state(
    state: MsixState,
    *,
    name: str,
    kind: str | None,
    control: int | None,
    bus_master: bool,
    instance: int = 0,
    qemu_version: QemuVersion = NEWEST,
    xen: bool = False,
) -> Loaded:
    """Take a state through the load path of a device of `kind` (None: not known).

    `control` is the Message Control word that configuration space restores, None where that is
    not known: then nothing can be said of what the load sets off. With `xen` QEMU runs under Xen, where
    a vector that is remapped to a pirq is never masked.
    """
    profile = kind_of(kind).msix
    if control is None:
        why = "Not known: configuration space, which says whether vectors are live, is not in the input."
        return Loaded(name, instance, state, state, None, (ev.StateRestored(),), (), why)
    used = None if profile is None else profile.used.vectors(state.vectors)
    function = MsixFunction.from_state(
        MsixState.reset(state.vectors),
        used=range(state.vectors) if used is None else sorted(used),
        qemu_version=qemu_version,
        xen=xen,
    )
    function.restore_config(control, bus_master=bus_master)
    events = function.load(state)
    messages = _messages(state, events, known=used is not None)
    if used is None:
        events = tuple(
            event for event in events if not isinstance(event, ev.MessageEvent | ev.MessageDropped)
        )
    return Loaded(
        name,
        instance,
        state,
        function.state,
        function.function_masked,
        events,
        messages,
        _recovery(messages, kind),
    )


def _messages(state: MsixState, events: Sequence[MsixEvent], *, known: bool) -> tuple[Message, ...]:
    """One message for each pending bit that the load cleared, with what became of it."""
    outcome: dict[int, str | None] = {}
    for event in events:
        if isinstance(event, ev.MessageEvent):
            outcome[event.vector] = None
        elif isinstance(event, ev.MessageDropped):
            outcome[event.vector] = event.reason
    messages = []
    for vector, reason in sorted(outcome.items()):
        entry = state.entries[vector]
        delivered = reason is None if known else None
        messages.append(Message(vector, entry.address, entry.data, delivered, reason if known else NOT_KNOWN))
    return tuple(messages)


def _recovery(messages: Sequence[Message], kind: str | None) -> str:
    """In words, what may bring lost interrupts back."""
    if any(message.delivered is None for message in messages):
        return (
            f"Not known: which vectors a {kind or 'device of unknown kind'} marks used before msix_load"
            " decides whether the messages are sent."
        )
    reasons = {message.reason for message in messages if message.delivered is False}
    if not reasons:
        return "Nothing is lost."
    words = []
    if ev.VECTOR_UNUSED in reasons:
        words.append((kind_of(kind).msix or _STRANGER).recovery)
    if ev.BUS_MASTER_OFF in reasons:
        words.append(
            "Turning bus mastering on later does not bring the message back: its pending bit is gone."
            " The device's next interrupt on the vector is delivered once bus mastering is on."
        )
    return " ".join(words)
