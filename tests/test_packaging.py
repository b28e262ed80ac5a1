"""What is built and installed: the package, its formats, and nothing else at the top level."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from msixtool.cli import COMMANDS
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    # A copy: building leaves files behind, and other workers may build at the same time.
    tree = tmp_path_factory.mktemp("source") / "tree"
    ignore = shutil.ignore_patterns(".git", ".venv", "*.egg-info", "build", "dist", "__pycache__", ".*_cache")
    shutil.copytree(REPOSITORY, tree, symlinks=True, ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)],
        check=True,
        capture_output=True,
    )
    return out


def test_formats_at_the_top_is_a_link_into_the_package() -> None:
    link = REPOSITORY / "formats"
    assert link.is_symlink()
    assert link.resolve() == REPOSITORY / "msixtool" / "formats"


def test_the_wheel_holds_the_formats_and_no_other_top_level_name(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"msixtool"}
    for source in (REPOSITORY / "msixtool").rglob("*.py"):
        assert source.relative_to(REPOSITORY).as_posix() in names
    assert "msixtool/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_sdist_holds_the_formats(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    for source in (REPOSITORY / "msixtool" / "formats").glob("*.py"):
        assert f"msixtool/formats/{source.name}" in names


def test_the_package_says_its_licence_and_its_scripts(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    scripts = archive.read(next(n for n in archive.namelist() if n.endswith("/entry_points.txt"))).decode()
    assert "GPL-2.0-or-later" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "msixtool = msixtool.__main__:main" in scripts


def asked_of_reporters() -> list[str]:
    """The commands of msixtool that the issue templates name."""
    texts = [path.read_text() for path in sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))]
    return sorted({found for text in texts for found in re.findall(r"`(msixtool [^`]*)`", text)})


@pytest.mark.parametrize("command", asked_of_reporters())
def test_what_a_reporter_is_asked_to_run_is_there(command: str) -> None:
    words = command.removesuffix("…").split()[1:]
    own = words[: words.index("--")] if "--" in words else words
    name = next((word for word in words if word in COMMANDS), None)
    run = subprocess.run(
        [sys.executable, "-m", "msixtool", *([name] if name else []), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in (word for word in own if word.startswith("-")):
        assert re.search(rf"(^|[ ,]){re.escape(option)}\b", run.stdout, re.MULTILINE), option
