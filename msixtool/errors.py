"""The exceptions of msixtool.

Every error that a person can meet says in one line what went wrong, where, what was
expected and what was found.

    MsixtoolError
    ├── UsageError            the question cannot be answered as asked (arguments, selection, SPEC)
    ├── InputError            the input cannot be read, or is damaged
    │   ├── NotAStreamError   the bytes are no QEMU migration stream and no container of one
    │   ├── FormatError       bytes that contradict their format
    │   │   └── TruncatedError    the bytes end before the record does
    │   └── ContainerError    a container (gzip, libvirt, qcow2, …) that cannot be opened
    └── OutputError           a file that cannot, or must not, be written

The command line turns each of them into exit status 2. Anything else that escapes is a
defect of msixtool (status 3).
"""

from __future__ import annotations

from collections.abc import Iterable

from msixtool.kept import NamedTuple

LONGEST = 1000
"""Characters that each part of an error's line has at most: an input decides over some of them."""


def shortened(value: object) -> str:
    """A value as visible text, cut where it is longer than LONGEST."""
    text = visible(str(value))
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def with_instance(name: str, instance: int | None) -> str:
    """What people are told of a section: its name, and which of several it is behind an @; the first is 0."""
    return f"{name}@{instance}" if instance else name


def visible(text: str) -> str:
    """`text` in one line, with escapes for what a terminal would obey or cannot show: names in a
    stream are whatever its writer chose."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'X'?)` for the one of `known` that is like `word`, empty where none is."""
    from difflib import get_close_matches

    by_lower = {each.lower(): each for each in known}
    like = get_close_matches(word[:100].lower(), by_lower, 1)
    return f" (did you mean {by_lower[like[0]]!r}?)" if like else ""


class Where(NamedTuple):
    """A place in an input: any part may be unknown.

    `offset` counts bytes in the decoded stream, or in the file where a container is at fault.
    """

    path: str | None = None
    offset: int | None = None
    section: str | None = None
    device: str | None = None

    def __str__(self) -> str:
        parts = [
            "''" if self.path == "" else self.path,
            None if self.offset is None else f"offset {self.offset:#x}",
            None if self.section is None else f"section {self.section}",
            None if self.device is None else f"device {self.device}",
        ]
        return visible(", ".join(part for part in parts if part))


class MsixtoolError(Exception):
    """Base of all errors that msixtool raises on purpose."""

    def __init__(
        self,
        what: str,
        *,
        path: str | None = None,
        offset: int | None = None,
        section: str | None = None,
        device: str | None = None,
        expected: object = None,
        found: object = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = Where(path, offset, section, device)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        where = str(self.where)
        return f"{where}: {self.explanation}" if where else self.explanation

    @property
    def explanation(self) -> str:
        """What, expected and found in one line, without the place."""
        text = shortened(self.what)
        if self.expected is not None:
            text += f": expected {shortened(self.expected)}"
        if self.found is not None:
            text += f"{',' if self.expected is not None else ':'} found {shortened(self.found)}"
        return text.rstrip()

    def at(
        self,
        *,
        path: str | None = None,
        offset: int | None = None,
        section: str | None = None,
        device: str | None = None,
    ) -> MsixtoolError:
        """This same error with the missing parts of its place filled in (known parts stay)."""
        known = self.where
        self.where = Where(
            path=known.path if known.path is not None else path,
            offset=known.offset if known.offset is not None else offset,
            section=known.section if known.section is not None else section,
            device=known.device if known.device is not None else device,
        )
        return self


class UsageError(MsixtoolError):
    """The question cannot be answered as it was asked."""


class InputError(MsixtoolError):
    """An input that cannot be read, or is damaged."""


class NotAStreamError(InputError):
    """The bytes are no QEMU migration stream, nor a container of one."""


class FormatError(InputError):
    """Bytes that contradict the format they should have."""


class TruncatedError(FormatError):
    """The bytes end before the record does."""


class ContainerError(InputError):
    """A container of a stream that cannot be opened or decoded."""


class OutputError(MsixtoolError):
    """A file that cannot be written, or must not be."""
