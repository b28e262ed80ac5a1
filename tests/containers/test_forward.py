"""What comes in order only can be read in any order; what was dropped costs neither memory nor disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from msixtool.containers import forward
from msixtool.containers.forward import ForwardSource
from msixtool.errors import ContainerError, InputError, TruncatedError


@pytest.fixture(scope="module", autouse=True)
def small_memory() -> Iterator[None]:
    """So little is held in memory that a few hundred bytes show all that can happen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "HELD_SIZE", 64)
        patch.setattr(forward, "CHUNK", 16)
        yield


def source_of(*chunks: bytes, room: int = 1 << 20, repeatable: bool = True) -> ForwardSource:
    """A source that these chunks come into, in order."""

    def feed() -> Iterator[bytes]:
        yield from chunks

    return ForwardSource(feed, kind="test", path="file", room=lambda: room, repeatable=repeatable)


def failing(error: InputError, *chunks: bytes) -> ForwardSource:
    """A source that is damaged behind these chunks."""

    def feed() -> Iterator[bytes]:
        yield from chunks
        raise error

    return ForwardSource(feed, kind="test", path="file", room=lambda: 1 << 20)


CHUNKS = st.lists(st.binary(max_size=40) | st.integers(0, 90).map(bytes), max_size=20)
PLACE = st.integers(0, 700)
STEPS = st.lists(st.tuples(st.sampled_from(["read", "drop"]), PLACE, st.integers(0, 200)), max_size=30)


@settings(deadline=None)
@given(CHUNKS, STEPS)
def test_any_order_of_reads_and_drops_gives_the_same_bytes(
    chunks: list[bytes], steps: list[tuple[str, int, int]]
) -> None:
    data = b"".join(chunks)
    source = source_of(*chunks)
    for step, offset, length in steps:
        if step == "read":
            assert source.read(offset, length) == data[offset : offset + length]
        else:
            source.drop(offset, offset + length)
    assert source.size == len(data)
    assert source.read(0, len(data)) == data
    source.close()


@settings(deadline=None)
@given(CHUNKS, STEPS)
def test_a_pipe_gives_the_same_bytes_or_says_that_they_are_gone(
    chunks: list[bytes], steps: list[tuple[str, int, int]]
) -> None:
    data = b"".join(chunks)
    source = source_of(*chunks, repeatable=False)
    dropped: set[int] = set()
    for step, offset, length in steps:
        if step == "drop":
            source.drop(offset, offset + length)
            dropped.update(range(offset, offset + length))
            continue
        try:
            data_read = source.read(offset, length)
        except InputError:
            assert dropped.intersection(range(offset, offset + length))
        else:
            assert data_read == data[offset : offset + length]
    source.close()


def test_a_pipe_cannot_give_again_what_was_dropped() -> None:
    source = source_of(*[b"x" * 32] * 10, repeatable=False)
    source.drop(0, 64)
    assert source.size == 320
    assert source.read(64, 4) == b"xxxx"
    with pytest.raises(InputError, match=r"file, offset 0x20: cannot be read twice"):
        source.read(32, 1)


def test_what_is_dropped_before_it_leaves_memory_never_takes_room_on_disk() -> None:
    source = source_of(*[b"x" * 32] * 100, room=128)
    for offset in range(0, 3200, 32):
        assert source.read(offset, 32) == b"x" * 32
        source.drop(offset, offset + 32)
    assert source.size == 3200


def test_zeros_take_no_room_on_disk() -> None:
    source = source_of(*[bytes(32)] * 100, b"end", room=8)
    assert source.read(3200, 3) == b"end"
    assert source.read(100, 8) == bytes(8)


def test_more_than_there_is_room_for_is_an_error_that_names_the_bound() -> None:
    source = source_of(*[b"x" * 32] * 100, room=128)
    with pytest.raises(ContainerError, match=r"file: too much has to be kept on disk: .* at most 128 bytes"):
        _ = source.size
    assert source.read(0, 32) == b"x" * 32


def test_nothing_is_left_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    source = source_of(*[b"x" * 32] * 10)
    assert source.size == 320
    assert source.read(0, 32) == b"x" * 32
    assert not os.listdir(tmp_path)
    source.close()


def test_a_missing_folder_for_temporary_files_is_an_error_that_says_how_to_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    source = source_of(*[b"x" * 32] * 10)
    with pytest.raises(ContainerError, match="TMPDIR"):
        _ = source.size


@settings(deadline=None)
@given(CHUNKS, PLACE, st.integers(1, 200))
def test_damage_is_met_where_it_is_and_nowhere_else(chunks: list[bytes], offset: int, length: int) -> None:
    data = b"".join(chunks)
    source = failing(TruncatedError("cut", offset=7), *chunks)
    if offset < len(data):
        assert source.read(offset, length) == data[offset : offset + length]
    else:
        with pytest.raises(TruncatedError, match="file, offset 0x7: cut"):
            source.read(offset, length)
    assert isinstance(source.verify(), TruncatedError)


def test_the_same_damage_can_be_met_again_without_what_was_added_to_it() -> None:
    source = failing(TruncatedError("cut"))
    with pytest.raises(TruncatedError) as first:
        source.read(0, 1)
    first.value.at(section="ram")
    with pytest.raises(TruncatedError) as second:
        source.read(0, 1)
    assert str(second.value) == "file: cut"


def test_verifying_keeps_nothing_of_what_nobody_asked_for() -> None:
    source = source_of(b"head", *[b"x" * 32] * 100, room=128)
    assert source.read(0, 4) == b"head"
    assert source.verify() is None
    assert source.read(0, 4) == b"head"
    assert source.read(1000, 4) == b"xxxx"
