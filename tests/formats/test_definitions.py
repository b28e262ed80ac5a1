"""The schemas of formats/ are the definition: each is used, and bytes are read and written through them.

What reads or writes integers by itself stands in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import construct
import pytest

import msixtool
from msixtool import formats

PACKAGE = Path(msixtool.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}

EXCEPTIONS = {
    "fleet/pool.py": "no stream: numbers in memory that processes share",
    "tasks/capture/denial.py": "no stream: the credentials of a peer, as the kernel has them",
}
"""Modules outside formats/ that turn bytes into integers, or integers into bytes, by themselves."""


def by_hand(source: str) -> Iterator[str]:
    """Where a module does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("from_bytes", "to_bytes"):
            yield f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Import) and any(name.name == "struct" for name in node.names):
            yield f"line {node.lineno}: import struct"


def test_what_reads_bytes_by_itself_stands_in_the_list() -> None:
    found = {name for name, source in SOURCES.items() if any(by_hand(source))}
    new = {name: list(by_hand(SOURCES[name])) for name in found - set(EXCEPTIONS) if "formats/" not in name}
    assert not new, "read it through a schema of formats/, or say here why not"
    assert not set(EXCEPTIONS) - found, "these need no exception any more"


def schemas() -> list[tuple[str, str]]:
    """Module and name of each schema of formats/."""
    found = []
    for module in pkgutil.iter_modules(formats.__path__):
        own = SOURCES[f"formats/{module.name}.py"]
        values = vars(importlib.import_module(f"msixtool.formats.{module.name}"))
        found += [
            (module.name, name)
            for name, value in values.items()
            if isinstance(value, construct.Construct) and re.search(rf"^{name}(: .*)? = ", own, re.MULTILINE)
        ]
    return found


@pytest.mark.parametrize(("module", "name"), schemas())
def test_every_schema_is_used_by_the_package(module: str, name: str) -> None:
    uses = {file: len(re.findall(rf"(?<!\")\b{name}\b(?!\")", text)) for file, text in SOURCES.items()}
    uses[f"formats/{module}.py"] -= 1
    assert sum(uses.values()) > 0
