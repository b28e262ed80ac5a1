"""What every answer has: whether there is something to report, what is damaged, and its document."""

from __future__ import annotations

from abc import ABC, abstractmethod

from msixtool.documents import Document, Origin
from msixtool.errors import shortened, visible

_NAME, _SUMMARY = 60, 120
"""Characters of a path, and of what was found, that a repr has at most."""


class Answer(ABC):
    """The answer to one question. It stays what it is when the stream is closed."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether there is nothing to report: nothing differs, is lost, refused or wrong."""
        return True

    @property
    @abstractmethod
    def origins(self) -> tuple[Origin, ...]:
        """The inputs that it is of."""

    @property
    def damage(self) -> tuple[str, ...]:
        """What contradicts the format in what was read: the answer may be less than whole."""
        return tuple(damage for origin in self.origins for damage in origin.damage)

    @abstractmethod
    def document(self) -> Document:
        """The JSON document of the contract, as `--json` prints it."""

    @abstractmethod
    def summary(self) -> str:
        """The answer in a few words."""

    def __repr__(self) -> str:
        names = (shortened(origin.path) for origin in self.origins if origin.path)
        of = ", ".join(name if len(name) <= _NAME else f"…{name[-_NAME:]}" for name in names)
        return f"<{type(self).__name__} of {of or 'a text'}: {visible(self.summary())[:_SUMMARY]}>"


class OfOne(Answer):
    """An answer of one input, its `origin`."""

    __slots__ = ()
    origin: Origin

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (self.origin,)
