"""From a file to a stream: layers in any order, pipes, offsets, and what is no stream at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import threading
from pathlib import Path

import pytest

from msixtool.containers.open import open_source
from msixtool.errors import ContainerError, InputError, NotAStreamError, TruncatedError, UsageError
from tests.containers.recorded import (
    DATA,
    KINDS,
    everything,
    kinds,
    needs,
    opened,
    recorded,
    stream,
    unpacked,
)


def test_a_plain_stream_has_no_layers() -> None:
    with opened(stream()) as file:
        assert file.layers == []
        assert file.size == len(stream())
        assert file.origin == 0
        assert not file.source.sequential
        assert everything(file) == stream()


def test_a_file_is_opened_by_its_path_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "stream.txt"
    path.write_bytes(recorded("stream.gzip"))
    for name in (path, str(path)):
        with open_source(name) as file:
            assert file.path == str(path)
            assert file.size == len(recorded("stream.gzip"))
            assert file.layers == [{"kind": "gzip"}]
            assert everything(file) == stream()


@pytest.mark.parametrize("magic", [b"QEVM\0\0\0\2", b"QEVM\0\0\0\3", b"QEVM\xff\xff\xff\xff", b"QEVM"])
def test_what_follows_the_magic_is_not_judged_here(magic: bytes) -> None:
    assert everything(opened(magic)) == magic


def test_layers_are_found_in_any_order() -> None:
    data = bz2.compress(gzip.compress(recorded("libvirt-gzip.xz")))
    with opened(data) as file:
        assert kinds(file) == ["bzip2", "gzip", "xz", "libvirt", "gzip"]
        assert file.source.size == 33662
        assert file.source.read(0, 4) == b"QEVM"


def test_layers_without_end_are_refused() -> None:
    data = stream()
    for _ in range(8):
        data = gzip.compress(data)
    assert everything(opened(data)) == stream()
    with pytest.raises(ContainerError, match="too many layers in one another"):
        opened(gzip.compress(data))


def test_an_offset_skips_bytes_of_the_file() -> None:
    with opened(bytes(4096) + stream(), offset=4096) as file:
        assert everything(file) == stream()
        assert file.origin == 4096
        assert file.size == 4096 + len(stream())
    with opened(b"lead" + recorded("stream.xz"), offset=4) as file:
        assert everything(file) == stream()
        assert file.origin == 0
    for offset in (-1, len(stream()), 1 << 70):
        with pytest.raises(UsageError, match="no bytes at --offset"):
            opened(stream(), offset=offset)


def test_the_offset_of_an_error_counts_from_the_start_of_the_file() -> None:
    with opened(bytes(4096) + recorded("stream.gzip")[:-3], offset=4096) as file:
        place = 4096 + len(recorded("stream.gzip")) - 3
        with pytest.raises(TruncatedError, match=f"<file>, offset {place:#x}: gzip data is cut short"):
            _ = file.source.size


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "found nothing: it is empty"),
        (b"\x7fELF\2\1\1", "an ELF file"),
        (b'{"a": 1}', "JSON text"),
        (b"<domain type='kvm'>", "a libvirt domain XML"),
        (b"#!/bin/sh\necho\n", "text: '#!/bin/sh'"),
        (b"\n\n", "text: ''"),
        (b"\x11\x22\x33\x44\0\0\0\1" + bytes(56), "a multifd channel of a migration"),
        (bytes(2000), "1024 zero bytes at the start .--offset"),
        (b"PK\x03\x04abc", "a zip archive"),
        (bytes(100) + b"\1" * 157 + b"ustar", "a tar archive"),
        (b"KDMV\0", "a VMDK disk image"),
        (b"\x80\x81\x82\x83", "bytes 80 81 82 83"),
    ],
)
def test_what_is_no_stream_is_told_by_what_it_looks_like(data: bytes, words: str) -> None:
    with pytest.raises(NotAStreamError, match=f"<file>: no QEMU migration stream: expected QEVM, .*{words}"):
        opened(data)
    with pytest.raises(NotAStreamError, match=f"no QEMU migration stream in gzip: .*{words}"):
        opened(gzip.compress(data))


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: cannot be opened: found No such file or directory"):
        open_source(tmp_path / "absent")
    with pytest.raises(InputError, match="is a directory"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        open_source("a\0b")


def through_fifo(tmp_path: Path, data: bytes) -> Path:
    """A named pipe that these bytes come out of."""
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def write() -> None:
        with open(path, "wb") as pipe:
            pipe.write(data)

    threading.Thread(target=write, daemon=True).start()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_read_in_one_pass(kind: str, tmp_path: Path) -> None:
    needs(kind)
    with open_source(through_fifo(tmp_path, recorded(f"members.{kind}"))) as file:
        assert file.size == 0
        assert everything(file) == stream()


@pytest.mark.parametrize("name", ["libvirt-xz.xz", "v3.qcow2.xz", "extended-l2.qcow2.xz"])
def test_a_pipe_of_any_container_is_read(name: str, tmp_path: Path) -> None:
    with open_source(through_fifo(tmp_path, unpacked(name))) as file:
        assert file.source.sequential
        assert everything(file) == everything(opened(unpacked(name)))


@pytest.mark.parametrize(("device", "found"), [("zero", "zero bytes"), ("null", "nothing")])
def test_a_character_device_is_read_and_not_called_empty_unread(device: str, found: str) -> None:
    with pytest.raises(NotAStreamError, match=f"expected QEVM, found .*{found}"):
        open_source(f"/dev/{device}")


def test_standard_input_is_read_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"lead" + recorded("stream.xz"))
    os.close(writer)
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with open_source("-", offset=4) as file:
            assert file.path == "-"
            assert everything(file) == stream()


def test_standard_input_that_is_a_file_is_read_from_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"lead" + stream())
    with open(path) as stdin:
        os.lseek(stdin.fileno(), 4, os.SEEK_SET)
        monkeypatch.setattr(sys, "stdin", stdin)
        with open_source("-") as file:
            assert not file.source.sequential
            assert file.origin == 4
            assert everything(file) == stream()


def test_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="-: cannot be opened"):
        open_source("-")


def test_a_file_object_stays_open_and_a_file_is_closed(tmp_path: Path) -> None:
    file_object = io.BytesIO(recorded("stream.bzip2"))
    open_source(file_object).close()
    assert not file_object.closed
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    open_source(DATA / "stream.xz").close()
    with pytest.raises(NotAStreamError):
        open_source(DATA / "make.sh")
    with pytest.raises(NotAStreamError):
        open_source(through_fifo(tmp_path, b"nothing"))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_progress_counts_the_bytes_of_the_outer_file_up_to_its_end() -> None:
    data = lzma.compress(gzip.compress(stream() * 100))
    told: list[tuple[int, int]] = []
    with opened(data, progress=lambda done, total: told.append((done, total))) as file:
        assert file.source.size == 100 * len(stream())
    assert [total for _, total in told] == [len(data)] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (len(data), len(data))


def test_progress_of_a_pipe_has_no_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = through_fifo(tmp_path, stream())
    with open_source(path, progress=lambda done, total: told.append((done, total))) as file:
        assert everything(file) == stream()
    assert told[-1] == (len(stream()), 0)
