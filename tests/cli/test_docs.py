"""What the README and the pages of docs/ show and link to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from msixtool.cli import COMMANDS
from tests.cli.examples import check_examples
from tests.conftest import REPOSITORY

PAGES = (
    REPOSITORY / "README.md",
    REPOSITORY / "samples" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
)
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ("../README.md", 5),
        ("explain.md", 5),
        ("forge.md", 3),
        ("library.md", 7),
        ("load.md", 2),
        ("trace.md", 4),
        ("validate.md", 4),
    ],
)
def test_examples_print_what_the_page_shows(page: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
    check_examples(page, tmp_path, count)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    for path, heading in _LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not heading or heading in _headings(target), f"{path}#{heading}"


def test_the_readme_has_a_row_for_every_command() -> None:
    rows = re.findall(r"^\| \[?`(\w+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert set(rows) == set(COMMANDS)


def test_every_page_is_reached_from_the_readme() -> None:
    readme = REPOSITORY / "README.md"
    linked = {(readme.parent / path).resolve() for path, _ in _LINK.findall(readme.read_text())}
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked


def _headings(page: Path) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
