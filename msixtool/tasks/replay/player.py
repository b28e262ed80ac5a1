"""Playing a script: each line on the model of MSI-X, with what it set off and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msixtool.errors import MsixtoolError, UsageError
from msixtool.msix.events import Error, Events
from msixtool.msix.function import MmioRead
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.tasks.replay.bench import Bench
from msixtool.tasks.replay.expectations import expects_error
from msixtool.tasks.replay.grammar import When
from msixtool.tasks.replay.script import Script, Statement, at_line
from msixtool.tasks.replay.wording import in_words


@dataclass(frozen=True)
class Step:
    """What became of one line.

    An action is `ok` unless QEMU refused it, or ended over it, and the script does not expect that; an
    expectation is where it holds. `failure` says in words why it is not. `value` is what it read.
    """

    line: int
    action: str
    events: Events
    ok: bool
    value: int | None = None
    failure: str | None = None
    is_expectation: bool = False

    def words(self) -> list[str]:
        """What it set off, in words, a line each."""
        return list(in_words(self.events))

    def to_json(self) -> dict[str, Any]:
        """One line of the JSON lines; `value` and `failure` are there where there is one."""
        return {
            "line": self.line,
            "action": self.action,
            "events": [event.to_json() for event in self.events],
            "ok": self.ok,
            **({} if self.value is None else {"value": self.value}),
            **({} if self.failure is None else {"failure": self.failure}),
        }


def play(script: Script, qemu_version: QemuVersion = NEWEST) -> Iterator[Step]:
    """Play a script as far as it goes, one step a line; what fails does not end it.

    `qemu_version` is the QEMU to behave as where the script does not say. Raises InputError or
    UsageError, with the line, for a file that a line names and that cannot be used.
    """
    bench = Bench(script.folder, qemu_version)
    for at, statement in enumerate(script.statements):
        try:
            if statement.form.when is When.EXPECTATION:
                yield _expect(bench, statement)
            else:
                yield _act(bench, statement, expects_error=_expects_error(script.statements, at + 1))
        except MsixtoolError as error:
            raise at_line(error, script.name, statement.line) from None


def _act(bench: Bench, statement: Statement, *, expects_error: bool) -> Step:
    done = statement.form.run(bench, **statement.values)
    bench.value, bench.events = done if isinstance(done, MmioRead) else (None, done)
    errors = [event.message for event in bench.events if isinstance(event, Error)]
    failure = None if expects_error or not errors else errors[0]
    return Step(statement.line, statement.text, bench.events, failure is None, bench.value, failure)


def _expect(bench: Bench, statement: Statement) -> Step:
    try:
        failure = statement.form.run(bench, **statement.values)
    except UsageError as error:
        failure = str(error)
    return Step(statement.line, statement.text, (), failure is None, None, failure, True)


def _expects_error(statements: Sequence[Statement], at: int) -> bool:
    """Whether one of the expectations that follow an action directly is that it is refused."""
    while at < len(statements) and statements[at].form.when is When.EXPECTATION:
        if expects_error(statements[at].form):
            return True
        at += 1
    return False
