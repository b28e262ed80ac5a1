"""One word, one thing: a public class has a name of its own in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import msixtool

PACKAGE = Path(msixtool.__file__).parent


def test_no_two_public_classes_have_one_name() -> None:
    found = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(found) > 300, "the package is not where this test looks for it"
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
