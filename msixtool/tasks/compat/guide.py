"""Where the fields of the source's section stand, by its own vmdesc: the guide through what varies.

QEMU reads by the target's layout. Where a field's length is not the layout's but the content's (a
list, a queue, a virtio device), the source's vmdesc says how long it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msixtool.formats.layout import Layout


@dataclass(frozen=True, slots=True)
class Node:
    """A field of the source: `start` and `end` are offsets in the stream, in bytes.

    `vmsd` is the name of the description that is nested in it, or that it is (a subsection).
    """

    name: str
    type: str
    start: int
    end: int
    vmsd: str | None
    is_leaf: bool
    layout: Layout | None = None
    """What is nested in it."""

    @property
    def size(self) -> int:
        return self.end - self.start


SUBSECTION = "subsection"
"""The type of a node that is a subsection, its header included."""
BODY = "subsection's fields"


class Guide:
    """All fields of one section by their offset."""

    def __init__(self, layout: Layout | None, offset: int) -> None:
        self._at: dict[int, list[Node]] = {}
        if layout is not None:
            end = offset + layout.size
            self._at[offset] = [Node("", BODY, offset, end, layout.name, False, layout)]
            for node in _nodes(layout, offset, ""):
                self._at.setdefault(node.start, []).append(node)

    def __bool__(self) -> bool:
        return bool(self._at)

    def of_type(self, offset: int, type_name: str) -> Node | None:
        """The outermost field of this type that begins at `offset`."""
        return next((node for node in self._at.get(offset, ()) if node.type == type_name), None)

    def of_vmsd(self, offset: int, vmsd: str) -> list[Node]:
        """The structs of this vmsd that begin at `offset`, the outermost first."""
        nodes = self._at.get(offset, ())
        return [node for node in nodes if node.vmsd == vmsd and node.type != SUBSECTION]

    def leaf(self, offset: int) -> Node | None:
        """The field without inner fields that begins at `offset`."""
        return next((node for node in self._at.get(offset, ()) if node.is_leaf), None)


def _nodes(layout: Layout, offset: int, path: str) -> Iterator[Node]:
    end = offset
    for each in layout.fields:
        start, end = offset + each.offset, offset + each.offset + each.length
        inner = each.inside if end > start else None
        name = f"{path}{each.name}"
        # Of an array of structs the elements are not told apart: it is one field.
        whole = inner is None or each.elements > 1
        yield Node(name, each.type, start, end, None if inner is None else inner.name, whole, inner)
        if inner is not None and not whole:
            yield from _nodes(inner, start, f"{name}.")
    for subsection in layout.subsections:
        start, body = end, end + subsection.header_size
        end, name = body + subsection.size, subsection.name
        yield Node(name, SUBSECTION, start, end, name, False)
        yield Node(name, BODY, body, end, name, False, subsection)
        yield from _nodes(subsection, body, f"{name}.")
