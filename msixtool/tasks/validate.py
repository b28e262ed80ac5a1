"""What is wrong with a stream: every rule, applied to all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.errors import UsageError, meant
from msixtool.tasks.finding import Severity
from msixtool.tasks.rules.catalogue import RULES, RuleFinding
from msixtool.tasks.rules.function import check_function
from msixtool.tasks.rules.stream import check_stream
from msixtool.tasks.rules.vectors import check_vectors

MAX_FINDINGS = 1 << 18
"""More are not listed: 28 functions of 2048 vectors, each wrong in four ways."""
GRAVITY = (Severity.INFO, Severity.WARNING, Severity.ERROR)
"""The severities, the gravest last."""


def validate(
    dump: OpenDump, *, ignore: Collection[str] = (), severity: Severity = Severity.INFO
) -> list[RuleFinding]:
    """The findings about the stream, then those about each device in stream order.

    Rules in `ignore` are left out, and so are findings below `severity` and those after
    MAX_FINDINGS. A dump that was opened with `walk` has its RAM records checked too. Raises
    UsageError where a rule is not known.
    """
    return _chosen(_all(dump), ignore, severity)


def validate_devices(
    devices: Iterable[MsixDevice],
    *,
    ignore: Collection[str] = (),
    severity: Severity = Severity.INFO,
) -> list[RuleFinding]:
    """The findings about the vectors of a saved state's devices: of their functions it says nothing."""
    found = (finding for device in devices for finding in check_vectors(device, x86=False))
    return _chosen(found, ignore, severity)


def _chosen(
    findings: Iterable[RuleFinding], ignore: Collection[str], severity: Severity
) -> list[RuleFinding]:
    check_ignored(ignore)
    least = GRAVITY.index(severity)
    chosen = (
        finding
        for finding in findings
        if finding.rule not in ignore and GRAVITY.index(finding.severity) >= least
    )
    return list(islice(chosen, MAX_FINDINGS))


def check_ignored(rules: Collection[str]) -> None:
    """Raises UsageError where one of them is no rule."""
    for rule in rules:
        if rule not in RULES:
            raise UsageError(f"no rule {rule!r}{meant(rule, RULES)}", expected=f"one of {', '.join(RULES)}")


def is_valid(findings: Collection[RuleFinding]) -> bool:
    """Whether there is no error among the findings."""
    return not any(finding.severity is Severity.ERROR for finding in findings)


def _all(dump: OpenDump) -> Iterator[RuleFinding]:
    yield from check_stream(dump)
    for device in dump.devices:
        yield from check_function(device)
        yield from check_vectors(device, x86=dump.is_x86)
