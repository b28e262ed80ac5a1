"""JSON Schemas (draft 2020-12) of the documents that `--json` prints: NAME.schema.json for each command.

They say what other programs may rely on; fields may be added to a document at any time, so none forbids
one. `common.schema.json` has what several documents share.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def names() -> list[str]:
    """The documents that have a schema, and `common`."""
    suffix = ".schema.json"
    return sorted(
        entry.name.removesuffix(suffix) for entry in files(__name__).iterdir() if entry.name.endswith(suffix)
    )


def read(name: str) -> dict[str, Any]:
    """The schema of a command's document, as of "inspect". Raises FileNotFoundError where there is none."""
    text = files(__name__).joinpath(f"{name}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
