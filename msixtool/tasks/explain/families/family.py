"""A family of messages that mean the same, by templates of QEMU's words.

In a template `*` stands for anything in the line, `{name}` for a value with that name in the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from msixtool.qemu.refusals.refusal import Code, Refusal

CONSEQUENCE = 2
"""The rank of a message that another one explains, in this log or in that of the other side."""
ECHO = CONSEQUENCE + 1
"""The rank of what only says that the other side has said why: beside that it says nothing."""
UNSENT = ECHO + 1
"""The rank of what only says that the stream went no further: any word of why is more."""
_WEAK_BELOW = 24
"""Templates with fewer letters stand in all kinds of logs: in a line without QEMU's name, or that of
what manages it, they do not count."""

_PART = re.compile(r"\*|\{(\w+)\}")
_WORD = re.compile(r"(?<![A-Za-z\0])[A-Za-z]{3,}")
_ANY = r"[^\n]{0,200}?"
_VALUE = r"[^\n]{1,200}?"
_LAST = r"[^\n'\"]{1,200}"
_TOKEN = r"[^\s:,'\"()\[\]\n]{1,255}"
_SECTION = r"[^\s'\"\n:][^\s'\"\n]{0,254}"


@dataclass(frozen=True, slots=True)
class Family:
    """Messages of one meaning; `rank` is 0 for a cause, CONSEQUENCE for what only follows from one."""

    name: str
    sentence: Refusal
    templates: tuple[str, ...]
    rank: int = 0


def family(
    name: str,
    message: str,
    advice: str | None,
    *templates: str,
    code: Code = Code.OTHER,
    section: str | None = None,
    field: str | None = None,
    rank: int = 0,
) -> Family:
    """A Family of templates with its sentence."""
    return Family(name, Refusal(code, message, advice, section=section, field=field), templates, rank)


@dataclass(frozen=True, slots=True)
class Template:
    """A template, compiled: how many letters of it stand for themselves, and when it is tried."""

    family: Family
    pattern: re.Pattern[str]
    letters: int
    place: int

    @property
    def weak(self) -> bool:
        """Whether only what QEMU's name stands before counts."""
        return self.letters < _WEAK_BELOW


def compiled(families: Iterable[Family]) -> dict[str, list[Template]]:
    """All templates by how the longest word of each begins (see `key`)."""
    found: dict[str, list[Template]] = {}
    for place, (own, template) in enumerate((each, words) for each in families for words in each.templates):
        literal = _PART.sub("\0", template.strip("*"))
        word = max(_WORD.findall(literal), key=len)
        letters = sum(character.isalpha() for character in literal)
        found.setdefault(key(word), []).append(Template(own, _pattern(template), letters, place))
    return found


def key(word: str) -> str:
    """What a word is looked up by: its first four letters."""
    return word[:4].lower()


def _pattern(template: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    template = template.strip("*")
    for match in _PART.finditer(template):
        parts.append(re.escape(template[position : match.start()]))
        last = match.end() == len(template)
        if match[1] is None:
            parts.append(_ANY)
        elif match[1] == "section":
            parts.append(rf"(?P<section>{_SECTION})")
        elif match[1] in _TOKENS:
            parts.append(rf"(?P<{match[1]}>{_TOKEN})")
        else:
            parts.append(rf"(?P<{match[1]}>{_LAST if last else _VALUE})")
        position = match.end()
    parts.append(re.escape(template[position:]))
    # A word that begins a template is not the end of a longer one.
    bound = r"(?<!\w)" if template[:1].isalnum() else ""
    return re.compile(bound + "".join(parts).replace(r"\ ", " "))


_TOKENS = frozenset({"block", "node", "device", "queue", "cap", "source", "target", "number", "register"})
