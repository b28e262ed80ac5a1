"""What a monitor answers is input like any other: each part is asked for with the type that it must have.

Source: QEMU qapi/*.json. Raises InputError, naming the command, where an answer is of another shape.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msixtool.errors import InputError

_SHOWN = 300
"""Characters of a monitor's own words that an error shows."""

_KINDS = {dict: "an object", list: "a list", str: "a string", int: "an integer", bool: "true or false"}

Answered = TypeVar("Answered")


def shaped(command: str, answer: Any, kind: type[Answered], what: str = "answer") -> Answered:
    """`answer`, which has to be of this type. Raises InputError where it is of another."""
    if not isinstance(answer, kind) or (kind is int and isinstance(answer, bool)):
        raise InputError(
            f"the monitor's answer to {command} makes no sense: {what}",
            expected=_KINDS[kind],
            found=short_answer(repr(answer)),
        )
    return answer


def member(command: str, answer: Any, name: str, kind: type[Answered]) -> Answered:
    """A member of an object. Raises InputError where it is not there, or of another type."""
    return shaped(command, shaped(command, answer, dict).get(name), kind, name)


def optional(command: str, answer: Any, name: str, kind: type[Answered]) -> Answered | None:
    """A member that QEMU leaves out where it has nothing to say. Raises InputError as `member` does."""
    return member(command, answer, name, kind) if name in shaped(command, answer, dict) else None


def short_answer(text: str) -> str:
    """What the other side said, cut where it is longer than anyone reads."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
