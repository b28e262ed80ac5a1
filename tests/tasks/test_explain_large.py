"""explain on a log that is too long to look at every line: what is looked for is found wherever it stands."""

from __future__ import annotations

import io

import pytest

from msixtool.qemu.wordings import WITH_HINT
from msixtool.tasks.explain import explain
from msixtool.tasks.explain.lines import LOG_BLOCK, read_lines
from tests.tasks.explain_logs import recorded

NOISE = b"2026-01-02 03:04:05.678+0000: 1234: info : virObjectUnref:380 : OBJECT_UNREF: obj=0x7f3a\n"
FILLER = NOISE * (2 * LOG_BLOCK // len(NOISE))


@pytest.mark.parametrize("before", [b"", b'{"log":"a\\n', b"a\\r\\n", b"\\t", b"> ", b"kvm: "])
def test_each_part_of_a_message_that_is_looked_for_is_found_behind_any_escape(before: bytes) -> None:
    hints = list(WITH_HINT)
    log = FILLER + b"".join(before + hint + b": 0\n" for hint in hints) + FILLER
    found = {hint for line in read_lines(io.BytesIO(log)) for hint in line.hints}
    assert set(hints) - found == set()


def test_a_failure_in_the_middle_of_a_long_log_is_the_same_as_alone() -> None:
    said = recorded("7.2")["vectors"].encode()
    alone = explain(io.BytesIO(said))
    found = explain(io.BytesIO(FILLER + said + FILLER))
    assert [each.text for each in found] == [each.text for each in alone]
    assert [each.told for each in found] == [each.told for each in alone]
    assert found[0].line == FILLER.count(b"\n") + alone[0].line
