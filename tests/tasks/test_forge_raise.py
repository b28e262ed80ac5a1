"""forge --raise: an interrupt that was lost is on its way again, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from msixtool import Dump, forge
from msixtool.errors import UsageError
from msixtool.spec.values import DeviceSpec, EntrySpec, Spec
from msixtool.tasks.trace import trace
from tests.conftest import REPOSITORY, unpacked

HUNG = REPOSITORY / "tests" / "data" / "trace"
BLK = "0000:00:03.0/virtio-blk"


def verdicts(path: Path) -> list[tuple[int | None, str]]:
    with Dump.open(path) as dump:
        return [(row.queue, str(row.verdict)) for row in trace(dump, BLK).devices[0].interrupts]


@pytest.mark.parametrize("name", ["split-7.2-pair-lost", "packed-7.2-pair-lost", "legacy-7.2-pair-lost"])
def test_a_lost_interrupt_is_at_its_cpu_again(name: str, tmp_path: Path) -> None:
    base, out = HUNG / name / "source.mig.xz", tmp_path / "out"
    before = verdicts(base)
    queue = next(number for number, verdict in before if verdict in ("lost", "suspect", "unaccounted"))
    assert queue is not None
    forge(base, Spec(raised=((BLK, queue + 1),)), out)
    after = verdicts(out)
    assert dict(after)[queue] == "at-cpu"
    assert [row for row in after if row[0] != queue] == [row for row in before if row[0] != queue]
    one, two = unpacked(base), out.read_bytes()
    changed = [n for n in range(len(one)) if one[n] != two[n]]
    assert len(one) == len(two)
    assert 1 <= len(changed) <= 2


def test_a_masked_vector_becomes_pending(tmp_path: Path) -> None:
    masked, out = tmp_path / "masked", tmp_path / "out"
    base = HUNG / "split-7.2-pair-lost" / "source.mig.xz"
    forge(base, Spec((DeviceSpec(BLK, entries=(EntrySpec(2, masked=True),)),)), masked)
    forged = forge(masked, Spec(raised=((BLK, 2),)), out)
    assert dict(verdicts(out))[1] == "pending"
    assert any("is masked" in note for note in forged.notes)


def test_what_reaches_no_cpu_cannot_be_raised(tmp_path: Path) -> None:
    base = HUNG / "split-7.2-pair-lost" / "source.mig.xz"
    nowhere = tmp_path / "nowhere"
    forge(base, Spec((DeviceSpec(BLK, entries=(EntrySpec(2, address=0xFEE00000 | 64 << 12),)),)), nowhere)
    with pytest.raises(UsageError, match="reaches no CPU: no-such-cpu"):
        forge(nowhere, Spec(raised=((BLK, 2),)), tmp_path / "out")
    with pytest.raises(UsageError, match="a vector from 0 to 2"):
        forge(base, Spec(raised=((BLK, 3),)), tmp_path / "out")
