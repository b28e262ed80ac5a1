"""A refusal is told once: in qemu/refusals, with its code, its words and its advice."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import msixtool
from msixtool.qemu import refusals
from msixtool.qemu.refusals import logged, logged_devices
from msixtool.qemu.refusals.refusal import Code, Refusal, Severity
from msixtool.stream.items import DamageRule
from msixtool.tasks.explain.families import FAMILIES
from msixtool.tasks.rules.catalogue import RULES

TASKS = Path(msixtool.__file__).parent / "tasks"
HOME = Path(refusals.__file__).parent
ROOMS = sorted(
    path
    for path in TASKS.rglob("*.py")
    if path.relative_to(TASKS).parts[0] not in ("cmdline", "capture", "replay", "trace")
)
"""The files of what looks at streams and logs."""
SENTENCE = 28
"""Characters from which on a text is a sentence, and no name."""
OTHERWISE = {
    "tasks/compat/vmstate_diff.py": "of two descriptions, not of a stream",
    "tasks/compat/on_program.py": "what a program lacks",
    "tasks/compat/risks.py": "what a release lacks, without a target",
}
"""Files that tell of something else than a load that is refused, and what."""


def _refusals() -> Iterator[Refusal]:
    for module in (refusals, logged, logged_devices):
        for value in vars(module).values():
            if isinstance(value, Refusal):
                yield value
            elif isinstance(value, dict):
                yield from (each for each in value.values() if isinstance(each, Refusal))
    yield from (family.sentence for family in FAMILIES)


def _constants(path: Path) -> Iterator[str]:
    """The sentences of a file, but for docstrings; of one with values in it what stands between them."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value.strip()
            if len(text) >= SENTENCE and " " in text and "|" not in text:
                yield text


def test_no_sentence_stands_twice() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in [*ROOMS, *HOME.rglob("*.py")]:
        for text in _constants(path):
            found[text].append(path.relative_to(TASKS.parent).as_posix())
    assert {text: paths for text, paths in found.items() if len(paths) > 1} == {}


def test_no_two_refusals_have_the_same_words() -> None:
    found: dict[str, set[tuple[Code, str | None]]] = defaultdict(set)
    for refusal in _refusals():
        if refusal.words != "{damage}":  # what a reader met, in its own words
            found[refusal.words].add((refusal.code, refusal.advice))
    assert {words: told for words, told in found.items() if len(told) > 1} == {}


def _codes(path: Path) -> Iterator[tuple[int, str]]:
    """Line and code of each finding of an error that a file makes itself."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        values = [*node.args, *(word.value for word in node.keywords)]
        codes = [
            value.attr
            for value in values
            if isinstance(value, ast.Attribute)
            and isinstance(value.value, ast.Name)
            and value.value.id == "Code"
        ]
        sentences = [value for value in values if isinstance(value, ast.JoinedStr | ast.Constant)]
        told = any(
            isinstance(part, ast.Constant) and len(str(part.value)) >= SENTENCE // 2 for part in sentences
        )
        told = told or any(isinstance(value, ast.JoinedStr) for value in values)
        yield from ((node.lineno, code) for code in codes if told and code != Code.UNDECIDED.name)


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.relative_to(TASKS.parent).as_posix())
def test_a_code_is_told_with_words_in_no_other_place(path: Path) -> None:
    name = path.relative_to(TASKS.parent).as_posix()
    if not name.startswith("tasks/explain/families/"):
        assert bool(list(_codes(path))) <= (name in OTHERWISE), list(_codes(path))


def test_every_error_of_validate_that_qemu_gives_is_a_refusal() -> None:
    told = {refusal.rule for refusal in _refusals() if refusal.rule}
    errors = {rule.id for rule in RULES.values() if rule.severity is Severity.ERROR}
    assert errors - {rule.value for rule in DamageRule} <= told
    assert told <= set(RULES)
