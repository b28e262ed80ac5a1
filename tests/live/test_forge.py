"""Forged streams, loaded by a real QEMU: it holds what was asked for, read back by MMIO."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from msixtool import forge
from msixtool.msix.state import MsixState
from msixtool.spec import apply_spec, make_spec

from .devices import DeviceKind, device_kinds, machine
from .guest import Guest
from .pci import Msix

FORGED_VECTORS = 300
"""More than 256, so that the BAR of table and pending bits has to grow."""


def asked(name: str, vectors: int, choice: random.Random) -> dict[str, Any]:
    """A SPEC of random messages for one device, none of which fires at the load.

    Pending are only vectors that are masked, but where the function mask keeps all of them.
    """
    function_mask = choice.random() < 0.3
    entries = [
        {
            "vector": vector,
            "address": choice.getrandbits(62) << 2,
            "data": choice.getrandbits(32),
            "control": choice.getrandbits(32),
            "masked": masked,
            "pending": (masked or function_mask) and choice.random() < 0.5,
        }
        for vector in range(vectors)
        for masked in [choice.random() < 0.5]
    ]
    return {"name": name, "enabled": True, "function_mask": function_mask, "entries": entries}


def state_of(spec: dict[str, Any], vectors: int) -> bytes:
    """The vmstate that a device as after a reset has with `spec`."""
    (device,) = make_spec({"devices": [spec]}).devices
    return apply_spec(device, MsixState.reset(vectors)).to_vmstate()


def saved(arguments: Sequence[str], qemu: str, path: Path) -> dict[str, int]:
    """A stream with all BARs placed and MSI-X enabled; the vectors by device path."""
    with Guest(arguments, binary=qemu) as guest:
        guest.place()
        found = guest.msix()
        for msix in found.values():
            msix.enable()
        path.write_bytes(guest.save())
        return {at: msix.vectors for at, msix in found.items()}


def holds(msix: Msix, spec: dict[str, Any]) -> None:
    """What was asked for is there: table, pending bits and Message Control."""
    assert msix.vmstate() == state_of(spec, msix.vectors), spec["name"]
    assert msix.control == 0x8000 | 0x4000 * spec["function_mask"] | msix.vectors - 1, spec["name"]


def test_every_kind_of_device_holds_what_was_forged(qemu: str, tmp_path: Path) -> None:
    arguments, at = machine(device_kinds(qemu))
    base, out = tmp_path / "base.mig", tmp_path / "out.mig"
    vectors = saved(arguments, qemu, base)
    assert set(vectors) == set(at)
    choice = random.Random(1)
    specs = {
        path: asked(f"{path}/{at[path].kind}", vectors[path], choice) | {"bus_master": choice.random() < 0.5}
        for path in vectors
    }
    forge(str(base), make_spec({"devices": list(specs.values())}), str(out))
    with Guest(arguments, binary=qemu, incoming=True) as guest:
        assert guest.load(out.read_bytes()).ok, guest.stderr()
        functions = {function.path: function for function in guest.functions()}
        for path, msix in guest.msix().items():
            holds(msix, specs[path])
            assert functions[path].bus_master == specs[path]["bus_master"], specs[path]["name"]


def resizable(binary: str) -> list[DeviceKind]:
    """The kinds whose number of vectors is the user's to choose, one for each way to lay them out."""
    return [kind for kind in device_kinds(binary) if kind.vectors]


@pytest.mark.parametrize("vectors", [1, 9, FORGED_VECTORS])
def test_a_target_with_another_number_of_vectors_takes_what_was_forged(
    qemu: str, tmp_path: Path, vectors: int
) -> None:
    kinds = resizable(qemu)
    arguments, at = machine(kinds)
    base, out = tmp_path / "base.mig", tmp_path / "out.mig"
    before = saved(arguments, qemu, base)
    choice = random.Random(vectors)
    specs = {
        path: asked(f"{path}/{at[path].kind}", vectors, choice) | {"vectors": vectors} for path in before
    }
    forge(str(base), make_spec({"devices": list(specs.values())}), str(out))
    target = ["-machine", "q35"]
    for path, kind in at.items():
        target += kind.arguments(kind.device, addr=int(path[-4:-2], 16), vectors=vectors)
    with Guest(target, binary=qemu, incoming=True) as guest:
        assert guest.load(out.read_bytes()).ok, guest.stderr()
        found = guest.msix()
        assert {path: msix.vectors for path, msix in found.items()} == dict.fromkeys(at, vectors)
        for path, msix in found.items():
            holds(msix, specs[path])


def test_a_target_with_the_number_of_vectors_of_the_base_refuses_what_was_forged(
    qemu: str, tmp_path: Path
) -> None:
    arguments = ["-machine", "q35", "-device", "virtio-net-pci,romfile=,vectors=4,addr=2"]
    base, out = tmp_path / "base.mig", tmp_path / "out.mig"
    saved(arguments, qemu, base)
    spec = make_spec({"devices": [{"name": "virtio-net", "vectors": 3}]})
    forge(str(base), spec, str(out))
    with Guest(arguments, binary=qemu, incoming=True) as guest:
        result = guest.load(out.read_bytes())
    assert result.status == "failed"
    assert "i=0x9a read: 2 device: 3" in result.stderr


def test_behind_a_root_port_a_bar_that_grows_stays_in_the_ports_window(qemu: str, tmp_path: Path) -> None:
    def arguments(vectors: int) -> list[str]:
        port = ["-device", "pcie-root-port,id=rp,chassis=1,addr=2"]
        device = ["-device", f"virtio-net-pci,romfile=,bus=rp,vectors={vectors}"]
        return ["-machine", "q35", *port, *device, "-device", "e1000e,romfile=,addr=3"]

    base, out = tmp_path / "base.mig", tmp_path / "out.mig"
    saved(arguments(4), qemu, base)
    spec = asked("virtio-net", 2048, random.Random(2)) | {"vectors": 2048}
    forge(str(base), make_spec({"devices": [spec]}), str(out))
    with Guest(arguments(2048), binary=qemu, incoming=True) as guest:
        assert guest.load(out.read_bytes()).ok, guest.stderr()
        holds(guest.msix()["0000:00:02.0:00.0"], spec)
