"""Output files: whole or not at all, never over another file, never over the input."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from msixtool import InputError, OutputError
from msixtool.containers.file import BytesSource
from msixtool.output.files import create, write_file
from msixtool.stream.rewrite import Overlay, PlainFile, Replacement, Rewritten, rewrite

HOLE = 1 << 20


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with create(str(path)) as out:
        out.write(b"half")
        assert not path.exists()
        out.write(b" and half")
        out.patch(1, b"A")
    assert path.read_bytes() == b"hAlf and half"
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_nothing_is_there_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), create(str(tmp_path / "out")) as out:
        out.write(b"half" * (1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_unnamed_files_is_written_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that have none: a temporary name in the same directory."""
    monkeypatch.setattr("msixtool.output.unfinished.DESCRIPTORS", "/nonexistent")
    path = tmp_path / "out"
    with create(str(path)) as out:
        (beside,) = tmp_path.iterdir()
        assert beside.name.startswith(".out.")
        out.write(b"one")
    assert [path] == list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="is there already"):
        write_file(str(path), b"two")
    write_file(str(path), b"three", force=True)
    assert path.read_bytes() == b"three"
    with pytest.raises(ZeroDivisionError), create(str(path), force=True) as out:
        out.write(b"four" * (1 // 0))
    assert path.read_bytes() == b"three"
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_there_is_written_over_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"out: is there already: --force"):
        write_file(str(path), b"new")
    assert path.read_bytes() == b"mine"
    write_file(str(path), b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(OutputError, match="is there already"), create(str(path)):
        path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"


def test_the_output_is_never_an_input_by_whatever_name(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"input")
    (tmp_path / "symbolic").symlink_to(path)
    (tmp_path / "hard").hardlink_to(path)
    for name in ("in", "symbolic", "hard", "../" + tmp_path.name + "/in"):
        with pytest.raises(OutputError, match="the output is an input"):
            write_file(str(tmp_path / name), b"output", force=True, inputs=["other", str(path)])
    assert path.read_bytes() == b"input"


def test_the_file_behind_a_symbolic_link_is_written(tmp_path: Path) -> None:
    path, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(path)
    path.write_bytes(b"one")
    write_file(str(link), b"two", force=True)
    assert link.is_symlink()
    assert path.read_bytes() == b"two"


@pytest.mark.parametrize(("name", "reason"), [("", "is a directory"), ("no/out", "no such directory")])
def test_where_no_file_can_be_is_said_in_one_line(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        write_file(f"{tmp_path}/{name}", b"")


def test_a_pipe_and_a_device_are_written_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_file(str(path), b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written: found No space left"):
        write_file("/dev/full", b"x")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from msixtool.output.files import write_file; "
        "write_file(sys.argv[1], bytes(5000) + b'x')"
    )

    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "OutputError" in run.stderr
    assert "cannot be written: found File too large" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    script = (
        "import sys, time; from msixtool.output.files import create\n"
        "with create(sys.argv[1]) as out:\n"
        "    out.write(b'half'); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert not (tmp_path / "out").exists()


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "out"
    with source.open("wb") as file:
        file.write(b"a")
        file.seek(3 * HOLE)
        file.write(b"z")
        file.truncate(5 * HOLE)
    with source.open("rb") as file, create(str(path)) as out:
        out.copy(file.fileno(), 0, 5 * HOLE)
    assert path.read_bytes() == source.read_bytes()
    assert path.stat().st_blocks * 512 < HOLE
    with create(str(tmp_path / "unpacked")) as out:
        out.write_sparse(source.read_bytes())
    assert (tmp_path / "unpacked").read_bytes() == source.read_bytes()
    assert (tmp_path / "unpacked").stat().st_blocks * 512 < HOLE


def test_a_source_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"short")
    with (
        pytest.raises(InputError, match="has become shorter"),
        source.open("rb") as file,
        create(str(tmp_path / "out")) as out,
    ):
        out.copy(file.fileno(), 0, 10)
    assert list(tmp_path.iterdir()) == [source]


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, list[Replacement], bytes]:
    """A source, replacements that do not overlap, and what they make of it."""
    pieces = draw(
        st.lists(st.tuples(st.binary(max_size=40), st.none() | st.binary(max_size=40)), max_size=12)
    )
    source, made, replacements = b"", b"", []
    for piece, new in pieces:
        if new is not None and (piece or new):
            replacements.append(Replacement(len(source), len(source) + len(piece), new))
        source += piece
        made += piece if new is None else new
    return source, replacements, made


@given(edits(), st.integers(0, 100), st.integers(1, 100))
def test_a_rewritten_stream_can_be_read_anywhere(
    case: tuple[bytes, list[Replacement], bytes], offset: int, length: int
) -> None:
    source, replacements, made = case
    rewritten = Rewritten(BytesSource(source), replacements)
    assert rewritten.size == len(made)
    assert rewritten.read(0, 1000) == made
    assert rewritten.read(offset, length) == made[offset : offset + length]


@given(edits())
def test_a_stream_is_rewritten_alike_into_files_and_into_anything_else(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[bytes, list[Replacement], bytes]
) -> None:
    source, replacements, made = case
    folder = tmp_path_factory.mktemp("rewrite")
    (folder / "source").write_bytes(b"before" + source)
    with (folder / "source").open("rb") as file, create(str(folder / "out")) as out:
        rewrite(BytesSource(source), replacements, out, plain=PlainFile(file.fileno(), 6))
    assert (folder / "out").read_bytes() == made
    with create(str(folder / "passed")) as out:
        rewrite(BytesSource(source), replacements, out)
    assert (folder / "passed").read_bytes() == made


@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=10)), max_size=6))
def test_patches_lie_over_one_another_and_only_changes_are_changes(
    source: bytes, patches: list[tuple[int, bytes]]
) -> None:
    overlay, wanted = Overlay(BytesSource(source)), bytearray(source)
    for offset, data in patches:
        data = data[: max(0, len(source) - offset)]
        overlay.patch(offset, data)
        wanted[offset : offset + len(data)] = data
    assert overlay.read(0, 100) == wanted
    changes = overlay.changes()
    assert Rewritten(BytesSource(source), changes).read(0, 100) == wanted
    changed = [offset for each in changes for offset in range(each.start, each.end)]
    assert changed == [offset for offset, (a, b) in enumerate(zip(source, wanted, strict=True)) if a != b]


def test_progress_ends_with_the_size_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 10)
    heard: list[tuple[int, int]] = []

    def hear(done: int, total: int) -> None:
        heard.append((done, total))

    changes = [Replacement(3, 4, b"x"), Replacement(100, 100, b"more")]
    with source.open("rb") as file, create(str(tmp_path / "a")) as out:
        rewrite(BytesSource(source.read_bytes()), changes, out, plain=PlainFile(file.fileno()), progress=hear)
    with create(str(tmp_path / "b")) as out:
        rewrite(BytesSource(source.read_bytes()), changes, out, progress=hear)
    assert heard.count((2560, 2560)) == 2
    assert [done for done, _ in heard] == [100, 2560, 3, 100, 2560]
