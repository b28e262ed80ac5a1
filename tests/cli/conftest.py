"""Running the command line in this process, as a person would from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from msixtool.cli import run


@dataclass(frozen=True)
class Result:
    """What one run printed, and the status it ended with."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error_line(self) -> str:
        """The one line on standard error: fails where there are more or none."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def msixtool(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `msixtool ARGUMENTS`."""

    def call(*arguments: object) -> Result:
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call
