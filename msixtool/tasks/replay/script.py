"""Reading a script: one action a line, `#` begins a comment, words may stand in quotes of either kind.

All of it is read before anything is played. Raises UsageError for what cannot be read, with the
name of the script, the line, and what is allowed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msixtool.containers.file import read_whole
from msixtool.errors import InputError, MsixtoolError, UsageError, meant
from msixtool.tasks.replay import states  # noqa: F401  (its actions are among ACTIONS)
from msixtool.tasks.replay.actions import ACTIONS, new_process
from msixtool.tasks.replay.expectations import EXPECTATIONS
from msixtool.tasks.replay.grammar import Form, When
from msixtool.tasks.replay.values import wrong

MAX_SIZE = 2 << 20
"""The longest script, in bytes: the load path of 2048 vectors has some 200 KiB."""

_PIECE = re.compile(r"""\s+|\#.*|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<plain>[^\s'"#]+)""")
"""Blanks, a comment, or a part of a word."""

FORMS: dict[str, Form] = ACTIONS | EXPECTATIONS
"""All that a line can be, by name."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One line: its form and its values. `text` is the line as it was written, without the comment."""

    form: Form
    values: dict[str, Any]
    line: int = field(default=0, compare=False)
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        """The line, spelt anew."""
        return shlex.join(self.form.format(self.values))


@dataclass(frozen=True)
class Script:
    """A script; `folder` is where the files that it names are looked for."""

    name: str
    folder: str
    statements: tuple[Statement, ...]


def read_script(path: str) -> Script:
    """Read a script from a file, or from standard input for "-".

    Raises InputError where it cannot be read, UsageError where a line is wrong.
    """
    raw = read_whole(path, MAX_SIZE)
    if len(raw) > MAX_SIZE:
        raise InputError("script is too long", path=path, expected=f"at most {MAX_SIZE} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("script is not UTF-8 text", path=path, offset=error.start) from None
    return parse_script(text, name=path, folder=os.path.dirname(path) if path != "-" else "")


def parse_script(text: str, *, name: str = "script", folder: str = "") -> Script:
    """A script from its text; `name` is what errors call it. Raises UsageError where a line is wrong."""
    statements: list[Statement] = []
    has_device = False
    for line, content in enumerate(text.split("\n"), 1):
        try:
            statement = _statement(content, line)
            if statement is None:
                continue
            _check_place(statement.form, has_device)
        except UsageError as error:
            raise at_line(error, name, line) from None
        has_device = _has_device_after(statement.form, has_device)
        statements.append(statement)
    if not statements:
        raise UsageError("script has no action", path=name)
    return Script(name, folder, tuple(statements))


def at_line(error: MsixtoolError, name: str, line: int) -> MsixtoolError:
    """The same error, with the line of the script as its place."""
    place = str(error.where)
    return type(error)(
        f"{place}: {error.what}" if place else error.what,
        path=f"{name}:{line}",
        expected=error.expected,
        found=error.found,
    )


def _statement(content: str, line: int) -> Statement | None:
    """The statement of a line; None for an empty one."""
    words = _words(content)
    if not words:
        return None
    form = _form(words)
    return Statement(form, form.parse(words[len(form.name.split()) :]), line, shlex.join(words))


def _words(content: str) -> list[str]:
    """The words of a line; quotes keep blanks and `#`, and may be only a part of a word."""
    words: list[list[str]] = [[]]
    at = 0
    while at < len(content):
        piece = _PIECE.match(content, at)
        if piece is None:
            error = wrong("another one", content[at:])
            raise UsageError("quote stands alone", expected=error.expected, found=error.found)
        at = piece.end()
        if piece.lastgroup is not None:
            words[-1].append(piece[piece.lastgroup])
        elif words[-1]:
            words.append([])
    return ["".join(pieces) for pieces in words if pieces]


def _form(words: list[str]) -> Form:
    """The form that a line names by its first word, or its first two."""
    for length in (2, 1):
        form = FORMS.get(" ".join(words[:length]))
        if form is not None:
            return form
    sharing = [name for name in FORMS if name.split()[0] == words[0]]
    if sharing:
        found = " ".join(words[:2])
        raise _unknown("action" if words[0] != "expect" else "expectation", sharing, found)
    raise _unknown("action", _first_words(FORMS), words[0])


def _unknown(what: str, allowed: Iterable[str], found: str) -> UsageError:
    names, error = list(allowed), wrong("", found)
    expected = f"one of {', '.join(names)}"
    return UsageError(f"unknown {what}{meant(found, names)}", expected=expected, found=error.found)


def _first_words(names: Iterable[str]) -> Iterator[str]:
    """All names, with one `expect` for those that begin with it."""
    yield from (name for name in names if not name.startswith("expect "))
    yield "expect"


def _check_place(form: Form, has_device: bool) -> None:
    if form.when in (When.DEVICE, When.EXPECTATION) and not has_device:
        starts = ", ".join(f.name for f in FORMS.values() if f.when in (When.START, When.INIT))
        raise UsageError(f"{form.name}: there is no device yet", expected=f"one of {starts} before it")
    if form.when in (When.SETTING, When.START) and has_device:
        raise UsageError(
            f"{form.name}: out of place, there is a device already",
            expected="it at the start or behind new-process",
        )


def _has_device_after(form: Form, has_device: bool) -> bool:
    return form.run is not new_process and (has_device or form.when in (When.START, When.INIT))
