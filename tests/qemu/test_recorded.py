"""The records of QEMU releases, and what is made of them."""

from __future__ import annotations

import json

import pytest

from msixtool.qemu.recorded import releases
from msixtool.qemu.versions import Version
from msixtool.qemu.vmstates import SUBSECTIONS, minimum_version
from tests.record.record import FOLDER, text_of


def test_the_records_are_as_the_script_writes_them() -> None:
    for path in FOLDER.glob("*.json"):
        text = path.read_text("utf-8")
        made = json.loads(text)
        assert text_of(made) == text
        assert made["release"] == path.stem
    assert list(releases()) == [(5, 2), (7, 2), (10, 0), (11, 1)]


@pytest.mark.parametrize(
    ("name", "release", "covers"),
    [
        ("scsi-disk/pr", (10, 0), False),
        ("scsi-disk/pr", (10, 1), None),
        ("scsi-disk/pr", (11, 1), True),
        ("e1000/tx_tso_state", (4, 0), True),
        ("ich9_pm/pcihp", (5, 2), False),
    ],
)
def test_a_subsection_is_known_from_the_first_release_on_that_has_it(
    name: str, release: Version, covers: bool | None
) -> None:
    assert SUBSECTIONS[name].covers(release) is covers


@pytest.mark.parametrize("name", ["esp/pdma", "qxl/monitors-config"])
def test_of_a_subsection_that_is_gone_again_nothing_is_said(name: str) -> None:
    assert name in releases()[7, 2]["subsections"]
    assert name not in SUBSECTIONS


@pytest.mark.parametrize(
    ("vmsd", "release", "minimum"),
    [
        ("hpet", (10, 0), 1),
        ("hpet", (10, 1), None),
        ("hpet", (11, 1), 2),
        ("hpet", (12, 0), 2),
        ("hpet", (4, 2), None),
        ("e1000e", (8, 0), 1),
        ("of-a-stranger", (11, 1), None),
        ("hpet", None, None),
    ],
)
def test_the_oldest_version_that_a_release_reads(
    vmsd: str, release: Version | None, minimum: int | None
) -> None:
    assert minimum_version(vmsd, release) == minimum
