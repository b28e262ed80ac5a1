"""The vmdesc: the JSON text after a stream that names and sizes the fields of its sections.

Source: QEMU migration/vmstate.c and migration/savevm.c; qobject/qjson.c up to 5.2,
qobject/json-writer.c since 6.0. Three styles of describing arrays have been written (see
FIELD below), in two styles of text. Names inside one object may repeat (the elements of a
QTAILQ): such an object keeps all its pairs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msixtool.errors import FormatError

if TYPE_CHECKING:  # what a start need not make
    from typing import NotRequired, TypedDict

    class FieldObject(TypedDict):
        """One field: `size` bytes, or `array_len` times `size` bytes.

        An array whose elements differ is one object an element: with `index` on each (up to 9.2),
        on all but the last (10.x), or on none (11.x).
        """

        name: str
        type: str
        size: int
        array_len: NotRequired[int]
        index: NotRequired[int]
        struct: NotRequired[VmsdObject]
        """The nested description of a field of type `struct`."""
        vmsd_name: NotRequired[str]
        version: NotRequired[int]
        fields: NotRequired[list[FieldObject]]
        """Inline description of a field of type `vstruct` or `tmp`."""

    class VmsdObject(TypedDict):
        """A vmsd as it was written: its fields, then its subsections, in stream order."""

        vmsd_name: NotRequired[str]
        version: NotRequired[int]
        fields: NotRequired[list[FieldObject]]
        subsections: NotRequired[list[VmsdObject]]

    class DeviceObject(VmsdObject):
        """One FULL section, in stream order."""

        name: str
        """The section's idstr."""
        instance_id: int
        size: NotRequired[int]
        """Bytes of the data of a section that has no vmsd."""

    class VmdescObject(TypedDict):
        """The whole text."""

        configuration: NotRequired[VmsdObject]
        """Since 8.2."""
        page_size: NotRequired[int]
        devices: list[DeviceObject]


class RepeatedNames(dict[str, Any]):
    """A JSON object in which names repeat: a dict of the last values, and all the pairs."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RepeatedNames) and self.pairs == other.pairs

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else RepeatedNames(pairs)


def document_of(text: bytes, *, offset: int | None = None) -> VmdescObject:
    """Parse the text of a vmdesc that starts at `offset` of the stream.

    Raises FormatError where it is no JSON object with a list of `devices`.
    """
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise FormatError("vmdesc is not JSON", offset=offset, found=str(error) or "nesting") from None
    if not isinstance(document, dict) or not isinstance(document.get("devices"), list):
        raise FormatError("vmdesc is damaged", offset=offset, expected="an object with a list of devices")
    return document  # type: ignore[return-value]


def is_spaced(text: bytes) -> bool:
    """Whether the text is in the style of QEMU 5.2 and older, with a space before each colon."""
    return text.startswith(b'{ "')


def vmdesc_text(document: Any, *, spaced: bool) -> bytes:
    """The text of `document` as QEMU writes it: spaced up to 5.2, compact since 6.0."""
    return "".join(_pieces(document, spaced)).encode()


def _pieces(value: Any, spaced: bool) -> list[str]:
    if isinstance(value, dict):
        pairs = value.pairs if isinstance(value, RepeatedNames) else list(value.items())
        colon = " : " if spaced else ": "
        inner = [[json.dumps(name), colon, *_pieces(item, spaced)] for name, item in pairs]
        return _bracketed("{}", inner, spaced)
    if isinstance(value, list):
        return _bracketed("[]", [_pieces(item, spaced) for item in value], spaced)
    return [json.dumps(value)]


def _bracketed(brackets: str, inner: list[list[str]], spaced: bool) -> list[str]:
    pad = " " if spaced else ""
    pieces = [brackets[0], pad]
    for index, item in enumerate(inner):
        pieces += [", "] * bool(index) + item
    return [*pieces, pad, brackets[1]]
