"""The inside of a virtio blob: head, queues, the state of the device type, subsections, each with its place.

The one reader of it, for whoever asks: `fields`, `compat`, `trace`. Between the queues and the subsections
stands the state of the device type, whose length is that of its content. It is believed where it, and the
subsections behind it, lead exactly to the end of the blob.

Source: QEMU hw/virtio/virtio.c, virtio_save; the layouts are those of formats/virtio.py and virtio_types.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from construct import Struct, Tell

from msixtool.devices import virtio
from msixtool.devices.config_space import MsixCapability
from msixtool.devices.virtio import VirtioState
from msixtool.errors import FormatError
from msixtool.formats import Buffer, function, parse, pci, qevm, sizeof, virtio as fmt, virtio_types
from msixtool.formats.layout import Field, Layout, is_fixed, laid_out, struct_field
from msixtool.formats.opaque import OPAQUE
from msixtool.kept import NamedTuple

DEVICE_STATE = "device"
"""The name under which the state of the device type is given."""

MAX_RECORDS = 256
"""The most subsections that are looked at, the last ones of the blob; QEMU writes 12 at most."""

VIRTQUEUES, PACKED_VIRTQUEUES = "virtio/virtqueues", "virtio/packed_virtqueues"
FEATURES_64 = "virtio/64bit_features"

_EXTRA_STATE = "virtio/extra_state"
_EXTRA_PREFIX = "virtio_pci/"
"""Subsections of the transport's own vmsd, which lies in extra_state."""

_RECORD = re.compile(qevm.SUBSECTION_MARK + rb".(?=vir?tio[a-z_-]*/)", re.DOTALL)
_NAME = re.compile(r"[a-z_-]+/[\x21-\x7e]*")


class RingAddresses(NamedTuple):
    """Where the rings of a queue are, as guest physical addresses."""

    desc: int
    avail: int
    """Of a packed queue the driver's event structure."""
    used: int
    """Of a packed queue the device's."""


class PackedIndices(NamedTuple):
    """Of one packed queue, as in virtio/packed_virtqueues."""

    last_avail_idx: int
    last_avail_wrap_counter: int
    used_idx: int
    used_wrap_counter: int
    inuse: int


@dataclass(slots=True)
class Part:
    """A piece of the blob. Offsets are in bytes from the blob's start: of a subsection `offset` is that of
    its 0x05, and `body` that of its fields.

    `value` is what was parsed, a construct Container; None where the schema is of fixed size or not known.
    """

    name: str
    offset: int
    body: int
    end: int
    schema: Any = None
    value: Any = None

    def layout(self, subsections: tuple[Layout, ...] = ()) -> Layout:
        """Its fields, with what is nested in it."""
        if self.schema is not None:
            fields = Layout.of_schema(self.schema, self.value).fields
        else:
            size = self.end - self.body
            fields = (Field("data", "buffer", 0, size),) if size else ()
        return Layout(self.name, fields, subsections)


