"""One word, one thing: a public class, function or constant has a name of its own in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msixtool

PACKAGE = Path(msixtool.__file__).parent

QUESTIONS = frozenset(
    ["capture", "compat", "explain", "forge", "inspect", "load", "replay", "save", "trace", "validate"]
)
"""What msixtool is asked has one name everywhere: a command in cli, a function in library, one in tasks."""
REPLAYED = ("tasks/replay/actions.py", "tasks/replay/expectations.py")
"""A word of a replay script is a function there, by its decorator: what is done, and what is looked for."""
REFUSALS = "qemu/refusals/"
"""A refusal is named for what is refused: `refusals.FOOTER`, which qevm.FOOTER is the schema of."""
OF_EACH = {
    "EXAMPLES": "of each command's help",
    "FAMILIES": "the modules that fill a registry, of kinds and of explain",
    "HEADER": "of each format",
    "HEADER_SIZE": "of each format",
    "MAGIC": "of each format",
    "MAX_SIZE": "of each text that is read whole",
    "MAX_VALUES": "of each text that is read whole",
}
"""Constants that several modules have on purpose; all are asked for by the module's name."""


def defined(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """What a statement on the outermost level of a module defines, and which of three kinds it is."""
    if isinstance(node, ast.ClassDef):
        yield "class", node.name
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield "function", node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (("constant", each.id) for each in ast.walk(target) if isinstance(each, ast.Name))


def homes() -> dict[str, dict[str, list[str]]]:
    """The modules of each public name, by its kind."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            for kind, name in defined(node):
                if not name.startswith("_"):
                    found[kind][name].append(str(path.relative_to(PACKAGE)))
    return found


HOMES = homes()


def several(kind: str) -> dict[str, list[str]]:
    """The names of this kind that several modules have."""
    return {name: paths for name, paths in HOMES[kind].items() if len(paths) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    assert len(HOMES["class"]) > 300, "the package is not where this test looks for it"
    assert several("class") == {}


def test_no_two_public_functions_have_one_name() -> None:
    found = several("function")
    assert not QUESTIONS - found.keys(), "no questions of several rooms any more"
    others = {
        name: kept
        for name, paths in found.items()
        if name not in QUESTIONS and len(kept := [path for path in paths if path not in REPLAYED]) > 1
    }
    assert others == {}
    for name in QUESTIONS:
        rooms = [path.partition("/")[0] for path in found[name] if path not in REPLAYED]
        assert len(rooms) == len(set(rooms)), f"{name} is {found[name]}"


def test_no_two_public_constants_have_one_name() -> None:
    found = several("constant")
    assert not OF_EACH.keys() - found.keys(), "these are of one module alone"
    others = {
        name: kept
        for name, paths in found.items()
        if name not in OF_EACH and len(kept := [path for path in paths if not path.startswith(REFUSALS)]) > 1
    }
    assert others == {}
