"""`msixtool.explain/1`: the failures in a log, explained."""

from __future__ import annotations

from collections.abc import Sequence

from msixtool.documents import Document, damage_document, saved_source, source_document
from msixtool.dump import Dump
from msixtool.tasks.explain import Explanation


def explain_document(
    path: str | None, size: int, explanations: Sequence[Explanation], dump: Dump | None = None
) -> Document:
    """The document of one log: its `path` (None for a text given as an argument) and its size in bytes.

    `stream` is the source of the stream that was given with it, null without one.
    """
    return {
        "schema": "msixtool.explain/1",
        "source": saved_source(path, size),
        "stream": None if dump is None else source_document(dump),
        "explanations": [explanation.to_json() for explanation in explanations],
        "damage": [] if dump is None else damage_document(dump),
    }
