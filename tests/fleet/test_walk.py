"""Which files are read of what a person names, and in which order."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from msixtool.errors import InputError
from msixtool.fleet.walk import Walk, walk


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(found: Walk, folder: Path) -> list[str]:
    return [os.path.relpath(source.path, folder) for source in found.inputs]


def test_a_folder_is_walked_by_name_with_each_subfolder_in_its_place(tmp_path: Path) -> None:
    tree(tmp_path, "b.mig", "a-z/x", "a/2", "a/10", "a/sub/deep", "c")
    found = walk([str(tmp_path)])
    assert names(found, tmp_path) == ["a/10", "a/2", "a/sub/deep", "a-z/x", "b.mig", "c"]
    assert all(source.found and source.error is None for source in found.inputs)


def test_what_is_named_is_read_in_the_order_given_whatever_it_is(tmp_path: Path) -> None:
    tree(tmp_path, "folder/b", "folder/a", ".hidden")
    os.mkfifo(tmp_path / "fifo")
    given = [str(tmp_path / name) for name in ("fifo", "folder", ".hidden", "missing")]
    found = walk([*given, "-", given[2]])
    assert names(found, tmp_path)[:5] == ["fifo", "folder/a", "folder/b", ".hidden", "missing"]
    assert [source.path for source in found.inputs[5:]] == ["-", given[2]]
    assert [source.found for source in found.inputs] == [False, True, True, False, False, False, False]


def test_a_named_folder_that_is_hidden_or_a_link_is_walked(tmp_path: Path) -> None:
    tree(tmp_path, ".saves/a")
    (tmp_path / "link").symlink_to(".saves")
    assert names(walk([str(tmp_path / ".saves"), str(tmp_path / "link")]), tmp_path) == [".saves/a", "link/a"]


def test_hidden_special_and_linked_things_are_counted_and_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "a", ".part", ".git/config", "sub/b")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to-fifo").symlink_to("fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "monitor"))
        found = walk([str(tmp_path)])
    assert names(found, tmp_path) == ["a", "sub/b"]
    assert (found.hidden, found.special, found.links) == (2, 4, 0)


def test_links_to_folders_are_not_followed_so_that_a_loop_ends(tmp_path: Path) -> None:
    tree(tmp_path, "sub/a")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "again").symlink_to("sub")
    found = walk([str(tmp_path)])
    assert names(found, tmp_path) == ["sub/a"]
    assert found.links == 2


def test_links_to_files_are_read_and_those_that_lead_nowhere_too_to_be_named(tmp_path: Path) -> None:
    tree(tmp_path, "file")
    (tmp_path / "latest").symlink_to("file")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "self").symlink_to("self")
    assert names(walk([str(tmp_path)]), tmp_path) == ["file", "gone", "latest", "self"]


def test_a_folder_that_cannot_be_listed_is_an_input_with_an_error_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/1", "b/2", "c/3")
    scandir = os.scandir

    def refuse(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = walk([str(tmp_path)])
    assert names(found, tmp_path) == ["a/1", "b", "c/3"]
    error = found.inputs[1].error
    assert isinstance(error, InputError)
    assert str(error) == f"{tmp_path}/b: the folder cannot be listed: found Permission denied"


def test_folders_may_be_nested_more_deeply_than_functions(tmp_path: Path) -> None:
    folders = [os.path.join(str(tmp_path), *["d"] * depth) for depth in range(1, 1500)]
    for folder in folders:
        os.mkdir(folder)
    file = Path(folders[-1], "file")
    file.touch()
    assert [source.path for source in walk([str(tmp_path)]).inputs] == [str(file)]
    file.unlink()
    for folder in reversed(folders):  # pytest itself could not
        os.rmdir(folder)


def test_a_dash_is_standard_input_even_where_a_folder_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "-/a")
    monkeypatch.chdir(tmp_path)
    assert [source.path for source in walk(["-", "./-"]).inputs] == ["-", "./-/a"]


def test_an_empty_folder_has_nothing_to_read(tmp_path: Path) -> None:
    assert walk([str(tmp_path)]) == Walk()
