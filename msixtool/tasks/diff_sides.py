"""What two inputs of `diff` say of the same devices: streams, SPECs and saved states in any pairing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msixtool.devices.device import kind_of
from msixtool.dump import Dump, matches
from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.msix.state import MsixState
from msixtool.spec.values import DeviceSpec, Spec
from msixtool.tasks.diff import CAPABILITY, Side, side_of, spec_alone, spec_side
from msixtool.tasks.load import load_state

UNNAMED = "device"
"""What a device is called that no side names."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One input of `diff`: just one of a stream, a SPEC, and the saved state of one device."""

    path: str
    size: int = 0
    """Bytes of the file."""
    dump: Dump | None = None
    spec: Spec | None = None
    state: MsixState | None = None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "stream" if self.dump else "SPEC" if self.spec else "saved state"


def after_load(side: Side) -> Side:
    """The same device as it is after the full load path in a fresh process.

    What a SPEC or a saved state does not say is taken as `load` takes it: MSI-X enabled, bus
    mastering on. A device of a stream that does not hold its capability stays as it is.
    """
    if CAPABILITY in side.facts:
        return side
    control = side.facts.get("capability.control")
    loaded = load_state(
        side.state,
        name=side.name,
        kind=kind_of(side.name),
        control=fmt.CONTROL_ENABLE | side.state.vectors - 1 if control is None else control,
        bus_master=side.facts.get("bus_master") is not False,
    )
    return replace(side, state=loaded.after)


def sides_of(
    a: Operand,
    b: Operand,
    *,
    device: str | None = None,
    kind: str | None = None,
) -> tuple[list[Side], list[Side]]:
    """The devices of both inputs, those to be compared.

    `device` selects them as everywhere; `kind` says what device a saved state is of. Of a stream
    that is compared with a SPEC, only the devices that the SPEC names count: the others stay as
    they are. A saved state is compared with the one device that the other input has or that is
    selected.

    Raises UsageError where nothing is selected, where several devices could be meant, or where a
    SPEC does not fit, or sets fields of other sections.
    """
    for operand in (a, b):
        if operand.spec is not None and operand.spec.fields:
            raise UsageError(
                "fields: other fields than those of devices are not compared with a SPEC",
                path=operand.path,
                expected="--fields with the stream that forge makes of it",
            )
    if a.dump is not None and b.dump is not None:
        left, right = _selected(a, device), _selected(b, device)
        if device is not None and not left and not right:
            a.dump.select(device)  # raises with the candidates
        return left, right
    if a.state is not None or b.state is not None:
        return _saved_state(a, b, device or kind, kind)
    if a.spec is not None and b.spec is not None:
        specs = _chosen(a, device) + _chosen(b, device)
        if device is not None and not specs:
            raise UsageError(f"no device of either SPEC matches {device!r}")
        return [spec_alone(s) for s in _chosen(a, device)], [spec_alone(s) for s in _chosen(b, device)]
    stream, spec = (a, b) if a.dump is not None else (b, a)
    found = _stream_and_spec(stream, spec, device)
    return found if stream is a else (found[1], found[0])


def _selected(operand: Operand, device: str | None) -> list[Side]:
    """The devices of a stream that a pattern names; none is no error here."""
    assert operand.dump is not None
    return [
        side_of(found)
        for found in operand.dump.devices
        if device is None or matches(device, found.name, found.instance)
    ]


def _saved_state(
    a: Operand, b: Operand, device: str | None, kind: str | None
) -> tuple[list[Side], list[Side]]:
    """A saved state against the one device of the other input, or against another saved state."""
    if a.state is not None and b.state is not None:
        name = kind or UNNAMED
        return [Side(name, 0, a.state)], [Side(name, 0, b.state)]
    saved, other = (a, b) if a.state is not None else (b, a)
    assert saved.state is not None
    if other.dump is not None:
        found = other.dump.select_one(device)
        partner = side_of(found)
        own = Side(partner.name, partner.instance, saved.state)
    else:
        spec = _only(_chosen(other, device), other, device)
        own = Side(spec.name, spec.instance or 0, saved.state)
        partner = spec_side(spec, own)
    return ([own], [partner]) if saved is a else ([partner], [own])


def _stream_and_spec(stream: Operand, spec: Operand, device: str | None) -> tuple[list[Side], list[Side]]:
    """The devices that a SPEC names, as they are and as it makes them."""
    assert stream.dump is not None
    devices = [side_of(found) for found in stream.dump.devices]
    left, right = [], []
    specs = _chosen(spec, device)
    if device is not None and not specs:
        _only(specs, spec, device)
    for each in specs:
        base = _named(each, devices, stream)
        if base is None:
            right.append(spec_alone(each))
        else:
            left.append(base)
            right.append(spec_side(each, base))
    return left, right


def _named(spec: DeviceSpec, devices: Sequence[Side], stream: Operand) -> Side | None:
    """The device that a SPEC names: by its whole idstr, else as `--device` does; None for no such."""
    found = [side for side in devices if side.name == spec.name] or [
        side for side in devices if matches(spec.name, side.name, side.instance)
    ]
    found = [side for side in found if spec.instance in (None, side.instance)]
    if len(found) > 1:
        names = ", ".join(f"{side.name}@{side.instance}" for side in found[:12])
        raise UsageError(f"several devices are {spec.name!r}", path=stream.path, expected=f"one of {names}")
    return found[0] if found else None


def _chosen(operand: Operand, device: str | None) -> list[DeviceSpec]:
    """The devices of a SPEC that a pattern names."""
    assert operand.spec is not None
    return [
        spec
        for spec in operand.spec.devices
        if device is None or matches(device, spec.name, spec.instance or 0)
    ]


def _only(specs: Sequence[DeviceSpec], operand: Operand, device: str | None) -> DeviceSpec:
    """The one device of a SPEC. Raises UsageError, naming the candidates, otherwise."""
    if len(specs) == 1:
        return specs[0]
    assert operand.spec is not None
    names = ", ".join(spec.name for spec in (specs or operand.spec.devices)[:12])
    what = f"several devices match {device!r}" if specs and device else f"no device matches {device!r}"
    if device is None:
        what = "no device was chosen"
    raise UsageError(what, path=operand.path, expected=f"one of {names or 'none: there are none'}")