@dataclass
class VirtioLayout:
    """One virtio blob, as far as it is understood."""

    data: bytes
    state: VirtioState
    own: Part | None
    """The state of the device type; None where there is none. Without `value` it is not understood."""
    subsections: tuple[Part, ...]
    """In stream order, nested ones behind the one that they are in, those of the device type first."""
    parameters: dict[str, int] = field(default_factory=dict)
    """Those of formats/virtio_types with which the own state was read."""

    def subsection(self, name: str) -> Part | None:
        """The subsection of this name."""
        return next((part for part in self.subsections if part.name == name), None)

    @cached_property
    def features(self) -> int:
        """The features that the driver accepted: 64 bits, or 32 where no more are offered."""
        part = self.subsection(FEATURES_64)
        if part is None:
            return int(self.state.core.guest_features)
        features: int = parse(part.schema, self.data[part.body :], what=FEATURES_64).guest_features
        return features

    def ring(self, index: int) -> RingAddresses | None:
        """Where the rings of queue `index` are; None for a queue that is not set up, or not in the blob.

        Without VERSION_1 avail and used stand behind desc (virtio_queue_update_rings).
        """
        if index >= len(self.state.queues) or not self.state.queues[index].desc:
            return None
        queue = self.state.queues[index]
        if self.features >> fmt.VERSION_1 & 1:
            part = self.subsection(VIRTQUEUES)
            if part is None:
                return None
            at = part.body + index * _RING_SIZE
            raw = parse(fmt.RING, self.data[at : at + _RING_SIZE], what=f"virtio queue {index}")
            return RingAddresses(queue.desc, raw.avail, raw.used)
        return RingAddresses(queue.desc, *fmt.legacy_rings(queue.desc, queue.num))

    def packed(self, index: int) -> PackedIndices | None:
        """The indices of a packed queue; None where packed queues are not offered."""
        part = self.subsection(PACKED_VIRTQUEUES)
        if part is None or not 0 <= index < fmt.MAX_QUEUES:
            return None
        size = sizeof(fmt.PACKED_RING)
        at = part.body + index * size
        raw = parse(fmt.PACKED_RING, self.data[at : at + size], what=f"virtio queue {index}")
        return PackedIndices(*(raw[name] for name in PackedIndices._fields))

    def layout(self) -> Layout:
        """The layout of the blob, as a vmdesc would have it."""
        fields = _head(self.state)
        if self.own is not None and self.own.end > self.own.body:
            if self.own.value is None:
                size = self.own.end - self.own.body
                fields.append(Field(DEVICE_STATE, "buffer", 0, size))
            else:
                fields.append(struct_field(DEVICE_STATE, self.own.layout().fields))
        return Layout("virtio", laid_out(fields), _nested(self.subsections))


_RING_SIZE = sizeof(fmt.RING)


def read_blob(
    data: Buffer, kind: str = "", capability: MsixCapability | None = None, *, on_mmio: bool = False
) -> VirtioLayout | None:
    """The layout of the blob `data` of a section of this kind; None where it is none of a virtio-pci device,
    or, with `on_mmio`, of a virtio-mmio one.

    `capability` overrides what the capability list says, for lists that are damaged.
    """
    blob = bytes(data)
    try:
        state = virtio.read_virtio_mmio(blob) if on_mmio else virtio.read_virtio(blob, capability=capability)
    except FormatError:
        return None
    if not on_mmio and not _is_pci_function(blob, state):
        return None
    places = _Subsections(blob, state.end)
    own, used = _own_state(blob, kind, state, places)
    first = places.first if own is None else own.end
    if own is None and first > state.end:
        own = Part(DEVICE_STATE, state.end, state.end, first)
    return VirtioLayout(blob, state, own, tuple(places.chain(first)), used)


def _is_pci_function(blob: bytes, state: VirtioState) -> bool:
    """Whether a PCIDevice stands there: on other buses something else stands first."""
    raw = parse(pci.device_vmstate(len(state.config_space.data)), blob, what="PCIDevice")
    is_there = 0 <= raw.version_id <= pci.DEVICE_VERSION and all(level in (0, 1) for level in raw.irq_state)
    return is_there and pci.VENDOR_ID.value(raw.config) not in (0, 0xFFFF)


def _own_state(
    blob: bytes, kind: str, state: VirtioState, places: _Subsections
) -> tuple[Part | None, dict[str, int]]:
    """The state of the device type and the parameters it was read with, where it fits what follows it."""
    schema = virtio_types.OWN.get(kind)
    if schema is None:
        return None, {}
    told = {
        "features": state.core.guest_features,
        "queues": len(state.queues),
        "packed": int(places.has(PACKED_VIRTQUEUES)),
    }
    for tried in virtio_types.parameters(kind):
        made = measure(schema, blob, state.end, told | tried)
        if made is not None and places.leads_to_end(made[1]):
            return Part(DEVICE_STATE, state.end, state.end, made[1], schema, made[0]), told | tried
    return None, {}


