"""The log of a run: what ran, what came of it, and what was found."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable

from tests.fuzz import bases
from tests.fuzz.outcome import Finding, Outcome, Reader, Tally

_HEAD = ("reader", "inputs", "refused", "partly", "whole", "findings", "slowest ms", "peak MiB", "CPU s")


def commit() -> str:
    """The commit that is checked out, with a + where files differ from it; "unknown" outside of git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=bases.REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found


def machine() -> str:
    """Processor, cores, system and Python of this machine, in one line."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    except OSError:
        pass
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"


def digest_of(reader: Reader) -> str:
    """What the inputs of a reader are made from, in a few letters: with another one its inputs are others."""
    return hashlib.sha256("\n".join(reader.bases()).encode()).hexdigest()[:8]


def row(name: str, tally: Tally) -> tuple[str, ...]:
    """One line of the table; the slowest of a reader's inputs is named by its index."""
    counts = [str(tally.outcomes[outcome]) for outcome in Outcome]
    slowest = f"{1000 * tally.slowest:.0f} (#{tally.slowest_index})" if tally.slowest_index >= 0 else "-"
    return (
        name,
        f"{tally.count}",
        *counts,
        f"{tally.outcomes['finding']}",
        slowest,
        f"{tally.memory >> 20}",
        f"{tally.seconds:.0f}",
    )


def table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = _HEAD) -> str:
    """Rows below a head, in columns that Markdown takes for a table too."""
    whole = [head, *rows]
    widths = [max(len(line[column]) for line in whole) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) if not at else cell.rjust(w) for at, (cell, w) in pairs) + " |"
        for pairs in (enumerate(zip(line, widths, strict=True)) for line in whole)
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if at else "-") for at, w in enumerate(widths)) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """One finding of each kind: those whose last line begins the same are one."""
    seen: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        seen.setdefault(identity(finding), finding)
    return list(seen.values())


def identity(finding: Finding) -> tuple[str, str, str]:
    """What findings of one kind have in common: where in msixtool they come from, and how they begin.

    Where time was over is chance: of those there is one.
    """
    lines = finding.text.strip().splitlines() or [""]
    place = next((line.strip() for line in reversed(lines) if "msixtool/" in line), "")
    return (finding.kind, "", "") if finding.kind == "hang" else (finding.kind, place, lines[-1][:40])
