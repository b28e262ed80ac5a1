"""Rare kinds of streams, made anew by the QEMU programs that are installed here, and read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

from msixtool.containers.file import BytesSource
from msixtool.devices.locate import find_devices
from msixtool.stream.items import StreamIndex
from msixtool.stream.read import read_stream
from tests.stream.ways import MAPPED, MAPPED_OFFSET, WAYS, sections

from .guest import Guest, GuestError
from .rare import AARCH64, BUSES, RECIPES, RISCV64, play, version_of

STREAMS = [name for name in RECIPES if name != "multifd-channel"]


def made(name: str) -> bytes:
    """The stream of a recipe, by the program that it needs; skips where that is not installed."""
    recipe = RECIPES[name]
    binary = recipe.binary()
    if binary is None:
        pytest.skip(f"{recipe.program} is not installed")
    if not recipe.since <= version_of(binary) <= recipe.until:
        pytest.skip(f"QEMU {recipe.since} to {recipe.until} can write it")
    try:
        return recipe.make(binary)
    except GuestError as error:
        # Kernels and containers forbid userfaultfd, which these two are made with.
        if name in ("postcopy", "background-snapshot") or "not installed" in str(error):
            pytest.skip(f"cannot be made here: {error}")
        raise


def read_every_way(data: bytes, origin: int) -> StreamIndex:
    """The index of a stream that every way reads alike and without complaint."""
    first, *others = (way(data, origin) for way in WAYS)
    for index in (first, *others):
        assert [str(damage) for damage in index.damage] == []
        assert sections(index) == sections(first)
    return first


@pytest.mark.parametrize("name", STREAMS)
def test_a_rare_stream_is_read_every_way(name: str) -> None:
    data = made(name)
    origin = MAPPED_OFFSET if name == MAPPED else 0
    index = read_every_way(data[origin:], origin)
    assert index.terminated
    assert index.end == len(data) - origin
    devices, damage = find_devices(BytesSource(data[origin:]), index)
    assert damage == []
    on_pci = any("virtio-net-pci" in word or "e1000e" in word for word in RECIPES[name].arguments.split())
    assert bool(devices) or not on_pci


@pytest.mark.parametrize(("machine", "arguments"), [("aarch64", AARCH64), ("riscv64", RISCV64)])
def test_what_a_guest_of_another_architecture_sees_is_what_is_read(
    machine: str, arguments: Sequence[str]
) -> None:
    binary = shutil.which(f"qemu-system-{machine}")
    if binary is None:
        pytest.skip(f"qemu-system-{machine} is not installed")
    with Guest(arguments, binary=binary) as guest:
        registers = play(guest, *BUSES[machine])
        seen = {path: (msix.vmstate(), msix.control, msix.offset) for path, msix in registers.items()}
        source = BytesSource(guest.save())
    read = {}
    for device in find_devices(source, read_stream(source))[0]:
        assert device.capability is not None
        path = device.name.rpartition("/")[0]
        read[path] = (device.state.to_vmstate(), device.capability.control, device.capability.offset)
    assert read == seen
