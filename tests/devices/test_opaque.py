"""Fields whose inside no vmdesc describes are read by what is in them."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from msixtool.devices.virtio_layout import opaque
from msixtool.tasks.field_tree import build_tree


def values(type_name: str, data: bytes) -> dict[str, Any] | None:
    """The field's parts by name."""
    layout = opaque(type_name, data)
    return None if layout is None else build_tree(layout, data).value(data)


@pytest.mark.parametrize("framebuffers", [False, True], ids=["before-8.2", "since-8.2"])
def test_what_a_guest_has_drawn_and_where_it_is_shown(framebuffers: bool) -> None:
    drawing = struct.pack(">5I", 7, 4, 2, 2, 1) + struct.pack(">QI", 0x1000, 4096) + bytes(range(32))
    scanout = struct.pack(">3I2i5I", 7, 4, 2, -1, 0, 0, 0, 0, 5, 6)
    shown = struct.pack(">6I", 2, 4, 4, 2, 16, 0) if framebuffers else b""
    data = drawing + bytes(4) + struct.pack(">iI", 1, 1) + scanout + shown
    found = values("virtio-gpu", data)
    assert found is not None
    first, last = found["resources"]
    assert (first["resource_id"], first["width"], first["height"]) == (7, 4, 2)
    assert first["pages"] == [{"addr": 0x1000, "length": 4096}]
    assert first["pixels"] == bytes(range(32)).hex()
    assert last == {"resource_id": 0}
    assert found["max_outputs"] == 1
    (output,) = found["scanouts"]
    assert (output["x"], output["cursor.pos.y"]) == (-1, 6)
    assert ("fb" in output) is framebuffers


def test_drawings_that_lie_in_guest_memory() -> None:
    one = struct.pack(">3IQIQI", 3, 8192, 2, 0x1000, 4096, 0x5000, 4096)
    found = values("blob", one + bytes(4))
    assert found is not None
    first, last = found["resources"]
    assert (first["resource_id"], first["blob_size"]) == (3, 8192)
    assert first["pages"] == [{"addr": 0x1000, "length": 4096}, {"addr": 0x5000, "length": 4096}]
    assert last == {"resource_id": 0}


def test_requests_of_a_disk_that_wait() -> None:
    write = request("2a 00 00 00 00 00 00 00 02", 5)
    write += struct.pack(">QII", 100, 1, 512) + bytes(range(256)) * 2
    read = request("28 00 00 00 00 00 00 00 08", 6, retried=True)
    read += struct.pack(">QII", 200, 8, 4096)
    found = values("scsi-requests", write + read + b"\0")
    assert found is not None
    first, second, last = found["requests"]
    assert (first["tag"], first["sector"], len(first["sent"])) == (5, 100, 1024)
    assert (second["tag"], second["sector_count"], "sent" in second) == (6, 8, False)
    assert last == {"more": 0}
    assert values("scsi-requests", b"\0") == {"requests": [{"more": 0}]}


def request(cdb: str, tag: int, *, retried: bool = False) -> bytes:
    """What stands of each request in front of its controller's part."""
    return bytes([1 if retried else 2]) + bytes.fromhex(cdb).ljust(16, b"\0") + struct.pack(">II", tag, 0)


def test_of_what_a_disk_emulates_old_releases_save_no_more_than_the_command() -> None:
    flush = request("35", 7)
    write = request("2a 00 00 00 00 00 00 00 01", 8) + struct.pack(">QII", 9, 1, 512) + bytes(512)
    old = values("scsi-requests", flush + write + b"\0")
    assert old is not None
    assert [each.get("sector") for each in old["requests"]] == [None, 9, None]
    new = values("scsi-requests", flush + struct.pack(">QIII", 0, 0, 4096, 2) + b"ab" + write + b"\0")
    assert new is not None
    assert [each.get("received") for each in new["requests"]] == [b"ab".hex(), None, None]


def test_an_mptsas_adds_its_own_request_and_where_the_data_lies() -> None:
    own = (
        bytes([3, 0, 0, 0, 10, 0, 0, 0])
        + struct.pack("<I", 7)
        + bytes(36)
        + struct.pack(">IQQ", 1, 0x8000, 512)
    )
    read = request("28 00 00 00 00 00 00 00 01", 5, retried=True) + own + struct.pack(">QII", 9, 1, 512)
    found = values("scsi-requests", read + b"\0")
    assert found is not None
    (waiting, _) = found["requests"]
    assert (waiting["scsi_io"]["TargetID"], waiting["scsi_io"]["CDBLength"]) == (3, 10)
    assert waiting["scsi_io"]["MsgContext"] == 7, "as the host has it"
    assert (waiting["sg"], waiting["sector"]) == ([{"base": 0x8000, "len": 512}], 9)


@pytest.mark.parametrize("type_name", ["virtio-gpu", "scsi-requests"])
def test_what_fits_no_schema_stays_as_it_is(type_name: str) -> None:
    for data in (b"", b"\1", b"\xff" * 300, bytes(3)):
        assert opaque(type_name, data) is None
