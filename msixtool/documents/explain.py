"""`msixtool.explain/1`: the failures in a log, explained."""

from __future__ import annotations

from collections.abc import Sequence

from msixtool.documents import Document, Origin
from msixtool.tasks.explain import Explanation


def explain_document(
    log: Origin,
    explanations: Sequence[Explanation],
    stream: Origin | None = None,
    hint: str | None = None,
) -> Document:
    """The document of one log (its path is None for a text), and of the stream that was given with it.

    `hint` says what may be in it where nothing was found.
    """
    return {
        "schema": "msixtool.explain/1",
        "source": log.document(),
        "stream": None if stream is None else stream.document(),
        "explanations": [explanation.to_json() for explanation in explanations],
        "hint": hint,
        "damage": [] if stream is None else list(stream.damage),
    }
