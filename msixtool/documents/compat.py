"""The JSON document of `compat`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from msixtool.documents import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msixtool.tasks.compat import Comparison
    from msixtool.tasks.compat.qemu_target import Trial


def compat_document(
    source: Document,
    target: Document,
    comparison: Comparison,
    trial: Trial | None = None,
    *,
    damage: Sequence[str] = (),
) -> Document:
    """`msixtool.compat/1`; `source` and `target` as Origin has them, or what there is instead.

    `damage` is that of both streams, each with the name of its stream.
    """
    document: Document = {
        "schema": "msixtool.compat/1",
        "source": source,
        "target": target,
        "compatible": comparison.compatible,
        "findings": [finding.to_json() for finding in comparison.findings],
        "damage": list(damage),
    }
    if trial is not None:
        document["tried"] = trial_document(trial)
    return document


def trial_document(trial: Trial) -> Document:
    """`tried`: what QEMU did, and the cause that its words name."""
    from msixtool.tasks.explain import explain

    found = [] if trial.loaded else explain(io.BytesIO(trial.stderr.encode()))
    told = found[0].told if found else None
    return {
        "loaded": trial.loaded,
        "stderr": trial.stderr,
        "code": told and told.code.value,
        "section": told and told.section,
        "config_offset": told and told.config_offset,
    }
