"""The exit statuses: part of the contract, shown by `--help` and in the README."""

from __future__ import annotations

from enum import IntEnum

SEVERITIES = ("error", "warning", "info")
"""Of findings, the gravest first."""


class ExitStatus(IntEnum):
    """What a run of msixtool ends with."""

    DONE = 0
    REPORT = 1
    USAGE = 2
    DEFECT = 3

    @classmethod
    def help_text(cls) -> str:
        """The statuses in words, for `--help`."""
        return "Exit status: " + "; ".join(f"{status.value} {_WORDS[status]}" for status in cls) + "."


_WORDS = {
    ExitStatus.DONE: "done, nothing to report",
    ExitStatus.REPORT: "done, something to report (differences, findings, a load that would fail)",
    ExitStatus.USAGE: "wrong usage, or an input that cannot be read or is damaged",
    ExitStatus.DEFECT: "a defect of msixtool itself",
}
