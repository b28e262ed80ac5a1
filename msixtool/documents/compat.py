"""The JSON document of `compat`."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from msixtool.documents import Document, saved_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msixtool.dump import Dump
    from msixtool.tasks.compat import Comparison
    from msixtool.tasks.compat.qemu_target import Trial


def compat_document(
    source: Any,
    target: Any,
    comparison: Comparison,
    trial: Trial | None = None,
    *,
    damage: Sequence[str] = (),
) -> Document:
    """`msixtool.compat/1`; `source` and `target` as `source_document` has them, or what there is instead.

    `damage` is that of both streams (`damage_of`).
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


def damage_of(*dumps: Dump) -> list[str]:
    """What is damaged in each of these streams, with the name of the stream."""
    return [f"{dump.path}: {damage}" for dump in dumps for damage in dump.damage]


def vmstate_document(path: str, machine: str) -> Document:
    """A -dump-vmstate file as source or target."""
    return saved_source(path, os.path.getsize(path)) | {"machine": machine}


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
