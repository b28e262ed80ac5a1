"""The JSON document of `compat`."""

from __future__ import annotations

from typing import Any

from msixtool.documents import Document
from msixtool.tasks.compat import Comparison


def compat_document(source: Any, target: Any, comparison: Comparison, **more: Any) -> Document:
    """`msixtool.compat/1`; `source` and `target` are as source_document has them, or null."""
    return {
        "schema": "msixtool.compat/1",
        "source": source,
        "target": target,
        "compatible": comparison.compatible,
        "findings": [finding.to_json() for finding in comparison.findings],
        **more,
    }
