"""Tables of one row a stream, printed while the streams are read, with totals below."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from msixtool.cli.plain import WIDTH
from msixtool.cli.screen import columns
from msixtool.cli.status import SEVERITIES
from msixtool.errors import visible
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool import Compatibility, Validation

_GAP = "  "
_NAME = 30
"""Columns that a name may take, at least, where there are 80."""
_REST = 24
"""Columns that a last one without a width of its own has, however narrow the terminal: no rule is longer."""


@dataclass(frozen=True, slots=True)
class FixedColumn:
    """A column behind the name. `width` in characters; 0, for the last, is all that is left."""

    heading: str
    width: int = 0
    right: bool = False

    def fit(self, cell: str, width: int) -> str:
        """The cell as wide as its column."""
        return cell.rjust(width) if self.right else cell.ljust(width)


class Summary:
    """The table of one command. What a row shows comes from the stream's facts."""

    columns: ClassVar[tuple[FixedColumn, ...]]

    def __init__(self) -> None:
        self._name = self._rest = self._below = 0
        self._width = WIDTH

    def begin(self, paths: Sequence[str], folder: str | None) -> None:
        """Print the heading; `paths` are those of all rows that may come, below `folder` if one is given."""
        if folder is not None:
            print(f"{visible(folder)}:")
        self._below = 0 if folder is None else len(os.path.join(folder, ""))
        names = [self._shown(path) for path in paths]
        fixed = sum(column.width + len(_GAP) for column in self.columns)
        open_ended = any(not column.width for column in self.columns)
        self._width = columns()
        room = self._width - fixed
        # A last column without a width of its own is worth half of what there is.
        most = min(max(_NAME, (room - len(_GAP)) // 2), room - _REST) if open_ended else room
        widest = max(map(len, names), default=0)
        self._name = max(len("Stream"), min(most, widest))
        self._rest = max(_REST, room - self._name) if open_ended else 0
        self._print("Stream", [column.heading for column in self.columns])

    def add(self, path: str, facts: Any, domain: str | None = None) -> None:
        """Print the row of a stream, and count it; `domain` is libvirt's name of it, where one is known."""
        name = self._shown(path)
        if domain is not None and domain not in os.path.basename(path):
            name += f" ({visible(domain)})"
        self._print(name, self.row(facts))

    def end(self, totals: str) -> None:
        """Print `totals`, and what this table counted."""
        print()
        for line in [totals, *self.totals()]:
            print(textwrap.fill(line, self._width, subsequent_indent=_GAP, break_on_hyphens=False))

    def row(self, facts: Any) -> list[str]:
        """The cells of a row; counts them for the totals."""
        raise NotImplementedError

    def totals(self) -> list[str]:
        """Lines below the table."""
        raise NotImplementedError

    def _shown(self, path: str) -> str:
        """What a row calls a file: the folder that all are in need not be repeated."""
        return visible(path[self._below :])

    def _print(self, name: str, cells: Sequence[str]) -> None:
        """A name that is too long has a line of its own, as df does it: it can be copied whole."""
        if len(name) > self._name:
            print(name)
            name = ""
        line = name.ljust(self._name)
        for column, cell in zip(self.columns, cells, strict=True):
            if column.width:
                line += _GAP + column.fit(cell, column.width)
                continue
            first, *others = textwrap.wrap(cell, self._rest, break_on_hyphens=False) or [""]
            indent = " " * (len(line) + len(_GAP))
            line = "\n".join([line + _GAP + first, *(indent + other for other in others)])
        print("\n".join(part.rstrip() for part in line.split("\n")))


class InspectSummary(Summary):
    """Of `inspect`: which machine, written by which QEMU, how many devices with MSI-X."""

    columns = (
        FixedColumn("Machine", 14),
        FixedColumn("QEMU", 9),
        FixedColumn("Dev", 3, right=True),
        FixedColumn("Vec", 4, right=True),
        FixedColumn("Pend", 4, right=True),
        FixedColumn("Damage", 6, right=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._devices = self._vectors = self._pending = 0

    def row(self, facts: Any) -> list[str]:
        self._devices += facts["devices"]
        self._vectors += facts["vectors"]
        self._pending += facts["pending"]
        return [
            facts["machine"] or "-",
            _releases(facts["min"], facts["max"]),
            *(str(facts[key]) for key in ("devices", "vectors", "pending")),
            str(facts["damage"] or "-"),
        ]

    def totals(self) -> list[str]:
        return [f"{self._devices:,} devices with MSI-X, {self._vectors:,} vectors, {self._pending:,} pending"]


def inspect_facts(document: dict[str, Any]) -> dict[str, Any]:
    """What InspectSummary, and a row of csv in this order, need of the document of a stream."""
    stream, devices = document["stream"], document["devices"]
    return {
        "machine": stream["machine"],
        **stream["writer"],
        "devices": len(devices),
        "vectors": sum(device["vectors"] for device in devices),
        "pending": sum(device["pending"] for device in devices),
        "damage": len(document["damage"]),
    }


def _releases(low: str | None, high: str | None) -> str:
    if low == high:
        return low or "-"
    return f"{low or ''}-{high or ''}"


class ValidateSummary(Summary):
    """Of `validate`: how many findings of each severity, and the rules that were broken."""

    columns = (
        FixedColumn("Errors", 6, right=True),
        FixedColumn("Warnings", 8, right=True),
        FixedColumn("Info", 4, right=True),
        FixedColumn("Rules"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._invalid = 0
        self._streams: Counter[tuple[str, str]] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()

    def row(self, facts: Any) -> list[str]:
        counts: Counter[str] = Counter()
        for (severity, _), count in facts.items():
            counts[severity] += count
        self._findings.update(facts)
        self._streams.update(facts.keys())
        self._invalid += bool(counts["error"])
        numbers = [str(counts[severity] or "-") for severity in SEVERITIES]
        return [*numbers, ", ".join(dict.fromkeys(rule for _, rule in facts)) or "-"]

    def totals(self) -> list[str]:
        by_gravity = sorted(
            self._streams.items(), key=lambda item: (SEVERITIES.index(item[0][0]), -item[1], item[0])
        )
        return [
            f"{self._invalid} with errors",
            *(
                f"{streams:6}  {severity} {rule}: {plural(self._findings[severity, rule], 'finding')}"
                for (severity, rule), streams in by_gravity
            ),
        ]


def validate_facts(answer: Validation) -> dict[tuple[str, str], int]:
    """What ValidateSummary needs of a stream: how often it breaks each rule, the gravest first."""
    found = Counter((finding.severity.value, finding.rule) for finding in answer.findings)
    return dict(sorted(found.items(), key=lambda item: SEVERITIES.index(item[0][0])))


_BELOW = " " * 6
"""Where what is said of a cause begins, below it."""


def compat_facts(answer: Compatibility) -> tuple[str | None, str, int, str | None]:
    """What CompatSummary needs: the cause of the first error, what it says, how many errors there are, and
    what to do about the first."""
    if not answer.errors:
        return None, "", 0, None
    first = answer.errors[0]
    section = f"{first.section}: " if first.section else ""
    return answer.cause, f"{section}{first.message}", len(answer.errors), first.advice


class CompatSummary(Summary):
    """Of `compat`: whether each loads, what stops it first, and what all that one cause stops have to do."""

    columns = (FixedColumn("Loads", 5), FixedColumn("Reasons", 7, right=True), FixedColumn("First reason"))

    def __init__(self) -> None:
        super().__init__()
        self._loads = 0
        self._causes: Counter[str] = Counter()
        self._advice: dict[str, set[str | None]] = {}

    def row(self, facts: Any) -> list[str]:
        cause, message, count, advice = facts
        if cause is None:
            self._loads += 1
            return ["yes", "-", ""]
        self._causes[cause] += 1
        self._advice.setdefault(cause, set()).add(advice)
        return ["no", str(count), message]

    def totals(self) -> list[str]:
        lines = [f"{self._loads} would load"]
        for cause, count in self._causes.most_common():
            lines.append(f"{count:4}  {cause}")
            if len(self._advice[cause]) == 1:
                (advice,) = self._advice[cause]
                lines += textwrap.wrap(
                    advice or "",
                    self._width,
                    initial_indent=_BELOW,
                    subsequent_indent=_BELOW,
                    break_on_hyphens=False,
                )
        return lines
