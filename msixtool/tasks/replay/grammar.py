"""The grammar of a line: a form is its usage line, and what is done with the values read by it.

`write table OFFSET VALUE [SIZE]` reads by itself: lower-case words are the form's name, placeholders
are values (values.py says of which kind), brackets hold what may be left out, and `key=PLACEHOLDER`
is given by its key, after the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from msixtool.errors import UsageError
from msixtool.tasks.replay.values import VALUE_KINDS, ValueKind, wrong


class When(Enum):
    """Where in a script a form is in place."""

    SETTING = "setting"
    """Before there is a device."""
    START = "start"
    """Before there is a device: it makes one."""
    INIT = "init"
    """Before there is a device, which it makes, or later."""
    DEVICE = "device"
    """On a device."""
    EXPECTATION = "expectation"
    """After an action on a device."""


@dataclass(frozen=True)
class Parameter:
    """One value of a form; `name` is that of the Python argument."""

    name: str
    placeholder: str
    keyword: bool
    required: bool

    @property
    def kind(self) -> ValueKind:
        return VALUE_KINDS[self.placeholder]

    @property
    def key(self) -> str:
        return self.name.replace("_", "-")

    @property
    def shown(self) -> str:
        """What errors call it."""
        return self.key if self.keyword else self.placeholder


@dataclass(frozen=True)
class Form:
    """One action or expectation. `run` is called with the bench and the values by their names."""

    usage: str
    when: When
    run: Callable[..., Any] = field(compare=False)

    @cached_property
    def name(self) -> str:
        """The words that a line begins with."""
        return " ".join(self._tokens[: self._name_length])

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(_parameter(token) for token in self._tokens[self._name_length :])

    @cached_property
    def help(self) -> str:
        """What it does, in a line."""
        return (self.run.__doc__ or "").strip().splitlines()[0]

    @property
    def _tokens(self) -> list[str]:
        return self.usage.split()

    @property
    def _name_length(self) -> int:
        tokens = self._tokens
        return next((i for i, token in enumerate(tokens) if not _is_name(token)), len(tokens))

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """The values of a line by the names of their parameters; those left out are absent.

        Raises UsageError, with the usage, for a value that is missing, not allowed, or too much.
        """
        rest, values = list(words), {}
        for parameter in self.parameters:
            taken = [] if parameter.keyword else self._take(parameter, rest)
            if taken:
                values[parameter.name] = self._read(parameter, taken)
            elif parameter.required and not parameter.keyword:
                raise self._missing(parameter, rest)
        for word in rest:
            parameter, value = self._keyword(word)
            if parameter.name in values:
                raise UsageError(f"{self.name}: {parameter.key} is there twice ({self.usage})")
            values[parameter.name] = self._read(parameter, [value])
        for parameter in self.parameters:
            if parameter.required and parameter.name not in values:
                raise self._missing(parameter, [])
        return values

    def format(self, values: dict[str, Any]) -> list[str]:
        """The words of a line with these values."""
        words = self.name.split()
        for parameter in self.parameters:
            if parameter.name in values:
                spelt = parameter.kind.format(values[parameter.name])
                words += [f"{parameter.key}={spelt[0]}"] if parameter.keyword else spelt
        return words

    def _take(self, parameter: Parameter, rest: list[str]) -> list[str]:
        """Take from `rest` the words of a parameter that has no key."""
        count = 0
        while count < len(rest) and (count == 0 or parameter.kind.many):
            word = rest[count]
            is_other = not parameter.required and self._is_keyword(word)
            if is_other or (parameter.kind.many and not parameter.kind.accepts(word)):
                break
            count += 1
        taken, rest[:] = rest[:count], rest[count:]
        return taken

    def _read(self, parameter: Parameter, words: list[str]) -> Any:
        try:
            return parameter.kind.parse(words)
        except UsageError as error:
            raise UsageError(
                f"{self.name}: {parameter.shown}", expected=error.expected, found=error.found
            ) from None

    def _is_keyword(self, word: str) -> bool:
        return any(
            parameter.keyword and word.startswith(f"{parameter.key}=") for parameter in self.parameters
        )

    def _keyword(self, word: str) -> tuple[Parameter, str]:
        for parameter in self.parameters:
            if parameter.keyword and word.startswith(f"{parameter.key}="):
                return parameter, word.partition("=")[2]
        error = wrong(self.usage, word)
        raise UsageError(f"{self.name}: a word too many", expected=error.expected, found=error.found)

    def _missing(self, parameter: Parameter, rest: list[str]) -> UsageError:
        if rest:
            error = wrong(parameter.kind.expected, rest[0])
            return UsageError(f"{self.name}: {parameter.shown}", expected=error.expected, found=error.found)
        return UsageError(f"{self.name}: {parameter.shown} is missing", expected=self.usage)


def _is_name(token: str) -> bool:
    return token.replace("-", "").isalpha() and token.islower()


def _parameter(token: str) -> Parameter:
    inner = token.strip("[]")
    key, equals, placeholder = inner.rpartition("=")
    name = key if equals else "on" if placeholder == "on|off" else placeholder.lower()
    return Parameter(name.replace("-", "_"), placeholder, bool(equals), inner == token)
