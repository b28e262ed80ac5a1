"""Two streams in one file: what a real QEMU loads of it is what msixtool reads."""

from __future__ import annotations

import pytest

from msixtool.containers.file import BytesSource
from msixtool.devices.locate import find_devices
from msixtool.stream.read import read_stream

from .guest import Guest

E1000E = ["-machine", "q35", "-device", "e1000e,romfile=,addr=2"]


def saved(binary: str, first: int, *more: str) -> tuple[bytes, bytes]:
    """A stream, and the MSI-X state of its e1000e, whose messages begin at `first`."""
    with Guest([*E1000E, *more], binary=binary) as guest:
        guest.place()
        msix = guest.msix()["0000:00:02.0"]
        for vector in range(msix.vectors):
            msix.set_entry(vector, 0xFEE00000, first + vector, vector % 2)
        return guest.save(), msix.vmstate()


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
def test_qemu_loads_the_first_of_two_streams_and_leaves_the_rest(qemu: str, vmdesc: bool) -> None:
    first, state = saved(qemu, 0x4040, *(() if vmdesc else ("-machine", "suppress-vmdesc=on")))
    second, other = saved(qemu, 0x4080)
    assert state != other
    both = first + second
    with Guest(E1000E, binary=qemu, incoming=True) as guest:
        assert guest.load(both).ok
        assert guest.msix()["0000:00:02.0"].vmstate() == state
    source = BytesSource(both)
    index = read_stream(source)
    (device,), damage = find_devices(source, index)
    assert damage == index.damage == []
    assert index.end == len(first)
    assert device.state.to_vmstate() == state
