"""The fields of a section as lines for people: a tree, folded where it is long."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from msixtool import Elements, Group, Leaf
from msixtool.formats.vmstate import TIMER_OFF

BUFFER = 16
"""Bytes of a longer buffer that are shown."""
_NUMBERS = 64
"""Numbers, or runs of equal ones, of a longer array that are shown."""

_NO_BREAK = "\N{NO-BREAK SPACE}"


class Listing:
    """The lines of one section: a tree, folded where it is long."""

    def __init__(self, data: bytes, width: int, show_all: bool) -> None:
        self.data = data
        self.width = width
        self.show_all = show_all

    def members(self, group: Group, indent: int) -> Iterator[str]:
        """The members of a struct, a line each or more."""
        leaves = [name for name, member in group.members.items() if isinstance(member, Leaf)]
        column = min(24, max(map(len, leaves), default=0))
        for name, member in group.members.items():
            yield from self.node(name.ljust(column), member, indent)

    def node(self, name: str, node: Leaf | Group | Elements, indent: int) -> Iterator[str]:
        if isinstance(node, Leaf):
            yield from self.wrapped(f"{name}  {self.words(node)}", indent)
        elif isinstance(node, Elements):
            yield from self.elements(name.rstrip(), node, indent)
        else:
            yield " " * indent + name.rstrip()
            yield from self.members(node, indent + 2)

    def elements(self, name: str, array: Elements, indent: int) -> Iterator[str]:
        """The elements of an array; those that are equal to the one before are folded."""
        if not array.elements:
            yield " " * indent + f"{name}  none"
            return
        yield " " * indent + name
        for first, last in self.runs(array.value(self.data)):
            label = f"[{first}]" if first == last else f"[{first}-{last}]"
            yield from self.element(label, array.elements[first], indent + 2)

    def element(self, label: str, node: Leaf | Group | Elements, indent: int) -> Iterator[str]:
        """One element, in one line where it is a struct of a few plain values."""
        if isinstance(node, Group):
            members = node.members.values()
            if all(isinstance(member, Leaf) and not member.is_bytes for member in members):
                parts = [f"{name}={self.words(member)}" for name, member in node.members.items()]
                yield from self.wrapped(f"{label} {', '.join(parts)}", indent)
                return
        yield from self.node(label, node, indent)

    def runs(self, values: list[Any]) -> Iterator[tuple[int, int]]:
        """First and last index of each run of equal elements."""
        first = 0
        for index in range(1, len(values) + 1):
            if index == len(values) or self.show_all or values[index] != values[first]:
                yield first, index - 1
                first = index

    def words(self, node: Leaf | Group | Elements) -> str:
        """A value, or an array of plain values, in words."""
        assert isinstance(node, Leaf)
        value = node.value(self.data)
        if isinstance(value, list):
            return self.array(value)
        if node.type == "timer" and value == TIMER_OFF:
            return "off"
        return self.buffer(node) if node.is_bytes else _number(value)

    def array(self, values: list[Any]) -> str:
        """`0 x16, 1, 0x4031`: runs of equal values are folded."""
        parts: list[str] = []
        for first, last in self.runs(values):
            times = f"{_NO_BREAK}x{last - first + 1}" if last > first else ""
            parts.append(_short(values[first]) + times)
            if len(parts) == _NUMBERS and last + 1 < len(values) and not self.show_all:
                parts.append(f"… {len(values)} values")
                break
        return ", ".join(parts) or "none"

    def buffer(self, leaf: Leaf) -> str:
        """Bytes in hex; a long buffer by its first ones."""
        data = self.data[leaf.offset : leaf.offset + leaf.size]
        if len(data) <= BUFFER or self.show_all:
            return data.hex(" ") or "empty"
        if data.count(data[:1]) == len(data):
            return f"{len(data)} bytes of {data[:1].hex()}"
        return f"{len(data)} bytes, {data[:BUFFER].hex(' ')} …"

    def wrapped(self, text: str, indent: int) -> Iterator[str]:
        """The line, broken at blanks where it is longer than the terminal is wide."""
        lines = [" " * indent + text]
        if len(lines[0]) > self.width:
            lines = textwrap.wrap(
                text,
                self.width,
                initial_indent=" " * indent,
                subsequent_indent=" " * (indent + 4),
                break_on_hyphens=False,
            )
        yield from (line.replace(_NO_BREAK, " ") for line in lines)


def _short(value: Any) -> str:
    """A number among many: `7`, `0x4031`."""
    return hex(value) if type(value) is int and abs(value) > 9 else _number(value)


def _number(value: Any) -> str:
    """`7`, `16433 (0x4031)`, `true`, `NULL`."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > 9:
        return f"{value} ({value:#x})"
    return str(value)
