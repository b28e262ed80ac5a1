"""Two vmstate descriptions of QEMU, and what one decides for streams."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from msixtool.errors import FormatError, InputError
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.tasks.compat import vmstate_file
from msixtool.tasks.compat.vmstate_diff import compare_files
from msixtool.tasks.finding import Code, Finding, Severity
from tests.tasks.compat_build import Machine, Vmsd, comparison, number, section

Entry = dict[str, Any]


def field(name: str, size: int = 4, *, version: int = 0, conditional: bool = False, **more: Any) -> Entry:
    return {"field": name, "version_id": version, "field_exists": conditional, "size": size, **more}


def vmsd(
    name: str, *fields: Entry, version: int = 1, minimum: int = 1, subsections: tuple[Entry, ...] = ()
) -> Entry:
    entry: Entry = {"name": name, "version_id": version, "minimum_version_id": minimum}
    if fields:
        entry["Fields"] = list(fields)
    if subsections:
        entry["Subsections"] = list(subsections)
    return entry


def dumped(folder: Path, name: str, *descriptions: Entry, machine: str = "pc-q35-7.2") -> Vmstates:
    """A file as -dump-vmstate writes it, with a device type for each description."""
    document: Entry = {"vmschkmachine": {"Name": machine}}
    for entry in descriptions:
        document[f"{entry['name']}-device"] = {
            "Name": f"{entry['name']}-device",
            "version_id": entry["version_id"],
            "minimum_version_id": entry["minimum_version_id"],
            "Description": entry,
        }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=2))
    return vmstate_file.read_vmstate_file(str(path))


def found(folder: Path, source: Entry, target: Entry) -> list[tuple[Severity, Code, str | None]]:
    differences = compare_files(dumped(folder, "source", source), dumped(folder, "target", target))
    return [(each.severity, each.code, each.field) for each in differences]


def test_the_same_description_has_no_difference(tmp_path: Path) -> None:
    inner = vmsd("inner", field("x", 8))
    same = vmsd(
        "dev", field("a"), field("b", 16, Description=inner), subsections=(vmsd("dev/s", field("y")),)
    )
    assert found(tmp_path, same, same) == []


def test_a_device_type_that_only_the_source_has(tmp_path: Path) -> None:
    one, two = vmsd("one", field("a")), vmsd("two", field("a"))
    source, target = dumped(tmp_path, "source", one, two), dumped(tmp_path, "target", one)
    (missing,) = compare_files(source, target)
    assert (missing.code, missing.section, missing.severity) == (
        Code.SECTION_UNKNOWN,
        "two-device",
        Severity.ERROR,
    )
    assert compare_files(target, source) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ((2, 1), (1, 1), True),
        ((1, 1), (2, 2), True),
        ((1, 1), (2, 1), False),
    ],
)
def test_versions(tmp_path: Path, theirs: tuple[int, int], ours: tuple[int, int], expected: bool) -> None:
    one, other = (vmsd("dev", field("a"), version=v, minimum=m) for v, m in (theirs, ours))
    codes = {code for _, code, _ in found(tmp_path, one, other)}
    assert (Code.SECTION_VERSION in codes) == expected


def test_a_field_of_another_size_or_length(tmp_path: Path) -> None:
    one, other = (
        vmsd("dev", field("a", 4), field("b", 2, num=8)),
        vmsd("dev", field("a", 8), field("b", 2, num=4)),
    )
    assert found(tmp_path, one, other) == [
        (Severity.ERROR, Code.SECTION_LAYOUT, "dev/a"),
        (Severity.ERROR, Code.SECTION_LAYOUT, "dev/b"),
    ]


def test_a_field_that_one_side_lacks(tmp_path: Path) -> None:
    short, long = vmsd("dev", field("a")), vmsd("dev", field("a"), field("b", num=1))
    assert found(tmp_path, long, short) == [(Severity.ERROR, Code.SECTION_LAYOUT, "dev/b")]
    assert found(tmp_path, short, long) == [(Severity.ERROR, Code.SECTION_LAYOUT, "dev/b")]
    depends = vmsd("dev", field("a"), field("b", conditional=True))
    assert found(tmp_path, depends, short) == [(Severity.WARNING, Code.UNDECIDED, "dev/b")]
    newer = vmsd("dev", field("a"), field("b", version=2), version=2)
    assert [severity for severity, _, _ in found(tmp_path, short, newer)] == [Severity.INFO]


def test_other_names_for_the_same_bytes_do_not_matter(tmp_path: Path) -> None:
    flat = vmsd("dev", field("x", num=1), field("y", 8, num=1))
    grouped = vmsd("dev", field("g", 16, Description=vmsd("g", field("x", num=1), field("y", 8, num=1))))
    renamed = vmsd("dev", field("old_x", num=1), field("old_y", 8, num=1))
    unused = vmsd("dev", field("unused", 12, num=1))
    for other in (grouped, renamed, unused):
        assert {severity for severity, _, _ in found(tmp_path, flat, other)} == {Severity.INFO}


def test_bytes_whose_number_is_not_said_are_undecided(tmp_path: Path) -> None:
    one, other = vmsd("dev", field("flags", 1)), vmsd("dev", field("unused", 5))
    assert found(tmp_path, one, other) == [(Severity.WARNING, Code.UNDECIDED, "dev/flags")]


def test_a_subsection_that_the_target_lacks(tmp_path: Path) -> None:
    one = vmsd("dev", field("a"), subsections=(vmsd("dev/s", field("y")),))
    assert found(tmp_path, one, vmsd("dev", field("a"))) == [
        (Severity.ERROR, Code.SUBSECTION_UNKNOWN, "dev/s")
    ]
    assert found(tmp_path, vmsd("dev", field("a")), one) == []


def test_other_machine_types_are_a_warning(tmp_path: Path) -> None:
    source = dumped(tmp_path, "source", machine="pc-q35-7.1")
    (warning,) = compare_files(source, dumped(tmp_path, "target", machine="pc-q35-7.2"))
    assert (warning.severity, warning.code, warning.source) == (
        Severity.WARNING,
        Code.MACHINE_TYPE,
        "pc-q35-7.1",
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1"),
        (b"\x89PNG", "bytes that are no text"),
        (b'{"vmschkmachine": {"Name": "\\udc80"}}', "bytes that are no text"),
        (b'{"vmschkmachine": {"Name": "\xed\xbf\xbd"}}', "bytes that are no text"),
        (b"{}", "JSON without 'vmschkmachine'"),
        (b'{"vmschkmachine": 3}', "JSON of another shape"),
        (b'{"vmschkmachine": {"Name": "x"}, "d": []}', "JSON of another shape"),
        (
            b'{"vmschkmachine": {"Name": "x"}, "d": {"version_id": %d, "minimum_version_id": 1}}' % (1 << 64),
            "JSON of another shape",
        ),
    ],
)
def test_what_is_no_such_file_is_an_error_of_one_line(tmp_path: Path, text: bytes, found: str) -> None:
    """In words of people: none of an exception of Python's."""
    path = tmp_path / "x.json"
    path.write_bytes(text)
    expected = f"no vmstate description: expected the JSON of -dump-vmstate, found {found}"
    with pytest.raises(FormatError, match=re.escape(expected)):
        vmstate_file.read_vmstate_file(str(path))
    with pytest.raises(InputError):
        vmstate_file.read_vmstate_file(str(tmp_path / "missing"))


def test_it_decides_whether_the_target_knows_a_subsection(tmp_path: Path) -> None:
    with_it = Machine([section("dev", number("a", 1), subsections=[Vmsd("dev/x", [number("b", 2)])])])
    without = Machine([section("dev", number("a", 1))])

    def codes(*subsections: Entry) -> list[Code]:
        known = dumped(tmp_path, "target", vmsd("dev", field("a"), subsections=subsections))
        findings: tuple[Finding, ...] = comparison(with_it, without, version=(6, 0), vmstate=known).findings
        return [finding.code for finding in findings]

    assert codes(vmsd("dev/x", field("b"))) == []
    assert codes() == [Code.SUBSECTION_UNKNOWN]


@pytest.mark.parametrize(("minimum", "expected"), [(1, []), (2, [Code.SECTION_VERSION])])
def test_it_decides_which_versions_the_target_reads(
    tmp_path: Path, minimum: int, expected: list[Code]
) -> None:
    source, target = (Machine([section("dev", number("a", 1), version=v)]) for v in (1, 2))
    known = dumped(tmp_path, "target", vmsd("dev", field("a"), version=2, minimum=minimum))
    findings = comparison(source, target, vmstate=known).findings
    assert [finding.code for finding in findings] == expected
