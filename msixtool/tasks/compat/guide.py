"""Where the fields of the source's section stand, by its own vmdesc: the guide through what varies.

QEMU reads by the target's layout. Where a field's length is not the layout's but the content's (a
list, a queue, a virtio device), the source's vmdesc says how long it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from msixtool.formats.layout import Field, Layout, Placed

SUBSECTION = "subsection"
"""The type of a field that is a subsection, its header included."""
BODY = "subsection's fields"


class Guide:
    """All fields of one section by their offset in the stream, in bytes."""

    def __init__(self, layout: Layout | None, offset: int) -> None:
        self._layout, self._offset = layout, offset

    def __bool__(self) -> bool:
        return self._layout is not None

    @cached_property
    def _at(self) -> dict[int, list[Placed]]:
        """Made when the first is asked for: of two sections of one layout none is."""
        if self._layout is None:
            return {}
        found = {self._offset: [_body(self._layout, self._offset, ())]}
        for placed in _walk(self._layout, self._offset, ()):
            found.setdefault(placed.offset, []).append(placed)
        return found

    def of_type(self, offset: int, type_name: str) -> Placed | None:
        """The outermost field of this type that begins at `offset`."""
        return next((placed for placed in self._at.get(offset, ()) if placed.type == type_name), None)

    def of_vmsd(self, offset: int, vmsd: str) -> list[tuple[Placed, Layout]]:
        """The structs of this vmsd that begin at `offset`, the outermost first, each with its layout."""
        found = [(placed, _inside(placed.field)) for placed in self._at.get(offset, ())]
        return [(placed, inside) for placed, inside in found if inside is not None and inside.name == vmsd]

    def leaf(self, offset: int) -> Placed | None:
        """The field without inner fields that begins at `offset`."""
        return next((placed for placed in self._at.get(offset, ()) if _is_leaf(placed.field)), None)


def _inside(field: Field) -> Layout | None:
    return field.inside if field.length or field.type == BODY else None


def _is_leaf(field: Field) -> bool:
    """Whether it is one field. Of an array of structs the elements are not told apart: it is one, too."""
    return field.type not in (SUBSECTION, BODY) and (_inside(field) is None or field.elements > 1)


def _body(layout: Layout, offset: int, path: tuple[str, ...]) -> Placed:
    return Placed(path, offset, Field(layout.name, BODY, 0, layout.size, inside=layout))


def _walk(layout: Layout, offset: int, path: tuple[str, ...]) -> Iterator[Placed]:
    end = offset
    for each in layout.fields:
        placed = Placed((*path, each.name), offset + each.offset, each)
        end = placed.end
        yield placed
        if each.inside is not None and not _is_leaf(each):
            yield from _walk(each.inside, placed.offset, placed.path)
    for subsection in layout.subsections:
        header, name = subsection.header_size, (subsection.name,)
        whole = Field(subsection.name, SUBSECTION, 0, header + subsection.size)
        yield Placed(name, end, whole)
        yield _body(subsection, end + header, name)
        yield from _walk(subsection, end + header, name)
        end += whole.size
