"""SPEC of the contract as values: what is asked of each device, and what that makes of its state.

What is absent stays as it is. The broader is applied first and the narrower wins: `vectors`, then
`pba` (every byte), then the list `pending` (the n bits), then an entry's own `pending`; an entry's
`control`, then its `masked`, which changes bit 0 alone; the capability's `control`, then its
`enabled` and `function_mask`, then those of the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.msix.state import MsixEntry, MsixState

RESERVED_CONTROL = 0xFFFF & ~(fmt.CONTROL_ENABLE | fmt.CONTROL_FUNCTION_MASK | fmt.CONTROL_QSIZE)
"""Bits of Message Control that no specification gives a meaning."""


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """What is asked of one vector. `key` is what an error calls it (`devices[0].entries[1].vector`)."""

    vector: int
    address: int | None = None
    data: int | None = None
    control: int | None = None
    """The whole Vector Control word."""
    masked: bool | None = None
    """Its bit 0 alone."""
    pending: bool | None = None
    key: str = field(default="vector", compare=False)


@dataclass(frozen=True, slots=True)
class PlaceSpec:
    """What is asked of the place of table or pending bits: BAR, and offset in it in bytes."""

    bar: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class CapabilitySpec:
    """What is asked of the MSI-X capability. `offset` can only be what it is: it tells which is meant."""

    offset: int | None = None
    control: int | None = None
    """The whole Message Control word, 16 bits."""
    enabled: bool | None = None
    function_mask: bool | None = None
    table: PlaceSpec = PlaceSpec()
    pba: PlaceSpec = PlaceSpec()


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """What is asked of one device. `key` is what an error calls it (`devices[0]`); none for options."""

    name: str
    instance: int | None = None
    vectors: int | None = None
    capability: CapabilitySpec = CapabilitySpec()
    enabled: bool | None = None
    function_mask: bool | None = None
    bus_master: bool | None = None
    entries: tuple[EntrySpec, ...] = ()
    pending: tuple[int, ...] | None = None
    """Exactly these of the n vectors are pending; bits at or above n stay."""
    pba: bytes | None = None
    config_vector: int | None = None
    """Of a virtio device, as virtio_save writes it; like `queue_vectors` for options only, no key of SPEC."""
    queue_vectors: tuple[tuple[int, int], ...] = ()
    """Queues of a virtio device and their vectors."""
    key: str = field(default="", compare=False)

    def named(self, name: str) -> str:
        """What an error calls a key of this device: `devices[0].pba`, or the option `--pba`."""
        if self.key:
            return f"{self.key}.{name}"
        return "--device" if name == "name" else f"--{name.replace('_', '-')}"

    @property
    def touches_control(self) -> bool:
        """Whether the capability must be there to do what is asked, `vectors` left aside."""
        return self.capability != CapabilitySpec() or (self.enabled, self.function_mask) != (None, None)


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole SPEC: devices, and vmstate fields by `SECTION/PATH`. `path` is the file it came from.

    `raised` are interrupts that are to be on their way, by device and vector (an option alone asks for them).
    """

    devices: tuple[DeviceSpec, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = field(default=None, compare=False)
    raised: tuple[tuple[str, int], ...] = ()


def apply_spec(spec: DeviceSpec, state: MsixState) -> MsixState:
    """The state that `spec` makes of `state`.

    Raises UsageError, naming the key, where a vector or the length of `pba` does not fit the number
    of vectors.
    """
    state = resized(state, state.vectors if spec.vectors is None else spec.vectors)
    if spec.pba is not None:
        state = replace(state, pba=_fitting_pba(spec, spec.pba, state.vectors))
    if spec.pending is not None:
        for index, vector in enumerate(spec.pending):
            _check_vector(f"{spec.named('pending')}[{index}]", vector, state.vectors)
        state = state.with_pending(spec.pending)
    pending = set(state.pending)
    entries = list(state.entries)
    for entry in spec.entries:
        _check_vector(entry.key, entry.vector, state.vectors)
        entries[entry.vector] = _entry(entry, entries[entry.vector])
        if entry.pending is not None:
            (pending.add if entry.pending else pending.discard)(entry.vector)
    return replace(state, entries=tuple(entries)).with_pending(pending)


def apply_control(spec: DeviceSpec, control: int, vectors: int) -> int:
    """The Message Control word (16 bits) that `spec` makes of `control`, of a device with `vectors` now.

    Raises UsageError where the spec changes the number of vectors and gives a word with another one.
    """
    size = vectors if spec.vectors is None else spec.vectors
    if size != vectors:
        control = control & ~fmt.CONTROL_QSIZE | size - 1
    asked = spec.capability
    if asked.control is not None:
        if size != vectors and asked.control & fmt.CONTROL_QSIZE != size - 1:
            raise UsageError(
                spec.named("capability.control"),
                expected=f"table size {size - 1:#x} in bits 10:0, as {spec.named('vectors')} says",
                found=f"{asked.control:#06x}",
            )
        control = asked.control
    for enabled, masked in ((asked.enabled, asked.function_mask), (spec.enabled, spec.function_mask)):
        control = _with_bit(control, fmt.CONTROL_ENABLE, enabled)
        control = _with_bit(control, fmt.CONTROL_FUNCTION_MASK, masked)
    return control


def new_state(spec: DeviceSpec) -> MsixState:
    """The state that `spec` describes from nothing: what it leaves open is as after a reset.

    Raises UsageError where it does not say how many vectors there are, and as `apply_spec` does.
    """
    if spec.vectors is None:
        raise UsageError(
            f"{spec.named('vectors')} is missing, and no base says it", expected=f"1 to {fmt.MAX_VECTORS}"
        )
    return apply_spec(spec, MsixState.reset(spec.vectors))


def new_control(spec: DeviceSpec) -> int:
    """The Message Control word of a device made from nothing: as after a reset but for what is asked."""
    vectors = new_state(spec).vectors
    return apply_control(spec, vectors - 1, vectors)


def resized(state: MsixState, vectors: int) -> MsixState:
    """The state with another number of vectors: those that stay are kept, new ones are as after a reset.

    Pending bits at or above the smaller of the two numbers are cleared: they would come to mean
    another vector. With the same number nothing changes.
    """
    if vectors == state.vectors:
        return state
    kept = min(vectors, state.vectors)
    fresh = MsixState.reset(vectors)
    return replace(fresh, entries=state.entries[:kept] + fresh.entries[kept:]).with_pending(
        vector for vector in state.pending if vector < kept
    )


def _with_bit(word: int, bit: int, wanted: bool | None) -> int:
    if wanted is None:
        return word
    return word | bit if wanted else word & ~bit


def _entry(spec: EntrySpec, entry: MsixEntry) -> MsixEntry:
    changed = MsixEntry(
        entry.address if spec.address is None else spec.address,
        entry.data if spec.data is None else spec.data,
        entry.control if spec.control is None else spec.control,
    )
    return changed if spec.masked is None else changed.with_masked(spec.masked)


def _check_vector(key: str, vector: int, vectors: int) -> None:
    if not 0 <= vector < vectors:
        raise UsageError(key, expected=f"a vector from 0 to {vectors - 1}", found=vector)


def _fitting_pba(spec: DeviceSpec, pba: bytes, vectors: int) -> bytes:
    size = fmt.pba_size(vectors)
    if len(pba) != size:
        raise UsageError(
            spec.named("pba"),
            expected=f"{size} byte{'s' * (size > 1)} in hex for {vectors} vectors",
            found=len(pba),
        )
    return pba
