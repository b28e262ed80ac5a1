"""`--html FILE`: a page for a browser, besides what the command prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from msixtool.cli.options import Decorated, path_option
from msixtool.errors import UsageError


def html_options(function: Decorated) -> Decorated:
    """`--html FILE` and `--force`, given to the command as `html` and `force`."""
    force = click.option("--force", is_flag=True, help="With --html: write over a file that is there.")
    html = path_option("--html", help="Write a page for a browser too: one file, no network, no script.")
    return html(force(function))


class Page:
    """The page that a command may have been asked for; `rows` is what it keeps of each of many streams.

    Raises UsageError or OutputError before any work is done for a page that cannot be written.
    """

    def __init__(self, path: str | None, force: bool, *, inputs: Sequence[str]) -> None:
        self.path = path
        self.force = force
        self.inputs = inputs
        self.rows: list[Any] = []
        if path is None:
            if force:
                raise UsageError("--force", expected="--html with it")
            return
        from msixtool.output.files import check_output
        from msixtool.pages import check_renderer

        check_renderer()
        if path == "-":
            raise UsageError("--html", expected="a file", found="standard output, which has the result")
        check_output(path, force=force, inputs=inputs)

    @property
    def is_asked(self) -> bool:
        """Whether there is to be one."""
        return self.path is not None

    def write(self, html: str) -> None:
        """Write it whole. Raises OutputError where it cannot be."""
        from msixtool.output.files import write_file

        assert self.path is not None
        write_file(self.path, html.encode("utf-8", "backslashreplace"), force=self.force, inputs=self.inputs)
