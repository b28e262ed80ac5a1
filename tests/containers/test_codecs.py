"""Compressed files: what the real programs wrote is read, and what is damaged is said and bounded."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import lzma
import random
import tracemalloc
import zlib

import pytest

from msixtool import schemas
from msixtool.containers import forward, unpack
from msixtool.containers.codecs import CODECS
from msixtool.errors import ContainerError, InputError, NotAStreamError, TruncatedError, UsageError
from msixtool.tasks.forge_output import check_packed
from msixtool.tasks.forge_pack import TOOLS
from tests.conftest import REPOSITORY
from tests.containers.recorded import KINDS, everything, kinds, needs, opened, recorded, stream

CHECKED = {"gzip": -8, "bzip2": -2, "xz": -20, "zstd": -1, "lz4": -1, "lzop": -10}
"""A byte, from the end, that a checksum covers or that is one."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["stream", "members"])
def test_what_the_program_wrote_is_read(kind: str, name: str) -> None:
    needs(kind)
    with opened(recorded(f"{name}.{kind}")) as file:
        assert kinds(file) == [kind]
        assert everything(file) == stream()
        assert file.verify() is None
        assert file.source.sequential


def test_lzop_with_all_its_checksums_is_read() -> None:
    needs("lzop")
    with opened(recorded("crc32.lzop")) as file:
        assert everything(file) == stream()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_checksum_is_an_error_behind_the_data(kind: str) -> None:
    needs(kind)
    data = bytearray(recorded(f"members.{kind}"))
    data[CHECKED[kind]] ^= 0x10
    with opened(bytes(data)) as file:
        # lzop's checksums stand before their block, so nothing of a wrong one is given out.
        readable = len(stream()) // 2 if kind == "lzop" else len(stream())
        assert file.source.read(0, len(stream()) + 1) == stream()[:readable]
        with pytest.raises(ContainerError, match=f"{kind} data cannot be unpacked: found ") as error:
            file.source.read(readable, 1)
        assert "\n" not in str(error.value)
        assert str(file.verify()) == str(error.value)
        with pytest.raises(ContainerError):
            _ = file.source.size


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_gives_what_is_there_and_then_says_so(kind: str) -> None:
    needs(kind)
    whole = recorded(f"members.{kind}")
    for size in (len(whole) - 1, len(whole) * 3 // 4):
        with opened(whole[:size]) as file:
            data = file.source.read(0, len(stream()))
            assert len(data) >= len(stream()) // 2
            assert stream().startswith(data)
            with pytest.raises(TruncatedError, match=f"{kind} data is cut short"):
                file.source.read(len(data), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_head_is_said_rather_than_that_there_is_no_stream(kind: str) -> None:
    needs(kind)
    data = bytearray(recorded(f"stream.{kind}"))
    for index in range(len(data) // 3, len(data) // 2):
        data[index] ^= 0xFF
    with pytest.raises(InputError, match=f"{kind} data "):
        everything(opened(bytes(data)))


def test_what_stands_before_late_damage_is_given_once_and_whole() -> None:
    content = b"QEVM" + b"".join(bytes([byte]) * 9 for byte in random.Random(7).randbytes(1 << 17))
    packed = bytearray(gzip.compress(content, 1))
    packed[-5] ^= 1
    with opened(bytes(packed)) as file:
        assert file.source.read(0, 2 << 20) == content
        assert str(file.verify()) == (
            f"<file>, offset {len(packed) - 4:#x}: gzip data cannot be unpacked: found incorrect data check"
        )


def test_the_layers_between_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "HELD_SIZE", 1 << 18)
    content = b"QEVM" + random.Random(7).randbytes(2 << 20)
    with opened(gzip.compress(gzip.compress(content, 0), 0), spool_limit=0) as file:
        for offset in range(0, len(content), 1 << 16):
            assert file.source.read(offset, 1 << 16) == content[offset : offset + (1 << 16)]
            file.source.drop(offset, offset + (1 << 16))
        assert file.source.read(0, 8) == content[:8]


def test_an_xz_file_that_wants_gigabytes_of_memory_is_refused() -> None:
    data = bytearray(recorded("stream.xz"))
    header = slice(12, 12 + 4 * (data[12] + 1) - 4)
    properties = data.index(b"\x21\x01", 12, 24) + 2
    data[properties] = 39  # a dictionary of 3 GiB
    data[header.stop : header.stop + 4] = zlib.crc32(data[header]).to_bytes(4, "little")
    with pytest.raises(ContainerError, match="xz data cannot be unpacked: found Memory usage limit exceeded"):
        opened(bytes(data))


def test_a_damaged_block_whose_bytes_come_out_wrong_is_not_taken_for_no_stream() -> None:
    data = bytearray(bz2.compress(stream() * 60))
    data[len(data) // 8] ^= 1
    with pytest.raises(ContainerError, match="bzip2 data cannot be unpacked: found Invalid data stream"):
        opened(bytes(data))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "lzop", "lz4"])
def test_garbage_behind_a_member_is_left_alone_as_the_tool_does(kind: str) -> None:
    needs(kind)
    assert everything(opened(recorded(f"stream.{kind}") + b"garbage" * 9)) == stream()


@pytest.mark.parametrize("kind", ["xz", "zstd"])
def test_garbage_behind_a_member_is_refused_as_the_tool_does(kind: str) -> None:
    needs(kind)
    with opened(recorded(f"stream.{kind}") + b"garbage") as file:
        assert file.source.read(0, len(stream())) == stream()
        assert "followed by something else: found 67 61 72" in str(file.verify())


def test_padding_between_xz_streams_is_passed_over() -> None:
    half = len(stream()) // 2
    data = lzma.compress(stream()[:half]) + bytes(8) + lzma.compress(stream()[half:]) + bytes(1 << 21)
    assert everything(opened(data)) == stream()
    with pytest.raises(ContainerError, match="followed by something else"):
        everything(opened(data + bytes(3)))


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_skippable_frames_are_skipped(kind: str) -> None:
    needs(kind)
    frame = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    with opened(frame * 2 + recorded(f"stream.{kind}") + frame) as file:
        assert kinds(file) == [kind]
        assert everything(file) == stream()


def test_thousands_of_tiny_members_are_one_stream() -> None:
    text = b"QEVM" + bytes(range(256)) * 20
    data = b"".join(gzip.compress(text[index : index + 1]) for index in range(len(text)))
    assert everything(opened(data + gzip.compress(b"") * 1000)) == text


@pytest.mark.parametrize(
    ("kind", "module", "command"),
    [
        ("zstd", "backports.zstd", "pip install 'msixtool[zstd]'"),
        ("lz4", "lz4.frame", "pip install 'msixtool[lz4]'"),
        ("lzop", "lzallright", "pip install 'msixtool[lzop]'"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    kind: str, module: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name in (module, "compression.zstd"):
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ContainerError) as error:
        opened(recorded(f"stream.{kind}"))
    assert command in str(error.value)
    assert module in str(error.value)


def test_a_decompression_bomb_is_refused_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "ALLOWANCE", 4 << 20)
    bomb = bz2.compress(b"QEVM" + bytes(20 << 20))
    with opened(bomb) as file:
        assert file.source.read(0, 8) == b"QEVM\0\0\0\0"
        with pytest.raises(ContainerError, match=r"decompression bomb \(--max-ratio"):
            _ = file.source.size
    with opened(bomb, max_ratio=None) as file:
        assert file.source.size == 4 + (20 << 20)


def test_layers_of_a_bomb_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "ALLOWANCE", 4 << 20)
    inner = gzip.compress(b"QEVM" + bytes(20 << 20))  # about 1,000 bytes out of one
    with opened(inner, max_ratio=2000) as file:
        assert file.source.read(10 << 20, 1) == b"\0"
    outer = gzip.compress(inner * 20)
    with opened(outer, max_ratio=2000) as file, pytest.raises(ContainerError, match="decompression bomb"):
        _ = file.source.size


def test_what_is_kept_of_a_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "KEPT_ALLOWANCE", 1 << 20)
    bomb = gzip.compress(b"QEVM" + b"x" * (20 << 20))
    with opened(bomb) as file, pytest.raises(ContainerError, match="too much has to be kept on disk"):
        _ = file.source.size


