"""What an input may cost: each of its claims is held to what QEMU, or sense, allows."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from msixtool.errors import UsageError
from msixtool.spec.read import MAX_DEPTH, parse_spec
from msixtool.spec.saved import SavedFile
from msixtool.stream.description import Contents
from msixtool.tasks.load_file import load_saved


@pytest.mark.parametrize("size", [1 << bits for bits in range(10, 21)])
def test_a_page_size_of_a_target_is_believed(size: int) -> None:
    assert Contents({"page_size": size, "devices": []}).page_size == size


@pytest.mark.parametrize("size", [0, 512, 1 << 21, 1 << 30, 1 << 1024, 4097, -4096])
def test_no_other_page_size_is_believed(size: int) -> None:
    assert Contents({"page_size": size, "devices": []}).page_size is None


@pytest.mark.parametrize("key", ["a{0}.b = 1", "[a{0}]", "x = {{ a{0} = 1 }}", "'a'{0}.b = 1"])
def test_a_dotted_key_of_thousands_of_parts_is_refused_before_it_is_parsed(key: str) -> None:
    tracemalloc.start()
    with pytest.raises(UsageError, match=f"SPEC: key in line 2: expected at most {MAX_DEPTH} parts"):
        parse_spec("\n" + key.format(" . a" * 20_000))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_many_dots_that_are_no_key_are_no_fault() -> None:
    names = ", ".join(f'{{ name = "0000:00:{slot:02x}.0/e1000e" }}' for slot in range(100))
    assert len(parse_spec(f"devices = [{names}]").devices) == 100
    assert parse_spec(f'devices = [{{ name = "x", pba = "{"0" * 65536}" }}]').devices


def test_a_path_of_thousands_of_slashes_is_refused() -> None:
    with pytest.raises(UsageError, match=f"at most {MAX_DEPTH} slashes, found 5000"):
        parse_spec(json.dumps({"devices": [], "fields": {"a/" * 5000: 1}}))


def test_a_spec_without_devices_has_nothing_to_load(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"devices": []}')
    with pytest.raises(UsageError, match="expected a device, found none"):
        load_saved(SavedFile.read(str(path)))
