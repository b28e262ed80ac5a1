"""Every command reads every container; what a container says of itself is shown."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from tests.conftest import CORPUS, REPOSITORY, unpacked
from tests.containers.recorded import ZSTD

Tool = Callable[..., Result]
DATA = REPOSITORY / "tests" / "data" / "containers"
SAMPLE = REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz"


def wrapped(kind: str, folder: Path) -> Path:
    """The first sample in a container of one kind."""
    data = unpacked(SAMPLE)
    path = folder / f"stream.{kind}"
    if kind == "zstd":
        packed = pytest.importorskip(ZSTD).compress(data)
    elif kind == "lz4":
        packed = pytest.importorskip("lz4.frame").compress(data)
    elif kind == "libvirt":
        text = b"<domain><name>sample</name></domain>\0"
        words = (2, len(text), 1, 0, 0)
        header = b"LibvirtQemudSave" + b"".join(word.to_bytes(4, "little") for word in words)
        packed = header.ljust(92, b"\0") + text + data
    else:
        packed = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[kind](data)
    path.write_bytes(packed)
    return path


@pytest.fixture(params=["gzip", "bzip2", "xz", "zstd", "lz4", "libvirt"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return wrapped(request.param, tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.mig"
    path.write_bytes(unpacked(SAMPLE))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("inspect",),
        ("show",),
        ("fields", "--device", "e1000e"),
        ("load",),
        ("validate",),
    ],
    ids=lambda command: command[0],
)
def test_a_command_says_the_same_of_a_container_as_of_the_stream_in_it(
    msixtool: Tool, container: Path, plain: Path, command: tuple[str, ...]
) -> None:
    inside = msixtool(*command, container, "--json")
    bare = msixtool(*command, plain, "--json")
    assert inside.status == bare.status == 0
    documents = inside.json, bare.json
    kinds = [layer["kind"] for layer in documents[0].pop("source")["layers"]]
    documents[1].pop("source")
    assert kinds == [container.suffix[1:]]
    assert documents[0] == documents[1]


def test_diff_and_compat_take_containers(msixtool: Tool, container: Path, plain: Path) -> None:
    assert msixtool("diff", container, plain, "--json").json["equal"] is True
    assert msixtool("compat", container, plain, "--json").json["compatible"] is True


def test_forging_from_a_container_gives_the_bare_stream(
    msixtool: Tool, container: Path, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mig"
    assert msixtool("forge", container, "-o", out).status == 0
    assert out.read_bytes() == plain.read_bytes()


def test_saving_from_a_container_gives_the_same_state(
    msixtool: Tool, container: Path, plain: Path, tmp_path: Path
) -> None:
    for source, name in ((container, "a"), (plain, "b")):
        assert msixtool("save", source, "--device", "e1000e", "-o", tmp_path / name).status == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_domain_xml_of_a_save_image_is_printed(msixtool: Tool, tmp_path: Path, plain: Path) -> None:
    result = msixtool("inspect", "--xml", wrapped("libvirt", tmp_path))
    assert result.out == "<domain><name>sample</name></domain>\n"
    assert "libvirt save image" in msixtool("inspect", "--xml", plain).error_line


def test_an_image_that_libvirt_did_not_finish_is_read_with_a_warning(msixtool: Tool, tmp_path: Path) -> None:
    image = wrapped("libvirt", tmp_path)
    image.write_bytes(b"LibvirtQemudPart" + image.read_bytes()[16:])
    result = msixtool("inspect", image)
    assert result.status == 0
    assert "incomplete" in result.error_line


def test_a_wrong_checksum_at_the_end_is_damage_and_the_stream_is_still_shown(
    msixtool: Tool, tmp_path: Path
) -> None:
    path = wrapped("gzip", tmp_path)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    result = msixtool("inspect", path, "--json")
    assert result.status == 2
    assert len(result.json["devices"]) == 4
    assert "gzip" in result.error_line


def test_a_bomb_is_refused_and_max_ratio_changes_what_is_believed(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msixtool.containers.unpack.ALLOWANCE", 1 << 20)
    path = tmp_path / "suspect.gz"
    path.write_bytes(gzip.compress(unpacked(SAMPLE)[:-1] + bytes(64 << 20)))
    refused = msixtool("validate", path, "--max-ratio", "10")
    assert refused.status != 0
    assert "decompression bomb" in " ".join((refused.out + refused.err).split())
    assert "decompression bomb" not in " ".join(msixtool("validate", path, "--max-ratio", "0").out.split())


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real streams is not at hand")
def test_the_snapshots_of_a_qcow2_image_are_listed_and_chosen(msixtool: Tool, tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    image.write_bytes(lzma.decompress((CORPUS / "variants/savevm-7.2/source.qcow2.xz").read_bytes()))
    text = msixtool("inspect", image).out
    assert "snap-one" in text
    (layer,) = msixtool("inspect", image, "--json").json["source"]["layers"]
    assert layer["kind"] == "qcow2"
    first = msixtool("show", image, "--snapshot", "snap-one", "--json").json
    newest = msixtool("show", image, "--json").json
    assert first["devices"] != newest["devices"]
    assert "snap-one" in msixtool("show", image, "--snapshot", "missing").error_line


def test_an_absent_extra_is_named_with_the_command_that_installs_it(
    msixtool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lz4.frame", None)
    result = msixtool("inspect", DATA / "stream.lz4")
    assert result.status == 2
    assert "pip install 'msixtool[lz4]'" in result.error_line


def test_standard_input_and_pipes_are_read_in_one_pass(msixtool: Tool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if os.fork() == 0:
        pipe.write_bytes(SAMPLE.read_bytes())
        os._exit(0)
    result = msixtool("inspect", pipe, "--json")
    os.wait()
    assert result.status == 0
    assert len(result.json["devices"]) == 4