def test_memory_stays_flat_whatever_a_file_unpacks_to() -> None:
    data = gzip.compress(b"QEVM" + bytes(range(256)) * (64 << 12), 1)
    with opened(data) as file:
        tracemalloc.start()
        try:
            for offset in range(0, 64 << 20, 1 << 20):
                file.source.read(offset, 1 << 20)
                if offset < 48 << 20:
                    file.source.drop(offset, offset + (1 << 20))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < forward.HELD_SIZE + (8 << 20)
        assert file.source.read(50 << 20, 4) == b"\xfc\xfd\xfe\xff"


@pytest.mark.parametrize("size", [(256 << 10) + 1, 0xFFFFFFFF])
def test_an_absurd_lzop_block_is_refused_before_it_is_unpacked(size: int) -> None:
    needs("lzop")
    data = bytearray(recorded("stream.lzop"))
    at = data.index(len(stream()).to_bytes(4, "big"))
    data[at : at + 4] = size.to_bytes(4, "big")
    with pytest.raises(ContainerError, match=f"block of {size} bytes"):
        opened(bytes(data))


def test_every_checksum_of_lzop_is_looked_at() -> None:
    needs("lzop")
    block = recorded("crc32.lzop").index(len(stream()).to_bytes(4, "big"))
    for at, words in (
        (block - 12, "wrong checksum of a header"),  # the time, which nobody reads
        (block + 8, "wrong checksum of a block"),
        (block + 12, "wrong checksum of a packed block"),
    ):
        data = bytearray(recorded("crc32.lzop"))
        data[at] ^= 1
        with pytest.raises(ContainerError, match=words):
            opened(bytes(data))


def test_text_that_only_begins_like_bzip2_is_no_bzip2() -> None:
    with pytest.raises(NotAStreamError, match="text: 'BZh9, and so on'"):
        opened(b"BZh9, and so on\n")


@pytest.mark.parametrize("kind", [codec.kind for codec in CODECS])
def test_a_codec_is_packed_too_and_told_of(kind: str) -> None:
    assert kind in TOOLS
    assert f'"{kind}"' in json.dumps(schemas.read("common"))
    assert kind in (REPOSITORY / "README.md").read_text()
    assert kind in KINDS


def test_what_nothing_is_packed_in_is_refused() -> None:
    check_packed(["xz", "libvirt", ""])
    with pytest.raises(UsageError, match="nothing is packed as tar: expected one of gzip"):
        check_packed(["xz", "tar"])
