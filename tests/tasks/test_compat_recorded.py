"""What real QEMUs did with recorded streams, predicted: verdict, first cause, section, offset.

The cases of tests/data/compat were made by tests/live/compat_cases.py; the corpus has more where it is
at hand. What QEMU's words mean is told by `explain`, which is tested by itself.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.tasks.compat import Comparison, compare
from msixtool.tasks.explain import explain
from msixtool.tasks.finding import Code
from tests.conftest import CORPUS, REPOSITORY

RECORDED = sorted((REPOSITORY / "tests" / "data" / "compat").glob("*/outcome.json"))
OF_CORPUS = sorted((CORPUS / "compat").glob("*/outcome.json"))


def compared(folder: Path) -> Comparison:
    with (
        Dump.open(folder / "source.mig.xz") as source,
        Dump.open(folder / "target.mig.xz") as target,
    ):
        return compare(source, target)


def check(comparison: Comparison, outcome: dict[str, Any]) -> None:
    """The prediction is what QEMU did, and for the same reason where it gave one."""
    first = comparison.first
    assert comparison.compatible == (outcome["status"] == "completed"), first
    if first is None:
        return
    told = explain(io.BytesIO(outcome["stderr"].encode()))[0].told
    if told.code is not Code.OTHER:
        assert first.code is told.code
    if told.section is not None:
        assert first.section == told.section
    assert first.config_offset == told.config_offset


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_the_prediction_is_what_qemu_did(path: Path) -> None:
    check(compared(path.parent), json.loads(path.read_text()))


@pytest.mark.skipif(not OF_CORPUS, reason="the corpus is not at hand")
@pytest.mark.parametrize("path", OF_CORPUS, ids=lambda path: path.parent.name)
def test_the_prediction_is_what_qemu_did_in_the_corpus(path: Path) -> None:
    check(compared(path.parent), json.loads(path.read_text()))


def test_every_recorded_failure_has_its_words_and_its_advice() -> None:
    shown = {}
    for path in RECORDED:
        first = compared(path.parent).first
        if first is not None:
            assert first.advice, path
            shown[path.parent.name] = first.message
    assert shown["vectors-fewer-7.2-7.2"] == "MSI-X table size: 4 vectors, the target has 3"
    assert shown["outputs-7.2-10.0"] == "max_outputs: 1, the target has 2, and they must be equal"
    assert shown["memory-10.0-11.1"] == "RAM block pc.ram: 8 MiB, the target has 16 MiB"
    assert shown["tap-pairs-7.2-7.2"] == (
        "max_queue_pairs: the source's network backend has 4 queues, the target's 2, and they must be equal"
    )
    assert shown["tap-header-5.2-7.2"] == (
        "has_vnet_hdr: the source's network backend has vnet_hdr=on, the target's has not"
    )
    assert shown["tap-single-5.2-7.2"].startswith(
        "max_queue_pairs: 4 queues of the network backend, the target's has one: "
    )
    assert shown["legacy-11.1-10.0"] == (
        "the capability list begins at 0x98 (MSI-X), in the target at 0x40 (MSI-X)"
    )
    assert shown["blk-queue-size-7.2-11.1"] == "queue 0: 256 entries, the target has 64"


def test_a_stream_loads_into_the_machine_that_it_comes_from(stream_path: Path) -> None:
    with Dump.open(stream_path) as source, Dump.open(stream_path) as target:
        assert compare(source, target).first is None
