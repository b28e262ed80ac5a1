"""Loads of files: streams, SPECs and raw vmstates alike, and what is written of the state after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from msixtool.devices.device import MsixDevice
from msixtool.dump import matches
from msixtool.errors import NotAStreamError, UsageError
from msixtool.formats import msix as fmt
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.output.files import write_file
from msixtool.qemu.profiles import check_kind
from msixtool.spec import spec_text
from msixtool.spec.saved import NAMELESS, read_saved
from msixtool.spec.values import DeviceSpec, Spec
from msixtool.tasks.forge import plan
from msixtool.tasks.forge_output import Base, Forged, inputs_of, write_forged
from msixtool.tasks.load import Loaded, load_state


def load_saved(
    path: str,
    *,
    kind: str | None = None,
    vectors: int | None = None,
    device: str | None = None,
    qemu_version: QemuVersion = NEWEST,
) -> tuple[list[MsixDevice], list[Loaded]]:
    """Load a SPEC, or the raw vmstate of one device of `kind` with `vectors` vectors.

    What the input leaves open is taken as a driver leaves it: MSI-X enabled, function mask clear,
    bus mastering on. Returns the devices as they were read, and what their loads set off.

    Raises NotAStreamError where the file is neither, or a raw vmstate whose kind nobody says;
    UsageError where the vectors are not as many, or no device of the SPEC matches `device`.
    """
    if kind is not None:
        check_kind(kind)
    found = read_saved(path)
    if not found:
        raise UsageError("SPEC", path=path, expected="a device to load", found="none")
    if found[0].name == NAMELESS and kind is None:
        raise NotAStreamError(
            "no QEMU migration stream and no SPEC",
            path=path,
            expected="one of the two, or a raw vmstate with --kind and --vectors",
        )
    if vectors is not None and any(each.vectors != vectors for each in found):
        raise UsageError("vectors in the state", path=path, expected=vectors, found=found[0].vectors)
    chosen = [each for each in found if device is None or matches(device, each.name, each.instance)]
    if not chosen:
        raise UsageError(f"no device of the SPEC matches {device!r}", path=path)
    return chosen, [_load(each, kind, qemu_version) for each in chosen]


def _load(device: MsixDevice, kind: str | None, qemu_version: QemuVersion) -> Loaded:
    control = device.capability.control if device.capability else fmt.CONTROL_ENABLE | device.vectors - 1
    return load_state(
        device.state,
        name=device.name,
        instance=device.instance,
        kind=kind or device.kind,
        control=control,
        bus_master=device.bus_master is not False,
        qemu_version=qemu_version,
    )


def write_loaded_stream(
    base: Base,
    loaded: Sequence[Loaded],
    output: str,
    *,
    force: bool = False,
) -> Forged:
    """Write the stream of `base` with the states after the load: all bytes but the pending bits are its own.

    Raises as `write_forged` does.
    """
    devices = tuple(
        DeviceSpec(each.name, each.instance, pba=each.after.pba)
        for each in loaded
        if each.after != each.before
    )
    spec = Spec(devices)
    return write_forged(
        base, plan(base.dump, spec), output, force=force, inputs=inputs_of(base.dump.path, spec)
    )


def write_loaded_saved(
    path: str, devices: Sequence[MsixDevice], loaded: Sequence[Loaded], output: str, *, force: bool = False
) -> None:
    """Write the states after the load as they came: a raw vmstate, or a SPEC. Raises OutputError."""
    after = [replace(device, state=each.after) for device, each in zip(devices, loaded, strict=True)]
    if after[0].name == NAMELESS:
        data = after[0].state.to_vmstate()
    else:
        data = "\n".join(spec_text(device, origin=os.path.basename(path)) for device in after).encode()
    write_file(output, data, force=force, inputs=[path])
