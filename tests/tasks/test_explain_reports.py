"""explain on failures as they were reported in public (the answers were written down before it was asked),
and on some that were provoked with real QEMUs."""

from __future__ import annotations

import io
import tomllib
from typing import Any

import pytest

from msixtool.tasks.explain import explain
from tests.tasks.explain_logs import LOGS

REPORTS: dict[str, dict[str, Any]] = {
    report["name"]: report
    for name in ("reports.toml", "provoked.toml")
    for report in tomllib.loads((LOGS / name).read_text("utf-8"))["report"]
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_gets_the_answer_that_was_written_down(name: str) -> None:
    report = REPORTS[name]
    found = [each.to_json() for each in explain(io.BytesIO(report["log"].encode()))]
    mine = [each for each in found if report["cause"] in each["text"]]
    assert mine, [each["text"] for each in found]
    for key in ("code", "section", "config_offset", "known"):
        assert mine[0][key] == report.get(key, mine[0][key])
    words = f"{mine[0]['message']} {mine[0]['advice']}".lower()
    assert [word for word in report.get("says", []) if word.lower() not in words] == []
    assert [word for word in report.get("never", []) if word.lower() in words] == []
    assert len(found) == report.get("count", len(found)), [each["text"] for each in found]
