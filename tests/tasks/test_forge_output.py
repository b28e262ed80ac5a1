"""Forged files: from every container, packed again on demand, mapped-ram in its place."""

from __future__ import annotations

import gzip
import lzma
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump, InputError, OutputError, UsageError, forge, read_spec
from msixtool.spec import Spec, make_spec
from msixtool.tasks.forge_pack import TOOLS, Packer
from tests.conftest import REPOSITORY
from tests.containers.recorded import ZSTD

CONTAINERS = REPOSITORY / "tests" / "data" / "containers"
MAPPED_RAM = REPOSITORY / "tests" / "data" / "rare" / "mapped-ram-offset-11.1.mig.xz"
MAPPED_RAM_OFFSET = 4660
KINDS = sorted(TOOLS)
E1000E = make_spec({"devices": [{"name": "e1000e", "entries": [{"vector": 3, "pending": True}]}]})


def stream_of(path: Path | str) -> bytes:
    with Dump.open(path) as dump:
        return dump.source.read(0, 1 << 30)


def layers_of(path: Path | str) -> list[dict[str, Any]]:
    with Dump.open(path) as dump:
        return dump.layers


def packed(kind: str, data: bytes) -> bytes:
    """Data packed in one member."""

    class Bytes:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> None:
            self.data += data

    sink = Bytes()
    packer = Packer(kind, sink)
    for start in range(0, len(data), 100_000):
        packer.write(data[start : start + 100_000])
    packer.finish()
    return sink.data


@pytest.fixture
def base(raw_sample: Path) -> str:
    return str(raw_sample)


def test_a_stream_is_written_bare_and_its_loading_is_told(base: str, tmp_path: Path) -> None:
    out = str(tmp_path / "o ut.mig")
    made = forge(base, E1000E, out)
    assert made.loading == (f"-incoming {shlex.quote(f'exec:cat {shlex.quote(out)}')}",)
    (word,) = shlex.split(made.loading[0])[1:]
    shell = subprocess.run(["/bin/sh", "-c", word.removeprefix("exec:")], capture_output=True, check=True)
    assert shell.stdout == Path(out).read_bytes() != Path(base).read_bytes()