class _Subsections:
    """Where subsections may begin, at or behind `start`, and which of them lead to the end of the blob."""

    def __init__(self, blob: bytes, start: int) -> None:
        self._end = len(blob)
        self._parts: dict[int, Part] = {}
        for record in reversed(_records(blob, start)):
            part = self._part(blob, *record)
            if part is not None:
                self._parts[part.offset] = part

    def _part(self, blob: bytes, name: str, version: int, offset: int, body: int) -> Part | None:
        """The subsection at `offset`, if what follows it leads to the end."""
        schema = fmt.FIELDS_BY_SUBSECTION.get(name) or virtio_types.SUBSECTIONS.get(name)
        if schema is None:  # of a QEMU newer than this: up to the next one that fits
            end = min((place for place in self._parts if place >= body), default=self._end)
            return Part(name, offset, body, end)
        if is_fixed(schema):
            made = (None, body + sizeof(schema))
        else:
            measured = measure(schema, blob, body, {"version": version})
            if measured is None:
                return None
            made = measured
        return Part(name, offset, body, made[1], schema, made[0]) if self.leads_to_end(made[1]) else None

    def leads_to_end(self, offset: int) -> bool:
        """Whether subsections, and nothing else, fill the blob from `offset` on."""
        return offset == self._end or offset in self._parts

    @property
    def first(self) -> int:
        """Where the first one begins that is in no other; the end of the blob where there is none."""
        return min(
            (at for at, part in self._parts.items() if not part.name.startswith(_EXTRA_PREFIX)),
            default=self._end,
        )

    def has(self, name: str) -> bool:
        """Whether one of this name may be there."""
        return any(part.name == name for part in self._parts.values())

    def chain(self, offset: int) -> Iterator[Part]:
        """Those from `offset` to the end."""
        while (part := self._parts.get(offset)) is not None:
            yield part
            offset = part.end


def _records(blob: bytes, start: int) -> list[tuple[str, int, int, int]]:
    """(name, version, offset, offset of its fields) of what looks like a subsection's header, in order."""
    found = []
    for match in _RECORD.finditer(blob, start):
        at = match.start()
        header = qevm.subsection_header(blob[at : at + qevm.SUBSECTION_HEADER_MAX])
        if header is not None and _NAME.fullmatch(header[0]):
            found.append((*header[:2], at, at + header[2]))
    return found[-MAX_RECORDS:]


@lru_cache(maxsize=64)
def _measured(schema: Any) -> Any:
    return Struct("value" / schema, "end" / Tell)


def measure(schema: Any, data: bytes, at: int, parameters: dict[str, Any]) -> tuple[Any, int] | None:
    """What `schema` parses at `at`, and the offset behind it; None where it does not fit."""
    try:
        made = parse(_measured(schema), data[at:], what="virtio device state", **parameters)
    except FormatError:
        return None
    return made.value, at + made.end


def opaque(type_name: str, data: bytes) -> Layout | None:
    """The layout of a field of a type in OPAQUE, given its bytes; None where no schema has that size."""
    schema, choices = OPAQUE[type_name]
    for parameters in choices:
        made = measure(schema, data, 0, parameters)
        if made is not None and made[1] == len(data):
            return Layout.of_schema(schema, made[0])
    return None


def _nested(records: Sequence[Part]) -> tuple[Layout, ...]:
    """The layouts of the records, each in the one before it whose subsections its name says it is among."""
    found: list[Layout] = []
    while records:
        first, rest = records[0], records[1:]
        inner = _EXTRA_PREFIX if first.name == _EXTRA_STATE else f"{first.name}/"
        count = next((at for at, each in enumerate(rest) if not each.name.startswith(inner)), len(rest))
        found.append(first.layout(_nested(rest[:count])))
        records = rest[count:]
    return tuple(found)


def _head(state: VirtioState) -> list[Field]:
    """PCIDevice, or the transport's registers, MSI-X, core and queues."""
    size = len(state.config_space.data)
    device = [struct_field("pci", function.device_layout(size).fields)] if size else []
    fields = [*(device or Layout.of_schema(fmt.MMIO_TRANSPORT).fields)]
    if state.vectors:
        fields += function.msix_layout(state.vectors).fields
        fields.append(Field("config_vector", "uint16", 0, sizeof(fmt.VECTOR)))
    fields += Layout.of_schema(fmt.CORE, state.core).fields
    return [*fields, struct_field("queues", Layout.of_schema(state.queue).fields, len(state.queues))]
