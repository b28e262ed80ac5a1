"""What the standard library has, for less time: a start makes dozens of classes, a stream 10^5 of values.

Sources: CPython Lib/functools.py (since 3.12 without the lock: of two threads that ask at once both work
it out) and Lib/typing.py.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple", "cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:  # noqa: N801
        """A value that is worked out when it is first asked for, without the lock that Python 3.11 takes."""

        def __init__(self, make: Callable[[Any], Any]) -> None:
            self._make = make
            self.__doc__ = make.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._make(instance)
            return value


if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Named(type):
        """Makes a named tuple of a class that is written as one of typing.NamedTuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.pop("__annotations__")
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            made.__annotations__ = fields
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Named):
        """As typing.NamedTuple, which compiles the text of each annotation, to see that it makes sense."""
