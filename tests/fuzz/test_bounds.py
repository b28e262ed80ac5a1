"""Hostile inputs that are too long to keep: what they may cost is bounded, and the bound is named."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from msixtool import Dump, explain
from msixtool.errors import LONGEST, FormatError, InputError, UsageError
from msixtool.formats import dump_vmstate
from msixtool.formats.qevm import CommandType
from msixtool.spec import read as spec
from msixtool.stream import description, forward, items, ram
from msixtool.tasks.compat import vmstate_file
from tests.stream.build import Stream, u32


def _vmdesc(text: bytes) -> bytes:
    whole = bytes(Stream(vmdesc=False).full(4, "timer", bytes(24)))
    return whole + b"\x06" + u32(len(text)) + text


def _damage(data: bytes) -> list[str]:
    with Dump.open(io.BytesIO(data)) as dump:
        return [str(damage) for damage in dump.damage]


@pytest.mark.parametrize(
    ("inside", "limit"),
    [
        (b"0," * (description.MAX_VMDESC_VALUES + 1) + b"0", description.MAX_VMDESC_VALUES),
        (b"[]," * (description.MAX_OBJECTS + 1) + b"0", description.MAX_OBJECTS),
        (b'"' + b"a" * description.MAX_VMDESC_SIZE + b'"', description.MAX_VMDESC_SIZE),
    ],
    ids=["values", "lists", "bytes"],
)
def test_a_vmdesc_of_very_much_is_damage_and_the_stream_is_read_without(inside: bytes, limit: int) -> None:
    data = _vmdesc(b'{"page_size":4096,"devices":[' + inside + b"]}")
    with Dump.open(io.BytesIO(data)) as dump:
        assert dump.index.description is None
        assert [item.idstr for item in dump.index.full_sections()] == ["timer"]
        assert any(f"at most {limit}" in str(damage) for damage in dump.damage)


def test_more_items_than_any_stream_has_are_left() -> None:
    stream = Stream(vmdesc=False)
    stream.command(CommandType.PING, u32(1))
    stream.pieces *= forward.MAX_ITEMS + 1
    with Dump.open(io.BytesIO(bytes(stream))) as dump:
        assert len(dump.index.items) == forward.MAX_ITEMS
        assert f"more than {forward.MAX_ITEMS} items" in str(dump.damage[0])


def test_more_ram_blocks_than_any_machine_has_are_damage() -> None:
    blocks = [(f"block{number}", 4096) for number in range(ram.MAX_BLOCKS + 1)]
    with Dump.open(io.BytesIO(bytes(Stream(vmdesc=False).ram(blocks=blocks)))) as dump:
        assert len(dump.index.blocks) <= ram.MAX_BLOCKS
        assert dump.damage


def test_very_many_damaged_places_are_not_all_listed() -> None:
    devices = b",".join(b'{"name":"x","instance_id":%d,"fields":[]}' % number for number in range(3000))
    found = _damage(_vmdesc(b'{"page_size":4096,"devices":[' + devices + b"]}"))
    assert len(found) == items.MOST_DAMAGE


def test_a_section_with_a_name_of_a_kilobyte_is_told_in_a_short_line() -> None:
    name = json.dumps(["x" * 4000]).encode()
    found = _damage(_vmdesc(b'{"page_size":4096,"devices":[{"name":' + name + b',"fields":[]}]}'))
    assert found
    assert max(map(len, found)) < LONGEST + 200


def test_a_vmstate_description_of_very_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vmstate.json"
    path.write_text('{"vmschkmachine": {"Name": "pc"}, "x": [' + "0," * dump_vmstate.MAX_VALUES + "0]}")
    with pytest.raises(FormatError, match=f"at most {dump_vmstate.MAX_VALUES} values"):
        vmstate_file.read_vmstate_file(str(path))


def test_a_spec_of_very_much_is_refused() -> None:
    with pytest.raises(UsageError, match=f"at most {spec.MAX_SIZE} bytes"):
        spec.parse_spec(b" " * (spec.MAX_SIZE + 1))


@pytest.mark.parametrize("part", ["what", "expected", "found"])
def test_no_part_of_an_error_is_longer_than_a_person_reads(part: str) -> None:
    parts = {"what": "x", "expected": "y", "found": "z"} | {part: "a" * 10_000}
    line = str(InputError(parts["what"], expected=parts["expected"], found=parts["found"]))
    assert len(line) < LONGEST + 50
    assert "aaa…" in line


def test_a_log_that_is_packed_too_often_is_refused() -> None:
    log = b"qemu-system-x86_64: load of migration failed: Invalid argument\n"
    for _ in range(8):
        log = gzip.compress(log, mtime=0)
    assert not explain(io.BytesIO(log)).ok
    for _ in range(1500):
        log = gzip.compress(log, compresslevel=0, mtime=0)
    with pytest.raises(InputError, match="packed too often: expected at most 8 layers"):
        explain(io.BytesIO(log))
