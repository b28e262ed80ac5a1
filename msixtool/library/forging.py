"""New streams and states: `forge`, what it would change, and states from nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from msixtool.errors import UsageError
from msixtool.output.files import check_output, write_file
from msixtool.spec import DeviceSpec, Spec, new_state, spec_text
from msixtool.spec.saved import NAMELESS, device_of
from msixtool.tasks.diff import Change, DeviceView, diff_devices, side_of
from msixtool.tasks.diff_fields import FieldChange, diff_fields
from msixtool.tasks.forge import plan
from msixtool.tasks.forge_new import asked_vectors
from msixtool.tasks.forge_output import Forged, forged_dump, inputs_of, open_base, write_forged
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.containers.base import Progress
    from msixtool.dump import OpenOptions


@dataclass(frozen=True, slots=True, repr=False)
class Forecast:
    """What a forgery would change: by device (of those in `devices`), by field where fields are asked for.

    `size` counts the bytes that are written anew in `places`, `growth` by how many the stream grows.
    """

    devices: tuple[DeviceView, ...]
    changes: tuple[Change, ...]
    fields: tuple[FieldChange, ...]
    size: int
    places: int
    growth: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"<Forecast: {plural(self.size, 'byte')} in {plural(self.places, 'place')}, growth {self.growth}>"
        )


def forge(
    base: str | os.PathLike[str],
    spec: Spec,
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    like_base: bool = False,
    damaged: bool = False,
    progress: Progress | None = None,
    **where: Unpack[OpenOptions],
) -> Forged:
    """Write a stream like `base` but for what `spec` asks to `output` ("-": standard output).

    `damaged` takes a base that is damaged; `force` writes over a file, though never over an input, and
    `like_base` packs the output as the base is.

    Raises UsageError where the SPEC asks for what cannot be, InputError where the base cannot be
    read, OutputError where the output must not or cannot be written: then there is none.
    """
    base, output = os.fspath(base), os.fspath(output)
    inputs = inputs_of(base, spec)
    check_output(output, force=force, inputs=inputs)
    with open_base(base, damaged=damaged, progress=progress, **where) as opened:
        planned = plan(opened.dump, spec)
        return write_forged(
            opened, planned, output, force=force, like_base=like_base, inputs=inputs, progress=progress
        )


def forecast(
    base: str | os.PathLike[str],
    spec: Spec,
    *,
    damaged: bool = False,
    **where: Unpack[OpenOptions],
) -> Forecast:
    """What `forge` would change; nothing is written. Raises as `forge` does."""
    with open_base(os.fspath(base), damaged=damaged, **where) as opened:
        planned = plan(opened.dump, spec)
        before, after = opened.dump, forged_dump(opened, planned)
        a, b = ([side_of(device) for device in dump.devices] for dump in (before, after))
        fields: tuple[FieldChange, ...] = ()
        if spec.fields or spec.raised:
            keys = {(side.name, side.instance) for side in a}
            fields = diff_fields(before, after, by_vector=keys).changes
        pieces = planned.replacements
        return Forecast(
            (*a, *b),
            tuple(diff_devices(a, b)),
            fields,
            sum(max(each.end - each.start, len(each.data)) for each in pieces),
            len(pieces),
            sum(len(each.data) - (each.end - each.start) for each in pieces),
            tuple(planned.notes),
        )


def forge_new(
    spec: Spec,
    output: str | os.PathLike[str],
    *,
    kind: str | None = None,
    text: bool = False,
    force: bool = False,
) -> None:
    """Write the raw vmstate of a device that never ran, or with `text` a SPEC of it.

    It is as after a reset but for what `spec` asks of one device; `kind` gives the number of vectors
    where a kind of device has a fixed one. Raises UsageError where it is not known, or the SPEC asks for
    more than one device's state; OutputError.
    """
    output = os.fspath(output)
    check_output(output, force=force)
    if len(spec.devices) > 1 or spec.fields:
        raise UsageError("--new makes the state of one device", path=spec.path, expected="one device")
    asked = spec.devices[0] if spec.devices else DeviceSpec(kind or NAMELESS)
    state = new_state(replace(asked, vectors=asked_vectors(kind, asked.vectors)))
    data = spec_text(device_of(state, kind or NAMELESS)).encode() if text else state.to_vmstate()
    write_file(output, data, force=force, inputs=[spec.path] if spec.path else [])
