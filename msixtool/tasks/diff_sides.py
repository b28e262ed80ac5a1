"""What two inputs of `diff` say of the same devices: streams, SPECs and saved states in any pairing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msixtool.dump import OpenDump, matches
from msixtool.errors import UsageError
from msixtool.formats import msix as fmt
from msixtool.formats.idstr import Idstr
from msixtool.msix.state import MsixState
from msixtool.spec.saved import SavedFile
from msixtool.spec.values import DeviceSpec
from msixtool.tasks.diff import WHOLE_CAPABILITY, DeviceView, side_of, spec_alone, spec_side
from msixtool.tasks.load import load_state

UNNAMED = "device"
"""What a device is called that no side names."""


Operand = OpenDump | SavedFile
"""One input of `diff`."""


def kind_in_words(operand: Operand) -> str:
    """What an input is."""
    if isinstance(operand, OpenDump):
        return "stream"
    return "SPEC" if operand.spec else "saved state"


def after_load(side: DeviceView) -> DeviceView:
    """The same device as it is after the full load path in a fresh process.

    What a SPEC or a saved state does not say is taken as `load` takes it: MSI-X enabled, bus
    mastering on. A device of a stream that does not hold its capability stays as it is.
    """
    if WHOLE_CAPABILITY in side.facts:
        return side
    control = side.facts.get("capability.control")
    loaded = load_state(
        side.state,
        name=side.name,
        kind=Idstr(side.name).kind,
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
) -> tuple[list[DeviceView], list[DeviceView]]:
    """The devices of both inputs, those to be compared.

    `device` selects them as everywhere; `kind` says what device a saved state is of. Of a stream
    that is compared with a SPEC, only the devices that the SPEC names count: the others stay as
    they are. A saved state is compared with the one device that the other input has or that is
    selected.

    Raises UsageError where nothing is selected, where several devices could be meant, or where a
    SPEC does not fit, or sets fields of other sections.
    """
    for operand in (a, b):
        if isinstance(operand, SavedFile) and operand.spec is not None and operand.spec.fields:
            raise UsageError(
                "fields: other fields than those of devices are not compared with a SPEC",
                path=operand.path,
                expected="--fields with the stream that forge makes of it",
            )
    if isinstance(a, OpenDump) and isinstance(b, OpenDump):
        left, right = _selected(a, device), _selected(b, device)
        if device is not None and not left and not right:
            a.select(device)  # raises with the candidates
        return left, right
    if any(isinstance(each, SavedFile) and each.state is not None for each in (a, b)):
        return _saved_state(a, b, device or kind, kind)
    if isinstance(a, SavedFile) and isinstance(b, SavedFile):
        specs = _chosen(a, device) + _chosen(b, device)
        if device is not None and not specs:
            raise UsageError(f"no device of either SPEC matches {device!r}")
        return [spec_alone(s) for s in _chosen(a, device)], [spec_alone(s) for s in _chosen(b, device)]
    if isinstance(a, OpenDump):
        assert isinstance(b, SavedFile)
        return _stream_and_spec(a, b, device)
    assert isinstance(b, OpenDump)
    left, right = _stream_and_spec(b, a, device)
    return right, left


def _selected(dump: OpenDump, device: str | None) -> list[DeviceView]:
    """The devices of a stream that a pattern names; none is no error here."""
    return [
        side_of(found)
        for found in dump.devices
        if device is None or matches(device, found.name, found.instance)
    ]


def _saved_state(
    a: Operand, b: Operand, device: str | None, kind: str | None
) -> tuple[list[DeviceView], list[DeviceView]]:
    """A saved state against the one device of the other input, or against another saved state."""
    if isinstance(a, SavedFile) and a.state is not None:
        if isinstance(b, SavedFile) and b.state is not None:
            name = kind or UNNAMED
            return [DeviceView(name, 0, a.state)], [DeviceView(name, 0, b.state)]
        return _with_partner(a.state, b, device)
    assert isinstance(b, SavedFile)
    assert b.state is not None
    own, partner = _with_partner(b.state, a, device)
    return partner, own


def _with_partner(
    state: MsixState, other: Operand, device: str | None
) -> tuple[list[DeviceView], list[DeviceView]]:
    """A saved state, and the one device of a stream or a SPEC that it is compared with."""
    if isinstance(other, OpenDump):
        partner = side_of(other.select_one(device))
        return [DeviceView(partner.name, partner.instance, state)], [partner]
    spec = _only(_chosen(other, device), other, device)
    own = DeviceView(spec.name, spec.instance or 0, state)
    return [own], [spec_side(spec, own)]


def _stream_and_spec(
    stream: OpenDump, spec: SavedFile, device: str | None
) -> tuple[list[DeviceView], list[DeviceView]]:
    """The devices that a SPEC names, as they are and as it makes them."""
    devices = [side_of(found) for found in stream.devices]
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


def _named(spec: DeviceSpec, devices: Sequence[DeviceView], stream: OpenDump) -> DeviceView | None:
    """The device that a SPEC names: by its whole idstr, else as `--device` does; None for no such."""
    found = [side for side in devices if side.name == spec.name] or [
        side for side in devices if matches(spec.name, side.name, side.instance)
    ]
    found = [side for side in found if spec.instance in (None, side.instance)]
    if len(found) > 1:
        names = ", ".join(f"{side.name}@{side.instance}" for side in found[:12])
        raise UsageError(f"several devices are {spec.name!r}", path=stream.path, expected=f"one of {names}")
    return found[0] if found else None


def _chosen(operand: SavedFile, device: str | None) -> list[DeviceSpec]:
    """The devices of a SPEC that a pattern names."""
    assert operand.spec is not None
    return [
        spec
        for spec in operand.spec.devices
        if device is None or matches(device, spec.name, spec.instance or 0)
    ]


def _only(specs: Sequence[DeviceSpec], operand: SavedFile, device: str | None) -> DeviceSpec:
    """The one device of a SPEC. Raises UsageError, naming the candidates, otherwise."""
    if len(specs) == 1:
        return specs[0]
    assert operand.spec is not None
    names = ", ".join(spec.name for spec in (specs or operand.spec.devices)[:12])
    what = f"several devices match {device!r}" if specs and device else f"no device matches {device!r}"
    if device is None:
        what = "no device was chosen"
    raise UsageError(what, path=operand.path, expected=f"one of {names or 'none: there are none'}")
