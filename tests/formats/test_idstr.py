"""The name of a section and its parts."""

from __future__ import annotations

import pytest

from msixtool.formats.idstr import Idstr


@pytest.mark.parametrize(
    ("name", "path", "kind", "pci", "behind"),
    [
        ("0000:00:02.0/virtio-net", "0000:00:02.0", "virtio-net", True, False),
        ("0000:00:02.0:00.1/e1000e", "0000:00:02.0:00.1", "e1000e", True, True),
        ("pci@800000020000000:02.0/virtio-net", "pci@800000020000000:02.0", "virtio-net", True, False),
        (
            "virtio-mmio@000000000a003e00/virtio-rng",
            "virtio-mmio@000000000a003e00",
            "virtio-rng",
            False,
            False,
        ),
        ("/fe.0.0000/virtio-net", "/fe.0.0000", "virtio-net", False, True),
        ("0000:00:01.3/1/usb-ptr", "0000:00:01.3/1", "usb-ptr", False, False),
        ("timer", "", "timer", True, False),
        ("", "", "", True, False),
    ],
)
def test_parts(name: str, path: str, kind: str, pci: bool, behind: bool) -> None:
    idstr = Idstr(name)
    assert (idstr.path, idstr.kind, idstr.may_be_on_pci) == (path, kind, pci)
    assert idstr == name
    if pci:
        assert idstr.is_behind_port is behind
