"""`diff`: what differs between the devices with MSI-X of two sides, field by field.

A side may know less than another: a saved state holds vectors alone, a SPEC what it asks for.
What one side does not know is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msixtool.devices.device import MsixDevice
from msixtool.formats import msix as fmt
from msixtool.msix.state import MsixState
from msixtool.spec.values import DeviceSpec, apply_control, apply_spec, new_control, new_state

WHOLE_DEVICE = "device"
"""The field of a change that says that one side lacks the device."""
WHOLE_CAPABILITY = "capability"
"""The field of a change that says that one side's stream holds no capability of the device."""
WHOLE_PBA = "pba"
"""The field of a change of pending bits at or above the number of vectors."""
VECTOR_COUNT = "vectors"

ENTRY_FIELDS = ("address", "data", "control", "masked", "pending")
"""The fields of a change of one vector, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device as one side knows it.

    `facts` are fields of WHOLE_DEVICE by their dotted names: those that are state, and that are known.
    Positions in the stream are none, nor are the counts of what the entries say.
    """

    name: str
    instance: int
    state: MsixState
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<DeviceView {self.name[:60]!r}@{self.instance}: {self.state}>"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: `field` of one device, or of one of its vectors.

    `field` is WHOLE_DEVICE, with the DeviceView that has the device as `a` or `b`; VECTOR_COUNT; a name out
    of `DeviceView.facts`; WHOLE_CAPABILITY; WHOLE_PBA; or, with a `vector`, one of ENTRY_FIELDS.
    """

    device: str
    instance: int
    field: str
    vector: int | None
    a: Any
    b: Any


def side_of(device: MsixDevice, state: MsixState | None = None) -> DeviceView:
    """A device of a stream as a side, with another `state` than the stream's where one is given."""
    facts: dict[str, Any] = {}
    capability = device.capability
    if capability is not None:
        facts["capability.offset"] = capability.offset
        facts |= _control_facts(capability.control)
        facts["capability.table.bar"] = capability.table.bar
        facts["capability.table.offset"] = capability.table.offset
        facts["capability.pba.bar"] = capability.pba.bar
        facts["capability.pba.offset"] = capability.pba.offset
    else:
        facts[WHOLE_CAPABILITY] = None
    facts["bus_master"] = device.bus_master
    if device.virtio is not None:
        facts["config_vector"] = device.config_vector
        facts["queue_vectors"] = list(device.queue_vectors)
    return DeviceView(device.name, device.instance, device.state if state is None else state, facts)


def spec_side(spec: DeviceSpec, base: DeviceView) -> DeviceView:
    """What `spec` makes of a device: what it leaves open is as in `base`.

    Raises UsageError, naming the key, where the SPEC does not fit the device.
    """
    facts = dict(base.facts)
    if "capability.control" in facts:
        facts |= _control_facts(apply_control(spec, facts["capability.control"], base.state.vectors))
        asked = spec.capability
        for name, value in (
            ("capability.offset", asked.offset),
            ("capability.table.bar", asked.table.bar),
            ("capability.table.offset", asked.table.offset),
            ("capability.pba.bar", asked.pba.bar),
            ("capability.pba.offset", asked.pba.offset),
        ):
            if value is not None:
                facts[name] = value
    if spec.bus_master is not None and "bus_master" in facts:
        facts["bus_master"] = spec.bus_master
    return DeviceView(base.name, base.instance, apply_spec(spec, base.state), facts)


def spec_alone(spec: DeviceSpec) -> DeviceView:
    """What `spec` says by itself: entries that it leaves open are as after a reset.

    Raises UsageError where it does not say how many vectors there are, or does not fit them.
    """
    state = new_state(spec)
    facts: dict[str, Any] = _control_facts(new_control(spec)) if spec.touches_control else {}
    if spec.bus_master is not None:
        facts["bus_master"] = spec.bus_master
    return DeviceView(spec.name, spec.instance or 0, state, facts)


def _control_facts(control: int) -> dict[str, Any]:
    enabled, function_mask = bool(control & fmt.CONTROL_ENABLE), bool(control & fmt.CONTROL_FUNCTION_MASK)
    return {
        "capability.control": control,
        "capability.enabled": enabled,
        "capability.function_mask": function_mask,
        "function_masked": not enabled or function_mask,
    }


def diff_devices(a: Sequence[DeviceView], b: Sequence[DeviceView]) -> list[Change]:
    """What differs: the devices of `a` in their order, then those that only `b` has.

    Devices are matched by name and instance; of several of one name and instance, by their order.
    """
    left, right = _by_key(a), _by_key(b)
    changes: list[Change] = []
    for key, side in left.items():
        other = right.get(key)
        if other is None:
            changes.append(Change(side.name, side.instance, WHOLE_DEVICE, None, side, None))
        else:
            changes += _device_changes(side, other)
    for key, side in right.items():
        if key not in left:
            changes.append(Change(side.name, side.instance, WHOLE_DEVICE, None, None, side))
    return changes


def _by_key(sides: Sequence[DeviceView]) -> dict[tuple[str, int, int], DeviceView]:
    found: dict[tuple[str, int, int], DeviceView] = {}
    for side in sides:
        number = 0
        while (key := (side.name, side.instance, number)) in found:
            number += 1
        found[key] = side
    return found


def _device_changes(a: DeviceView, b: DeviceView) -> Iterator[Change]:
    def change(name: str, old: Any, new: Any, vector: int | None = None) -> Change:
        return Change(a.name, a.instance, name, vector, old, new)

    if a.state.vectors != b.state.vectors:
        yield change(VECTOR_COUNT, a.state.vectors, b.state.vectors)
    if (
        _knows_capability(a)
        and _knows_capability(b)
        and (WHOLE_CAPABILITY in a.facts) != (WHOLE_CAPABILITY in b.facts)
    ):
        yield change(WHOLE_CAPABILITY, _capability(a), _capability(b))
    for name, old in a.facts.items():
        if name in b.facts and old != b.facts[name]:
            yield change(name, old, b.facts[name])
    for vector in range(min(a.state.vectors, b.state.vectors)):
        entries = a.state.entries[vector], b.state.entries[vector]
        pending = a.state.is_pending(vector), b.state.is_pending(vector)
        for name in ENTRY_FIELDS[:-1] if entries[0] != entries[1] else ():
            old, new = (getattr(entry, name) for entry in entries)
            if old != new:
                yield change(name, old, new, vector)
        if pending[0] != pending[1]:
            yield change("pending", *pending, vector)
    if a.state.vectors == b.state.vectors and a.state.stray_pending != b.state.stray_pending:
        yield change(WHOLE_PBA, a.state.pba.hex(), b.state.pba.hex())


def _knows_capability(side: DeviceView) -> bool:
    return WHOLE_CAPABILITY in side.facts or "capability.offset" in side.facts


def _capability(side: DeviceView) -> dict[str, Any] | None:
    """The capability as DEVICE nests it, out of the facts; None where there is none."""
    if WHOLE_CAPABILITY in side.facts:
        return None
    facts = side.facts
    places = {
        name: {"bar": facts[f"capability.{name}.bar"], "offset": facts[f"capability.{name}.offset"]}
        for name in ("table", "pba")
    }
    plain = {name: facts[f"capability.{name}"] for name in ("offset", "control", "enabled", "function_mask")}
    return plain | places
