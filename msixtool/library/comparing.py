"""What differs between two inputs: the answer of `diff`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from msixtool.documents import Document, Origin
from msixtool.documents.diff import diff_document
from msixtool.dump import OpenDump
from msixtool.errors import NotAStreamError, UsageError
from msixtool.library.answer import Answer
from msixtool.spec.saved import SavedFile
from msixtool.tasks.diff import (
    VECTOR_COUNT,
    WHOLE_CAPABILITY,
    WHOLE_DEVICE,
    WHOLE_PBA,
    Change,
    DeviceView,
    diff_devices,
)
from msixtool.tasks.diff_sides import Operand, after_load, kind_in_words, sides_of
from msixtool.words import plural

if TYPE_CHECKING:
    from msixtool.tasks.diff_fields import FieldChange
    from msixtool.tasks.ram_digest import RamChange

__all__ = [
    "VECTOR_COUNT",
    "WHOLE_CAPABILITY",
    "WHOLE_DEVICE",
    "WHOLE_PBA",
    "Difference",
    "difference_of",
    "origin_of",
]


@dataclass(frozen=True, slots=True, repr=False)
class Difference(Answer):
    """What differs between the devices of A and B: `changes`, of those in `sides`.

    `fields` and `ram` are None where they were not compared; `moving` are the fields that differ but always
    move. `undecoded` fields count as a difference; `broken` is damage of RAM, with the path of its stream.
    """

    a: Origin
    b: Origin
    sides: tuple[tuple[DeviceView, ...], tuple[DeviceView, ...]]
    changes: tuple[Change, ...]
    fields: tuple[FieldChange, ...] | None = None
    moving: tuple[FieldChange, ...] = ()
    ram: tuple[RamChange, ...] | None = None
    undecoded: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()

    @property
    def origins(self) -> tuple[Origin, ...]:
        return self.a, self.b

    @property
    def equal(self) -> bool:
        """Whether nothing that counts differs; what could not be decoded is not equal to anything."""
        return not (self.changes or self.fields or self.ram or self.undecoded)

    @property
    def ok(self) -> bool:
        """As `equal`."""
        return self.equal

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged, each with the path of its stream where that is known."""
        own = [f"{origin.path}: {damage}" for origin in self.origins for damage in origin.damage]
        return (*own, *self.undecoded, *(f"{path}: {damage}" for path, damage in self.broken))

    def document(self) -> Document:
        """`msixtool.diff/1`."""
        return diff_document(
            self.a,
            self.b,
            self.changes,
            equal=self.equal,
            damage=self.damage,
            fields=self.fields,
            moving=self.moving,
            ram=self.ram,
        )

    def summary(self) -> str:
        if self.equal:
            return f"equal, {plural(len(self.sides[0]), 'device')}"
        found = {"change": self.changes, "field": self.fields or (), "RAM block": self.ram or ()}
        counts = [(len(each), noun) for noun, each in found.items()]
        return ", ".join(plural(count, noun) for count, noun in counts if count) or "not decoded"


def difference_of(
    a: Operand,
    b: Operand,
    *,
    device: str | None = None,
    kind: str | None = None,
    loaded: bool = False,
    fields: bool = False,
    moving: bool = False,
    ram: bool = False,
) -> Difference:
    """Compare two inputs, streams, SPECs or saved states in any pairing.

    Keywords are DiffOptions: with `fields`, `device` selects sections too; `kind` counts where it was not
    said when a raw vmstate was opened.

    Raises UsageError where nothing can be compared, or one side cannot be told.
    """
    if fields and not (isinstance(a, OpenDump) and isinstance(b, OpenDump)):
        found = f"a {kind_in_words(a)} and a {kind_in_words(b)}"
        raise UsageError("--fields", expected="two streams", found=found)
    known = (each.kind for each in (a, b) if isinstance(each, SavedFile))
    sides = sides_of(a, b, device=device, kind=kind or next(filter(None, known), None))
    if loaded:
        sides = [after_load(side) for side in sides[0]], [after_load(side) for side in sides[1]]
    both = tuple(sides[0]), tuple(sides[1])
    changes = tuple(diff_devices(*sides))
    if fields and isinstance(a, OpenDump) and isinstance(b, OpenDump):
        return _with_fields(a, b, both, changes, device, moving=moving, ram=ram)
    return Difference(origin_of(a), origin_of(b), both, changes)


@contextmanager
def opened(given: Operand | str | os.PathLike[str]) -> Iterator[Operand]:
    """What is opened as it is; a path is opened for the length of the block."""
    if not isinstance(given, str | os.PathLike):
        yield given
        return
    with ExitStack() as stack:
        operand: Operand
        try:
            operand = stack.enter_context(OpenDump.open(given))
        except NotAStreamError as error:
            operand = SavedFile.read(os.fspath(given), error)
        yield operand


def origin_of(operand: Operand) -> Origin:
    """What a document says of an input."""
    return Origin.of(operand) if isinstance(operand, OpenDump) else Origin(operand.path, operand.size)


def _with_fields(
    a: OpenDump,
    b: OpenDump,
    sides: tuple[tuple[DeviceView, ...], tuple[DeviceView, ...]],
    changes: tuple[Change, ...],
    device: str | None,
    *,
    moving: bool,
    ram: bool,
) -> Difference:
    """All fields too, and RAM with `ram`."""
    from msixtool.tasks.diff_fields import diff_fields
    from msixtool.tasks.ram_digest import diff_ram, digest_ram

    keys = [{(side.name, side.instance) for side in each} for each in sides]
    found = diff_fields(a, b, by_vector=keys[0] & keys[1], pattern=device)
    digests = [digest_ram(dump) for dump in (a, b)] if ram else []
    broken = chain(*(_named(dump, each) for dump, (_, each) in zip((a, b), digests, strict=False)))
    return Difference(
        Origin.of(a),
        Origin.of(b),
        sides,
        changes,
        tuple(change for change in found.changes if moving or not change.moving),
        tuple(change for change in found.changes if change.moving and not moving),
        tuple(diff_ram(digests[0][0], digests[1][0])) if ram else None,
        tuple(map(str, found.damage)),
        tuple(broken),
    )


def _named(dump: OpenDump, damage: Sequence[object]) -> list[tuple[str, str]]:
    return [(dump.path, str(each)) for each in damage]
