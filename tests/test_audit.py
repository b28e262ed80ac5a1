"""`msixtool.inspect`, `validate` and `compat`: one path or file in, one plain document out."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

import msixtool
from msixtool.errors import InputError, MsixtoolError, NotAStreamError, UsageError
from msixtool.formats.qevm import ItemType
from tests.cli.conftest import Result, msixtool as command
from tests.conftest import SAMPLES, unpacked

Tool = Callable[..., Result]
tool = pytest.fixture(name="tool")(command.__wrapped__)
"""The command line, under a name that leaves `msixtool` to the library."""

THREE = next(path for path in SAMPLES if "3-vectors" in path.name)
MIB = 1 << 20


class Remote:
    """A file that can seek and read and nothing else, as one over a network."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.requests: list[tuple[int, int]] = []

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        offset = self._file.tell()
        data = self._file.read(size)
        self.requests.append((offset, len(data)))
        return data

    @property
    def fetched(self) -> int:
        """Bytes in all."""
        return sum(length for _, length in self.requests)


def remote(path: Path) -> BinaryIO:
    return cast(BinaryIO, Remote(path))


def is_plain(value: object) -> bool:
    """Whether it is what JSON has, and nothing that only looks like it (tuples, enums)."""
    if type(value) is dict:
        return all(type(key) is str and is_plain(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_functions_give_the_documents_of_the_commands(tool: Tool, path: Path) -> None:
    documents: Mapping[str, Any] = {
        "inspect": (msixtool.inspect(path), [path]),
        "validate": (msixtool.validate(path), [path]),
        "compat": (msixtool.compat(path, THREE), [path, THREE]),
    }
    for name, (document, arguments) in documents.items():
        assert document == tool(name, "--json", *arguments).json
        assert is_plain(document), name
        assert json.loads(json.dumps(document)) == document
        assert document["schema"] == f"msixtool.{name}/1"


def test_options_are_those_of_the_commands(tool: Tool, tmp_path: Path) -> None:
    path = tmp_path / "padded"
    path.write_bytes(bytes(512) + unpacked(THREE))
    assert msixtool.inspect(path, offset=512) == tool("inspect", "--json", "--offset", 512, path).json
    assert msixtool.compat(path, THREE, offset=512)["compatible"] is True
    assert msixtool.compat(THREE, to="11.1") == tool("compat", "--json", THREE, "--to", "11.1").json
    assert (
        msixtool.compat(THREE, SAMPLES[-1], target_version="5.2")
        == tool("compat", "--json", THREE, SAMPLES[-1], "--target-version", "5.2").json
    )
    cut = tmp_path / "cut"
    cut.write_bytes(unpacked(THREE)[:100_000])
    rules = [finding["rule"] for finding in msixtool.validate(cut, severity="error")["findings"]]
    assert rules == ["truncated"]
    assert msixtool.validate(cut, ignore=["truncated"])["ok"] is True


@pytest.mark.parametrize(
    "opened", [lambda path: path.open("rb"), remote, lambda path: io.BytesIO(path.read_bytes())]
)
def test_an_open_file_gives_what_its_path_gives(opened: Callable[[Path], BinaryIO], sample: Path) -> None:
    for function in (msixtool.inspect, msixtool.validate, partial(msixtool.compat, target=THREE)):
        named, read = function(sample), function(opened(sample))  # type: ignore[operator]
        assert read | {"source": None} == named | {"source": None}
        assert read["source"]["size"] == named["source"]["size"]
        assert read["source"]["layers"] == named["source"]["layers"]


def test_a_file_is_called_what_it_calls_itself(sample: Path) -> None:
    class Named(Remote):
        full_name = "s3://fleet/vm.mig"

    assert msixtool.inspect(cast(BinaryIO, Named(sample)))["source"]["path"] == "s3://fleet/vm.mig"
    assert msixtool.inspect(remote(sample))["source"]["path"] == "<file>"
    with sample.open("rb") as file:
        assert msixtool.inspect(file)["source"]["path"] == str(sample)
        assert not file.closed


def large(folder: Path, data: bytes, size: int) -> Path:
    """The stream with `size` bytes more of RAM, which are a hole in the file."""
    with msixtool.Dump.open(io.BytesIO(data)) as dump:
        part = next(item for item in dump.index.items if item.type == ItemType.SECTION_PART)
    path, cut = folder / "large.mig", part.offset + part.length // 2
    with path.open("wb") as file:
        file.write(data[:cut])
        file.seek(size, 1)
        file.write(data[cut:])
    return path


@pytest.mark.parametrize("size", [256 * MIB, 2048 * MIB])
def test_of_a_remote_stream_only_the_ends_are_fetched(size: int, raw_sample: Path, tmp_path: Path) -> None:
    """RAM is not touched: what is fetched does not grow with it."""
    before = msixtool.inspect(raw_sample)
    path = large(tmp_path, raw_sample.read_bytes(), size)
    for function in (msixtool.inspect, partial(msixtool.compat, to="11.1")):
        file = Remote(path)
        document = function(cast(BinaryIO, file))  # type: ignore[operator]
        assert document["source"]["size"] == size + before["source"]["size"]
        assert file.fetched < 3 * MIB
        assert len(file.requests) <= 8
        assert all(start < 2 * MIB or start > size - 2 * MIB for start, _ in file.requests)
        assert all(length >= 4096 for _, length in file.requests)
        if "devices" in document:
            moved = [device | {"offset": device["offset"] - size} for device in document["devices"]]
            assert (moved, document["damage"]) == (before["devices"], [])


def test_validate_reads_ram_and_the_others_do_not(raw_sample: Path, tmp_path: Path) -> None:
    """What makes the stream large is no RAM that QEMU could read."""
    path = large(tmp_path, raw_sample.read_bytes(), MIB)
    assert msixtool.inspect(path)["damage"] == []
    assert [finding["rule"] for finding in msixtool.validate(path, severity="error")["findings"]]


def test_damage_stands_in_the_document(raw_sample: Path) -> None:
    data = raw_sample.read_bytes()[:150_000]
    assert msixtool.inspect(io.BytesIO(data))["damage"]
    assert msixtool.validate(io.BytesIO(data))["ok"] is False
    assert msixtool.compat(io.BytesIO(data), THREE)["findings"][0]["code"] == "stream"


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: msixtool.inspect("/nowhere/vm.mig"), InputError, "/nowhere/vm.mig: cannot be opened"),
        (lambda: msixtool.inspect(Path("/nowhere/vm.mig")), InputError, "/nowhere/vm.mig"),
        (lambda: msixtool.inspect(io.BytesIO(b"text")), NotAStreamError, "QEVM"),
        (lambda: msixtool.inspect("/"), InputError, "is a directory"),
        (lambda: msixtool.validate(THREE, ignore=["nonsense"]), UsageError, "nonsense"),
        (lambda: msixtool.validate(THREE, severity="grave"), UsageError, "one of error, warning, info"),
        (lambda: msixtool.compat(THREE), UsageError, "needs a target"),
        (lambda: msixtool.compat(THREE, THREE, to="11.1"), UsageError, "needs a target: .*, found 2 of them"),
        (lambda: msixtool.compat(THREE, to="new"), UsageError, "distribution"),
        (lambda: msixtool.compat(THREE, "/nowhere/target"), InputError, "/nowhere/target"),
        (lambda: msixtool.compat(THREE, THREE, target_vmstate="/nowhere/v"), InputError, "/nowhere/v"),
    ],
)
def test_errors_are_those_of_msixtool(call: Callable[[], Any], kind: type[MsixtoolError], says: str) -> None:
    with pytest.raises(kind, match=says):
        call()


