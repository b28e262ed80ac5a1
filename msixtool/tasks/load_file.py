"""Loads of files: streams, SPECs and raw vmstates alike, and what is written of the state after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from msixtool.devices.device import MsixDevice
from msixtool.errors import UsageError
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.output.files import write_file
from msixtool.spec import spec_text
from msixtool.spec.saved import SavedFile
from msixtool.spec.values import DeviceSpec, Spec
from msixtool.tasks.forge import plan
from msixtool.tasks.forge_output import Base, Forged, inputs_of, write_forged
from msixtool.tasks.load import Loaded, load_device


def load_saved(
    saved: SavedFile, device: str | None = None, qemu_version: QemuVersion = NEWEST, *, xen: bool = False
) -> tuple[list[MsixDevice], list[Loaded]]:
    """Load a SPEC, or a raw vmstate whose kind is said.

    What the input leaves open is taken as a driver leaves it: MSI-X enabled, function mask clear,
    bus mastering on. Returns the devices as they were read, and what their loads set off.

    Raises UsageError where no device matches `device`, and for a raw vmstate whose kind nobody says.
    """
    if saved.state is not None and saved.kind is None:
        raise UsageError("a raw vmstate", path=saved.path, expected="its kind")
    chosen = saved.select(device)
    loaded = [load_device(each, qemu_version, xen=xen, kind=saved.kind, driven=True) for each in chosen]
    return chosen, loaded


def write_loaded_stream(base: Base, loaded: Sequence[Loaded], output: str, *, force: bool = False) -> Forged:
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
    saved: SavedFile,
    devices: Sequence[MsixDevice],
    loaded: Sequence[Loaded],
    output: str,
    *,
    force: bool = False,
) -> None:
    """Write the states after the load as they came: a raw vmstate, or a SPEC. Raises OutputError."""
    after = [replace(device, state=each.after) for device, each in zip(devices, loaded, strict=True)]
    if saved.spec is None:
        data = after[0].state.to_vmstate()
    else:
        data = "\n".join(spec_text(device, origin=os.path.basename(saved.path)) for device in after).encode()
    write_file(output, data, force=force, inputs=[saved.path])