def test_a_name_like_an_option_is_told_as_a_file(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = forge(base, E1000E, "-n.mig")
    assert made.loading == ("-incoming 'exec:cat ./-n.mig'",)
    shell = subprocess.run(["/bin/sh", "-c", "cat ./-n.mig"], capture_output=True, check=True)
    assert shell.stdout == Path("-n.mig").read_bytes()


def test_paths_may_be_objects_as_everywhere_in_the_library(base: str, tmp_path: Path) -> None:
    written = tmp_path / "spec.toml"
    written.write_text('[[devices]]\nname = "e1000e"\nfunction_mask = true\n')
    out = tmp_path / "out.mig"
    assert forge(Path(base), read_spec(written), out).path == str(out)
    with Dump.open(out) as dump:
        (masked,) = [device.kind for device in dump.devices if device.function_masked]
    assert masked == "e1000e"
    with pytest.raises(OutputError, match="the output is an input"):
        forge(Path(base), read_spec(written), written, force=True)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_bases_give_bare_streams_and_on_demand_packed_ones(
    base: str, tmp_path: Path, kind: str
) -> None:
    if kind in ("zstd", "lz4", "lzop"):
        pytest.importorskip({"zstd": ZSTD, "lz4": "lz4.frame", "lzop": "lzallright"}[kind])
    source, bare, again = (tmp_path / name for name in ("base", "bare", "again"))
    source.write_bytes(packed(kind, Path(base).read_bytes()))
    assert forge(str(source), Spec(), str(bare)).loading == (f"-incoming 'exec:cat {bare}'",)
    assert bare.read_bytes() == Path(base).read_bytes()
    made = forge(str(source), E1000E, str(again), like_base=True)
    assert made.loading == (f"-incoming 'exec:{kind} -dc {again}'",)
    assert [layer["kind"] for layer in layers_of(again)] == [kind]
    forge(base, E1000E, str(bare), force=True)
    assert stream_of(again) == bare.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_formats_own_tool_unpacks_what_was_packed(base: str, tmp_path: Path, kind: str) -> None:
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if kind == "lzop":
        pytest.importorskip("lzallright")
    data = Path(base).read_bytes()
    run = subprocess.run([kind, "-dc"], input=packed(kind, data), capture_output=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout == data


def test_data_that_does_not_compress_is_packed_too() -> None:
    pytest.importorskip("lzallright")
    from msixtool.containers.codecs import CODECS

    data = bytes((7919 * number * number >> 3) & 0xFF for number in range(300_000))
    for kind in ("lzop", "gzip"):
        new, _ = next(codec for codec in CODECS if codec.kind == kind).load()
        decoder, given, found = new(), packed(kind, data), b""
        while not decoder.eof:
            found += decoder.decompress(given, 1 << 20)
            given = b""
        assert found == data


@pytest.mark.parametrize("name", ["raw", "gzip", "bzip2", "xz", "lzop"])
def test_a_save_image_keeps_its_header_and_its_xml(tmp_path: Path, name: str) -> None:
    if name == "lzop":
        pytest.importorskip("lzallright")
    image, again = tmp_path / "image", tmp_path / "again"
    image.write_bytes(lzma.decompress((CONTAINERS / f"libvirt-{name}.xz").read_bytes()))
    made = forge(str(image), Spec(), str(again), like_base=True)
    assert made.loading == (f"virsh restore {again}",)
    assert layers_of(again) == layers_of(image)
    assert stream_of(again) == stream_of(image)
    data = image.read_bytes()
    start = 92 + int.from_bytes(data[20:24], "little")
    assert again.read_bytes()[:start] == data[:start]
    bare = tmp_path / "bare"
    forge(str(image), Spec(), str(bare))
    assert bare.read_bytes() == stream_of(image)


def test_the_stream_of_a_snapshot_is_written_beside_its_image(tmp_path: Path) -> None:
    image, out = tmp_path / "image", tmp_path / "out"
    image.write_bytes(lzma.decompress((CONTAINERS / "v3.qcow2.xz").read_bytes()))
    forge(str(image), Spec(), str(out))
    assert out.read_bytes() == stream_of(image)
    made = forge(str(image), Spec(), str(out), like_base=True, force=True)
    assert made.notes == ("a qcow2 image is not rewritten: this is the stream of its snapshot",)
    assert out.read_bytes() == stream_of(image)
    with pytest.raises(UsageError, match="nosuch"):
        forge(str(image), Spec(), str(out), snapshot="nosuch", force=True)


def mapped_ram(tmp_path: Path) -> Path:
    path = tmp_path / "mapped-ram"
    path.write_bytes(lzma.decompress(MAPPED_RAM.read_bytes()))
    return path


def test_a_mapped_ram_stream_keeps_its_place_in_its_file(tmp_path: Path) -> None:
    base, out = mapped_ram(tmp_path), tmp_path / "out"
    made = forge(str(base), E1000E, str(out), offset=MAPPED_RAM_OFFSET)
    before, after = base.read_bytes(), out.read_bytes()
    (changed,) = (place for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    assert after[changed] ^ before[changed] == 1 << 3
    assert made.loading[0] == "-incoming defer"
    assert '"capability": "mapped-ram", "state": true' in made.loading[1]
    assert f'"uri": "file:{out},offset=0x1234"' in made.loading[2]
    with Dump.open(out, offset=MAPPED_RAM_OFFSET) as dump:
        assert not dump.damage


def test_a_packed_mapped_ram_file_is_unpacked_with_what_stands_before_it(tmp_path: Path) -> None:
    """Its offsets count from the start of what it was packed from."""
    base, source = mapped_ram(tmp_path), tmp_path / "packed.gz"
    data = base.read_bytes()[MAPPED_RAM_OFFSET:]
    with Dump.open(base, offset=MAPPED_RAM_OFFSET) as dump:
        shift = max(block.pages_offset or 0 for block in dump.index.blocks)
    assert shift
    image = bytearray(92) + b"<domain/>".ljust(MAPPED_RAM_OFFSET - 92, b"\0")
    image[:32] = b"LibvirtQemudSave" + b"".join(
        number.to_bytes(4, "little") for number in (2, MAPPED_RAM_OFFSET - 92, 0, 6)
    )
    source.write_bytes(gzip.compress(bytes(image) + data, mtime=0))
    out, again = tmp_path / "out", tmp_path / "again"
    forge(str(source), Spec(), str(out))
    assert out.read_bytes() == bytes(image) + data
    assert out.stat().st_blocks * 512 < len(data)
    forge(str(source), Spec(), str(again), like_base=True)
    assert [layer["kind"] for layer in layers_of(again)] == ["gzip", "libvirt", "mapped-ram"]
    assert gzip.decompress(again.read_bytes()) == bytes(image) + data


def test_a_damaged_base_is_refused_but_on_demand(base: str, tmp_path: Path) -> None:
    cut, out = tmp_path / "cut", tmp_path / "out"
    cut.write_bytes(Path(base).read_bytes()[:-70_000])
    with pytest.raises(InputError, match=r"is damaged, and so would be what is forged"):
        forge(str(cut), Spec(), str(out))
    assert not out.exists()
    forge(str(cut), Spec(), str(out), damaged=True)
    assert out.read_bytes() == cut.read_bytes()


def test_a_wrong_checksum_at_the_end_leaves_no_file(base: str, tmp_path: Path) -> None:
    source, out = tmp_path / "base.gz", tmp_path / "out"
    data = bytearray(gzip.compress(Path(base).read_bytes()))
    data[-5] ^= 1
    source.write_bytes(data)
    with pytest.raises(InputError, match="gzip"):
        forge(str(source), Spec(), str(out))
    assert [path.name for path in tmp_path.iterdir() if path.name == "out"] == []


def test_the_output_is_neither_the_base_nor_the_spec(base: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    for taken in (base, str(spec)):
        before = Path(taken).read_bytes()
        with pytest.raises(OutputError, match="the output is an input"):
            forge(base, Spec(path=str(spec)), taken, force=True)
        assert Path(taken).read_bytes() == before


def test_trailing_bytes_stay(base: str, tmp_path: Path) -> None:
    padded, out = tmp_path / "padded", tmp_path / "out"
    padded.write_bytes(Path(base).read_bytes() + bytes(300))
    forge(str(padded), Spec(), str(out))
    assert out.read_bytes() == padded.read_bytes()