def test_whatever_a_file_object_raises_is_an_error_of_msixtool(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HttpError(Exception):
        pass

    def broken(*_: object) -> bytes:
        raise HttpError("503 Service Unavailable")

    file = Remote(sample)
    monkeypatch.setattr(file, "read", broken)
    with pytest.raises(InputError, match=r"<file>.*HttpError: 503 Service Unavailable"):
        msixtool.inspect(cast(BinaryIO, file))
    monkeypatch.setattr(file, "seek", broken)
    with pytest.raises(InputError, match=r"<file>: cannot be read at any offset.*503"):
        msixtool.inspect(cast(BinaryIO, file))


def test_functions_errors_and_documents_can_be_sent_to_other_processes(sample: Path) -> None:
    for function in (msixtool.inspect, msixtool.validate, msixtool.compat):
        assert pickle.loads(pickle.dumps(function)) is function
    document = msixtool.inspect(sample)
    assert pickle.loads(pickle.dumps(document)) == document
    with pytest.raises(NotAStreamError) as caught:
        msixtool.inspect(io.BytesIO(b"text"))
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (type(copied), str(copied)) == (NotAStreamError, str(caught.value))


def test_an_executor_maps_them_over_paths() -> None:
    paths = [str(path) for path in SAMPLES]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        documents = list(pool.map(msixtool.inspect, paths))
    assert [document["source"]["path"] for document in documents] == paths
    assert documents == list(map(msixtool.inspect, paths))
