"""From the end, forward, and in order: each way finds the same in every real stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.errors import NotAStreamError
from msixtool.stream.items import StreamIndex
from tests.conftest import STREAMS, stream_id, unpacked
from tests.stream.ways import MAPPED, MAPPED_OFFSET, RARE, WAYS, facts, sections, unaided

READABLE = [path for path in RARE if "channel" not in path.name]


def agree(data: bytes, origin: int = 0) -> StreamIndex:
    """What all ways find, which is the same; none of them complains.

    Footers alone are enough where there are any.
    """
    first, *others = (way(data, origin) for way in WAYS)
    if first.footers:
        others.append(unaided(data, origin))
    for other in others:
        assert sections(other) == sections(first)
        assert facts(other) == facts(first)
    for index in (first, *others):
        assert [str(damage) for damage in index.damage] == []
    assert first.terminated
    assert first.end == len(data)
    return first


@pytest.mark.parametrize("path", STREAMS, ids=stream_id)
def test_every_way_finds_the_same_sections(path: Path) -> None:
    agree(unpacked(path))


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name.removesuffix(".mig.xz"))
def test_every_way_finds_the_same_sections_of_rare_streams(path: Path) -> None:
    mapped = path.name.startswith(MAPPED)
    data = unpacked(path)
    agree(data[MAPPED_OFFSET:] if mapped else data, MAPPED_OFFSET if mapped else 0)


def test_sections_lie_end_to_end(sample: Path) -> None:
    index = agree(unpacked(sample))
    ends = [8, *(item.end for item in index.items)]
    starts = [item.offset for item in index.items]
    # Only the end marker stands between the last section and the vmdesc.
    assert starts == [*ends[: len(starts) - 1], ends[-2] + 1]


def test_from_the_end_ram_is_left_alone_and_forward_it_is_counted(sample: Path) -> None:
    from_the_end, walked = (way(unpacked(sample), 0) for way in WAYS[:2])
    assert from_the_end.ram is None
    assert walked.ram is not None
    blocks = sum(block.used_length for block in walked.blocks)
    assert 4096 * (walked.ram.pages + walked.ram.zero) == blocks


def test_another_channel_of_multifd_is_named_in_the_error(tmp_path: Path) -> None:
    (path,) = (path for path in RARE if path.name.startswith("multifd-channel"))
    with pytest.raises(NotAStreamError, match="a multifd channel of a migration"):
        Dump.open(str(path))
