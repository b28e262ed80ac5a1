"""Two streams in one file: QEMU loads the first and leaves the rest, and so it is read."""

from __future__ import annotations

import itertools

import pytest

from msixtool.stream.items import StreamIndex
from tests.conftest import REPOSITORY, unpacked
from tests.stream.build import Stream, page
from tests.stream.ways import WAYS, facts, rare, sections

SAMPLES = REPOSITORY / "samples"
KINDS = {
    "one-device": unpacked(SAMPLES / "q35-net-4-vectors-7.2.mig.xz"),
    "many-devices": unpacked(SAMPLES / "q35-virtio-e1000e-7.2.mig.xz"),
    "no-vmdesc": rare("no-vmdesc"),
    "old-vmdesc": unpacked(SAMPLES / "pc-megasas-vmxnet3-5.2.mig.xz"),
}


def same(one: StreamIndex, other: StreamIndex) -> None:
    assert [str(damage) for damage in one.damage] == []
    assert (sections(one), facts(one)) == (sections(other), facts(other))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_of_two_streams_in_one_file_the_first_is_read(first: str, second: str, way: type) -> None:
    alone = way(KINDS[first], 0)
    assert alone.end == len(KINDS[first])
    same(way(KINDS[first] + KINDS[second], 0), alone)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_of_a_stream_that_was_written_over_a_longer_one_the_longer_ones_rest_is_left(way: type) -> None:
    longer, stream = KINDS["many-devices"], KINDS["one-device"]
    same(way(stream + longer[len(stream) :], 0), way(stream, 0))


def test_a_page_that_holds_a_stream_is_a_page() -> None:
    small = bytes(Stream().ram().full(9, "timer", bytes(24)))
    whole = Stream().ram(page(0, small.ljust(4096, b"\0"), "pc.ram")).full(9, "timer", bytes(24))
    for way in WAYS:
        index = way(bytes(whole), 0)
        assert index.end == len(bytes(whole))
        assert index.damage == []
