"""Files that were changed anywhere are read, or refused in one line; nothing else comes out of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from msixtool.errors import MsixtoolError
from tests.containers.recorded import KINDS, needs, opened, recorded, unpacked

FILES = [
    *(f"members.{kind}" for kind in KINDS),
    "crc32.lzop",
    "libvirt-raw.xz",
    "libvirt-lzop.xz",
    "clusters-512.qcow2.xz",
    "compressed-zlib.qcow2.xz",
]

CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), max_size=4)


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None)
@given(changes=CHANGES, cut=st.none() | st.integers(0, 1 << 20), at=st.integers(0, 1 << 20))
def test_a_changed_file_is_read_or_refused(
    name: str, changes: list[tuple[int, bytes]], cut: int | None, at: int
) -> None:
    needs(name.rpartition(".")[2])
    data = bytearray(
        unpacked(name) if name.endswith(".xz") and not name.startswith("members") else recorded(name)
    )
    size = len(data)
    for offset, piece in changes:
        data[offset % size : offset % size + len(piece)] = piece
    if cut is not None:
        del data[cut % size :]
    try:
        with opened(bytes(data)) as file:
            file.source.read(at % size, 4096)
            file.source.read(0, 4096)
            damage = file.verify()
            assert damage is None or "\n" not in str(damage)
    except MsixtoolError as error:
        assert "\n" not in str(error)  # noqa: PT017 - many changes do no harm
