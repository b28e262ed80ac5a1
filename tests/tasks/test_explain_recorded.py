"""explain on what real QEMUs said: each failure is one explanation that names its cause."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.tasks.explain import Explanation, explain
from tests.conftest import CORPUS
from tests.tasks.explain_logs import EXPECTED, LOGS, VERSIONS, recorded


def explained(text: str, dump: Dump | None = None) -> list[Explanation]:
    return explain(io.BytesIO(text.encode()), dump)


def one(text: str, dump: Dump | None = None) -> Explanation:
    found = explained(text, dump)
    assert len(found) == 1, [each.text for each in found]
    return found[0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_failure_is_one_explanation_that_names_its_cause(version: str, name: str) -> None:
    said = recorded(version)
    if name not in said:
        pytest.skip(f"QEMU {version} loads such a stream")
    explanation = one(said[name])
    told, expected = explanation.told, EXPECTED[name]
    assert told.code == expected.code
    assert told.config_offset == expected.config_offset
    if expected.section is not None or name in ("magic", "version", "ping"):
        assert told.section == expected.section
    if expected.field is not None:
        assert told.field == expected.field
    if expected.source is not None:
        assert told.source == expected.source
    if expected.target is not None:
        assert told.target == expected.target
    assert told.message.endswith(".")
    assert explanation.text in said[name]
    low, high = explanation.qemu
    this = tuple(map(int, version.split(".")))
    assert (low or (0, 0)) <= this <= (high or (99, 0))


@pytest.mark.parametrize("version", VERSIONS)
def test_all_that_one_qemu_said_is_explained_failure_by_failure(version: str) -> None:
    said = recorded(version)
    with (LOGS / f"{version}.log").open("rb") as log:
        lines = [explanation.line for explanation in explain(log)]
    assert lines == sorted(lines)
    text = (LOGS / f"{version}.log").read_text().splitlines()
    headings = [number for number, line in enumerate(text, 1) if line.startswith("# ")]
    # Three failures in one device are told in the same words: they are one, and its repetitions.
    explained_ones = {sum(heading < line for heading in headings) - 1 for line in lines}
    missed = [name for number, name in enumerate(said) if number not in explained_ones]
    assert set(missed) <= {"queue-vector", "queue-sel"}


def test_where_the_releases_differ_in_what_they_say_the_explanation_says_what_can_be_known() -> None:
    assert one(recorded("10.0")["subsection-unknown"]).told.field == "virtio"
    assert one(recorded("11.1")["subsection-unknown"]).told.field == "virtio/virtquexxx"
    assert one(recorded("7.2")["magic"]).told.source is None
    assert one(recorded("11.1")["magic"]).told.source == 0x1F8B0800
    assert "gzip" in one(recorded("11.1")["magic"]).told.message
    assert one(recorded("7.2")["compressed-page"]).told.code == "capability"
    assert one(recorded("11.1")["compressed-page"]).told.code == "stream"
    assert one(recorded("10.0")["queue-sel"]).told.code == "other"


CAUSES = [
    (r"Unknown (?:savevm )?section or instance '(?P<section>[^']+)'", "section-unknown"),
    (r"Bad config data: i=(?P<offset>0x[0-9a-f]+)", "config-mismatch"),
    (r"(?:Size|Length) mismatch: ", "ram-size"),
    (r"Unknown ramblock", "ram-missing"),
    (r"unsupported version|is too old for local|is too new for local", "section-version"),
    (r"Features 0x\S+ unsupported", "features"),
    (r"Machine type received", "machine-type"),
    (r"vring\.num|exceeds allocated max", "queue-size"),
    (r"Missing section footer for (?P<section>\S+)", "section-layout"),
    (
        r"\b\d+ != \d+|Cannot migrate while device properties|saved image requires vnet_hdr=on",
        "field-mismatch",
    ),
]
"""What the corpus calls the cause of a failed load, by the first of these that stands in QEMU's words."""

OUTCOMES = sorted((CORPUS / "compat").glob("*/outcome.json"))


def cause(stderr: str) -> tuple[str, str | None, int | None]:
    """Code, section and offset of the first failure; the section and the offset where they are told."""
    found = [(m.start(), code, m) for pattern, code in CAUSES if (m := re.search(pattern, stderr))]
    _, code, match = min(found, key=lambda entry: entry[0])
    groups = match.groupdict()
    section = groups.get("section")
    if section is None and code in ("config-mismatch", "queue-size", "field-mismatch"):
        device = re.search(r"of device '([^']+)'", stderr)
        section = device[1] if device else None
    offset = groups.get("offset")
    return code, section, int(offset, 16) if offset else None


@pytest.mark.skipif(not OUTCOMES, reason="the corpus is not at hand")
@pytest.mark.parametrize("with_stream", [False, True], ids=["log", "log-and-stream"])
def test_every_failed_load_of_the_corpus_is_explained_by_the_same_cause(with_stream: bool) -> None:
    failed = 0
    for path in OUTCOMES:
        outcome = json.loads(path.read_text())
        if outcome["status"] == "completed":
            assert explained(outcome["stderr"]) == [], path
            continue
        failed += 1
        if with_stream:
            with Dump.open(path.parent / "source.mig.xz") as dump:
                told = one(outcome["stderr"], dump).told
        else:
            told = one(outcome["stderr"]).told
        code, section, offset = cause(outcome["stderr"])
        assert told.code == code, path
        assert section in (None, told.section), path
        assert offset in (None, told.config_offset), path
    assert failed > 20


@pytest.mark.skipif(not OUTCOMES, reason="the corpus is not at hand")
def test_the_corpus_loads_that_fail_for_a_byte_agree_with_their_stream() -> None:
    seen = set()
    for path in OUTCOMES:
        outcome = json.loads(path.read_text())
        if "Bad config data" not in outcome["stderr"]:
            continue
        with Dump.open(Path(path.parent, "source.mig.xz")) as dump:
            told = one(outcome["stderr"], dump).told
        assert "not the one that failed" not in told.message
        assert "as a rule" not in told.message
        seen.add((told.config_offset, told.field))
    assert (0x9A, "MSI-X table size") in seen
    assert (0x34, "capabilities pointer") in seen
    assert (0x69, "next pointer of the MSI-X capability") in seen
    assert (0x105, "device serial number") in seen
