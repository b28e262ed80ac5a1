"""`msixtool trace`, from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, unpacked

Tool = Callable[..., Result]

HUNG = REPOSITORY / "samples" / "hung"


def test_a_later_stream_that_is_cut_is_named_and_counts(msixtool: Tool, tmp_path: Path) -> None:
    """What it lacks is not taken for what has moved."""
    cut = tmp_path / "later.mig"
    cut.write_bytes(unpacked(HUNG / "later-7.2.mig.xz")[:200_000])
    words = ("trace", HUNG / "hung-7.2.mig.xz", "--later", cut)
    result = msixtool(*words, "--quiet")
    assert result.status == 2
    assert result.error_line.startswith(f"msixtool: {cut}: damaged: offset 0x")
    document = msixtool(*words, "--json").json
    assert [line.split(": ")[0] for line in document["damage"]] == [str(cut)]
    assert document["later"]["path"] == str(cut)


def test_a_vector_that_no_device_has_is_no_answer(msixtool: Tool) -> None:
    """That none is lost would be said of nothing."""
    result = msixtool("trace", HUNG / "hung-7.2.mig.xz", "--vector", "99")
    assert result.status == 2
    assert (result.out, result.error_line.partition("no vector")[2]) == ("", " 99: expected 0 to 3")
