"""Who can have written a stream: the version that did is always among those that are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from msixtool.stream.writer import writer_of
from tests.conftest import STREAMS, stream_id, unpacked
from tests.stream.ways import MAPPED, MAPPED_OFFSET, RARE, walked


def version(path: Path) -> tuple[int, int] | None:
    """Which QEMU wrote it: by its name, or by the record beside a stream of the corpus; None for not said."""
    truth = path.parent / "truth.json"
    recorded = json.loads(truth.read_text()).get("version") if truth.exists() else None
    for name in (recorded, path.name.removesuffix(".mig.xz"), path.parent.name):
        found = re.search(r"(\d+)\.(\d+)\Z", str(name))
        if found:
            return int(found[1]), int(found[2])
    return None


RECORDED = [path for path in (*STREAMS, *RARE) if "channel" not in path.name and version(path)]


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.name[:-7] if p in RARE else stream_id(p))
def test_the_writer_is_in_the_range(path: Path) -> None:
    wrote = version(path)
    assert wrote is not None
    data = unpacked(path)
    offset = MAPPED_OFFSET if path.name.startswith(MAPPED) else 0
    writer = writer_of(walked(data[offset:], offset))
    assert writer.min is None or writer.min <= wrote
    assert writer.max is None or wrote <= writer.max


def test_a_stream_without_style_may_be_anybodys() -> None:
    (path,) = (path for path in RARE if path.name.startswith("no-footers-no-vmdesc"))
    writer = writer_of(walked(unpacked(path)))
    assert (writer.min, writer.max, writer.evidence) == (None, None, ())
