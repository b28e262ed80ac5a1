"""Loading one section as the target would: its layout over the source's bytes.

Source: QEMU migration/vmstate.c (vmstate_load_state, vmstate_subsection_load), vmstate-types.c, and
savevm.c (check_section_footer). QEMU reads as many bytes as its own layout says, checks what its
field types check, and notices that the source's layout was another one only where such a check
fails, or at the section's footer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import ClassVar

from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.places import places_of
from msixtool.errors import FormatError
from msixtool.formats import pci, qevm, virtio_types
from msixtool.formats.layout import Layout, Placed
from msixtool.formats.vmstate import IRQ_STATE, NULL_MARKER, PCI_CONFIG, STRUCT, VALID_MARKER, VIRTIO_BLOB
from msixtool.qemu import refusals, vmstates
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.versions import Version, format_version
from msixtool.stream.items import Item
from msixtool.tasks.compat import pci_config, virtio_gpu, virtio_load
from msixtool.tasks.compat.guide import BODY
from msixtool.tasks.compat.layout import (
    BY_STATE,
    DYNAMIC_TYPES,
    MARKED_POINTER,
    FieldRun,
    Pair,
    field_runs,
    pair_fields,
)
from msixtool.tasks.compat.load_base import LoadBase, LoadStoppedError, Misfit
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Code, Finding, Severity

MAX_POINTERS = 1 << 16
"""The most elements of an array of pointers that are looked at one by one; nvme has 65."""
MAX_NUMBER = 8
"""Bytes of the longest integer."""


class Age(Enum):
    """How the target's version of a description compares with the source's."""

    SAME = auto()
    OLDER = auto()
    """The source's is older, and QEMU goes by it: what is new is not read, what is gone still is."""
    INNER_OLDER = auto()
    """It is older inside a struct, where QEMU goes by its own version: what is new is read all the same, but
    for fields that say themselves when they are there."""
    INNER_NEWER = auto()
    """The source's is newer inside a struct: what the target does not know it does not read."""


class SectionLoad(LoadBase):
    """One section, loaded by the target's layout. `run` gives the findings in QEMU's order."""

    def __init__(self, source: Side, target: TargetSide, item: Item, own: Item) -> None:
        super().__init__(source, target, item, own)
        self.seen: dict[str, tuple[int, int]] = {}
        """Values of the fields that are compared after the load: the source's and the target's."""
        self._own_config = b""
        self._facts = kind_of(self.kind)
        self._watched = self._facts.equal_after_load
        self._is_alike = item.layout is not None and item.layout == own.layout
        self._shared = own.layout if self._is_alike else item.layout

    def run(self) -> list[Finding]:
        """All that the target's QEMU would say of this section, and what it cannot be known whether it
        would."""
        layout, at = self._layout(), self.item.data_offset
        try:
            if layout is None:
                self._undescribed()
                self._check_itself()
                return self.findings
            if layout.is_vmsd:
                at, _ = self.vmsd(layout, at, self.own.data_offset)
                self._check_after_load()
                self._check_itself()
            else:
                at = self.item.data_offset + self.item.data_length  # opaque: only its own code reads it
            if not self.refused:
                self._footer(at)
        except LoadStoppedError:
            pass
        return self.findings

    def _layout(self) -> Layout | None:
        """The target's layout; where its stream has no vmdesc, the source's for data of the same length."""
        if self.own.layout is None and self.own.data_length == self.item.data_length:
            return self.item.layout
        return self.own.layout

    def _undescribed(self) -> None:
        """Without a vmdesc: configuration space and virtio, where the kind says where they stand."""
        places = places_of(self.target.dump.source, self.own)
        at, local = self.item.data_offset, self.own.data_offset
        if places.config is None:
            return
        if places.virtio is not None:
            virtio_load.load_virtio(self, at + places.virtio, local + places.virtio, self.own.data_length)
        else:
            self._config("config", at + places.config, local + places.config, places.config_size)

    # Walking the target's layout

    def vmsd(self, layout: Layout, at: int, local: int, path: str = "") -> tuple[int, int]:
        """Load one vmsd; the offsets behind it."""
        name = layout.name
        pairs, age = self._aligned(layout, at, name)
        for theirs, ours in pairs:
            if BY_STATE in (field.type for field in (theirs, ours) if field is not None):
                at += theirs.length if theirs is not None else 0
                local += ours.length if ours is not None else 0
            elif theirs is not None and ours is not None:
                at, local = self._field(ours, at, local, path, name)
            elif ours is not None:
                at, local = self._only_target(ours, at, local, path, name, age)
            elif theirs is not None:
                at = self._only_source(theirs, at, path, name, age)
        return self._subsections(layout, at, local)

    def _aligned(self, layout: Layout, at: int, name: str) -> tuple[list[Pair], Age]:
        """The fields to read, each with the source's own where both have it.

        Of several structs of one vmsd that begin at one place, one inside the other, the one that is
        most alike counts. Where none is alike the target's fields are read one after another, whatever
        stands there.
        """
        if layout is self._shared:  # the same text describes both
            return [(member, member) for member in field_runs(layout)], Age.SAME
        aligned = [
            (pairs, self._age(placed, theirs, layout))
            for placed, theirs in self.guide.of_vmsd(at, name)
            if (pairs := pair_fields(theirs, layout)) is not None
        ]
        if not aligned:
            return [(field, field) for field in field_runs(layout)], Age.SAME
        return min(aligned, key=lambda found: sum(None in pair for pair in found[0]))

    def _age(self, placed: Placed, source: Layout, own: Layout) -> Age:
        theirs, ours = source.version, own.version
        if theirs is None or ours is None or theirs == ours:
            return Age.SAME
        if placed.type == BODY:
            return Age.OLDER
        return Age.INNER_OLDER if theirs < ours else Age.INNER_NEWER

    def _only_source(self, field: FieldRun, at: int, path: str, vmsd: str, age: Age) -> int:
        """A field that the target's own state does not hold: read all the same where it depends on the
        state, or on the version."""
        name, size = f"{path}{field.name}", field.length
        known = (vmsd, field.name)
        if vmstates.is_by_property(*known) or age is Age.INNER_NEWER:
            self.differ(Misfit(name, name, size, 0))
            return at
        if age is Age.SAME:
            self._unsure(name, vmsd, field, "source")
        return at + size

    def _only_target(
        self, field: FieldRun, at: int, local: int, path: str, vmsd: str, age: Age
    ) -> tuple[int, int]:
        """A field that the source does not hold: not read where it depends on the state, or on the
        version."""
        name, size = f"{path}{field.name}", field.length
        known = (vmsd, field.name)
        inner = age is Age.INNER_NEWER or (age is Age.INNER_OLDER and known not in vmstates.FIELDS_BY_VERSION)
        if vmstates.is_by_property(*known) or inner:
            self.differ(Misfit(name, None, None, size))
            return self._field(field, at, local, path, vmsd)
        if age is Age.SAME:
            self._unsure(name, vmsd, field, "target")
        return at, local + size

    def _unsure(self, name: str, vmsd: str, field: FieldRun, side: str) -> None:
        if (vmsd, field.name) not in vmstates.FIELDS_BY_STATE:
            self.undecided(
                f"field {name}: only the {side} has it; whether that depends on the state is not known",
                field=name,
            )

    def _field(self, field: FieldRun, at: int, local: int, path: str, vmsd: str) -> tuple[int, int]:
        size, behind = field.length // (field.elements or 1), local + field.length
        name, type_name = f"{path}{field.name}", field.type
        if type_name == MARKED_POINTER:
            return self._markers(at, field.markers), behind
        special = _SPECIAL.get(type_name)
        if special is not None and field.elements == 1:
            return special(self, at, local, size), behind
        inner = field.inside if size and field.elements == 1 else None
        if inner is not None and type_name not in DYNAMIC_TYPES and inner.fields:
            at, _ = self.vmsd(inner, at, local, f"{name}.")
            return at, behind
        if inner is not None and size == 1:
            type_name = "nullptr"  # the way in which QEMU up to 9.2 describes an empty pointer
        check = SectionLoad._equal if vmsd == self._facts.equal_vmsd else self._CHECKS.get(type_name)
        if check is not None and (size <= MAX_NUMBER or check not in _OF_NUMBERS):
            check(self, name, at, local, size)
        if field.name in self._watched and size <= MAX_NUMBER:
            self.seen[field.name] = (self.number(at, size), self.own_number(local, size))
        return at + self._length(name, type_name, at, field.length), behind

    def _length(self, name: str, type_name: str, at: int, size: int) -> int:
        """How many bytes the target takes for a field that has `size` bytes in its own stream."""
        if self._is_alike:
            return size
        placed = self.guide.of_type(at, type_name) or self.guide.leaf(at)
        if placed is None:
            if self.guide:
                self.differ(Misfit(name, None, None, size))
        elif placed.type == type_name and type_name in DYNAMIC_TYPES:
            return placed.size
        elif placed.size != size:
            self.differ(Misfit(name, ".".join(placed.path), placed.size, size))
        return size

    # Field types that check what they read

    def _equal(self, name: str, at: int, local: int, size: int) -> None:
        self.must_be_equal(name, self.number(at, size), self.own_number(local, size))

    def _at_most(self, name: str, at: int, local: int, size: int) -> None:
        theirs, ours = self.number(at, size, signed=True), self.own_number(local, size, signed=True)
        if not 0 <= theirs <= ours:
            self.refuse_as(refusals.at_most(name), name=name, source=theirs, target=ours)

    def _interrupts(self, name: str, at: int, local: int, size: int) -> None:
        for pin in range(pci.INTX_PINS):
            level = self.number(at + pci.IRQ_LEVEL_SIZE * pin, pci.IRQ_LEVEL_SIZE, signed=True)
            if level not in (0, 1):
                self.refuse_as(refusals.IRQ_STATE, source=level, pin=f" of pin {pin}")

    def _markers(self, at: int, count: int) -> int:
        """An array of pointers that may be empty: a byte for each, and the element where there is one."""
        for _ in range(MAX_POINTERS):
            markers = self.read(at, min(count, MAX_POINTERS))
            empty = markers.find(VALID_MARKER)
            step = len(markers) if empty < 0 else empty + 1
            at, count = at + step, count - step
            if empty >= 0:
                placed = self.guide.of_type(at, STRUCT) or self.guide.leaf(at)
                at = placed.end if placed else at
            if not count:
                return at
        raise FormatError("an array of pointers", expected=f"at most {MAX_POINTERS} that are set")

    def _null(self, name: str, at: int, local: int, size: int) -> None:
        marker = self.number(at, 1)
        if marker != NULL_MARKER[0]:
            self.refuse_as(refusals.NOTHING_THERE, name=name, source=marker, target=NULL_MARKER[0])

    def _config(self, name: str, at: int, local: int, size: int) -> None:
        if size not in (pci.CONFIG_SIZE, pci.EXPRESS_CONFIG_SIZE):
            raise FormatError(f"vmdesc: size of {name}", expected="256 or 4096", found=size)
        self._own_config = self.own_bytes(local, size)
        pci_config.compare_spaces(self, self.read(at, size), self._own_config)

    _CHECKS: ClassVar[dict[str, Callable[[SectionLoad, str, int, int, int], None]]] = {
        "uint8 equal": _equal,
        "uint16 equal": _equal,
        "uint32 equal": _equal,
        "int32 equal": _equal,
        "int64 equal": _equal,
        "int32 le": _at_most,
        IRQ_STATE: _interrupts,
        PCI_CONFIG: _config,
        "nullptr": _null,
    }

    def _subsections(self, layout: Layout, at: int, local: int) -> tuple[int, int]:
        """Load the subsections that stand in the source; the offsets behind them and behind the target's."""
        own: dict[str, tuple[Layout, int]] = {}
        for subsection in layout.subsections:
            body = local + subsection.header_size
            own[subsection.name] = (subsection, body)
            local = body + subsection.size
        while (found := self.subsection_at(at, layout.name)) is not None:
            name, version, body = found
            if name in own:
                self._version(name, version, own[name][0])
                at, _ = self.vmsd(*(own[name][0], body, own[name][1]), path=f"{name}.")
            else:
                at = self.unseen_subsection(layout.name, name, at)
        return at, local

    def _version(self, name: str, version: int, own: Layout) -> None:
        ours = own.version
        if ours is not None and version > ours:
            of = {"what": f"subsection {name}", "field": name}
            self.refuse_as(refusals.SECTION_TOO_NEW, source=version, target=ours, **of)

    # The end

    def _check_after_load(self) -> None:
        """What the device does when all is read."""
        msix = self._facts.msix
        if msix and msix.needed_since and ConfigSpace(self._own_config).msix is None:
            self._without_msix(msix.needed_since)
        for name, what in self._watched.items():
            theirs, ours = self.seen.get(name, (0, 0))
            if theirs != ours and not self.refused:
                refusal = refusals.NOT_EQUAL_AFTER_LOAD
                self.refuse_as(refusal, name=name, what=what, source=theirs, target=ours)

    def _check_itself(self) -> None:
        """What QEMU refuses of the section whatever the target is, but for its release."""
        for refused in self.source.troubles.get(self.item.offset, ()):
            made = refused.finding
            loaded = self.target.releases.cover(refused.loads) if refused.loads is not None else False
            if made.severity is Severity.ERROR and loaded is False:
                self.findings.append(made)
                raise LoadStoppedError
            if loaded is not True:
                self.findings.append(replace(made, code=Code.UNDECIDED, severity=Severity.WARNING))

    def _without_msix(self, since: Version) -> None:
        """The device marks vectors as not used that it does not have."""
        refusal = refusals.WITHOUT_MSIX
        if self.target.releases.all_since(since):
            self.refuse_as(refusal, kind=self.kind)
        if self.target.releases.some_since(since):
            message = f"{refusal.told(kind=self.kind)}, if it is {format_version(since)} or later"
            self.undecided(message, field=refusal.field)

    def _footer(self, at: int) -> None:
        """Where QEMU looks for the section's end."""
        if self.target.dump.index.footers:
            expected = qevm.footer(self.item.section_id or 0)
            ends = self.read(at, len(expected)) == expected
        else:
            ends = at == self.item.data_offset + self.item.data_length
        if ends:
            return
        end = self.item.data_offset + self.item.data_length
        where = "past" if at > end else "short of"
        found = self.difference
        self.refuse_as(
            refusals.FOOTER,
            why=self._explained(),
            by=f"{abs(at - end)} bytes {where}",
            name=found.field if found else None,
            source=found.source if found else None,
            target=found.target if found else None,
        )

    def _explained(self) -> str:
        found = self.difference
        if found is None:
            return "the layouts differ"
        if found.reason is not None:
            return found.reason
        if found.source is None:
            return f"{found.field}: the source has no such field"
        if found.source_field in (None, found.field):
            return f"{found.field}: {found.source} bytes, the target has {found.target}"
        return f"{found.source_field} in the source, {found.field} in the target"


_OF_NUMBERS = (SectionLoad._equal, SectionLoad._at_most)
"""Checks of integers: a field of such a type that is longer is damage."""

_SPECIAL: dict[str, Callable[[LoadBase, int, int, int], int]] = {
    VIRTIO_BLOB: virtio_load.load_virtio,
    virtio_types.GPU: virtio_gpu.load_gpu,
}
"""Field types that have a grammar of their own: from the offsets and the target's size to the offset
behind it."""

_LOOKED_AT = frozenset((*SectionLoad._CHECKS, *_SPECIAL, MARKED_POINTER))
"""The types of fields whose values are looked at."""


def is_taken_as_it_is(source: Side, target: TargetSide, item: Item, own: Item) -> bool:
    """Whether QEMU compares nothing in a section that both sides describe alike, or neither does: so are
    nearly all of a very long stream."""
    layout = item.layout
    if layout is None:
        alike = own.layout is None and places_of(target.dump.source, own).config is None
        return alike and item.offset not in source.troubles
    types = layout.plain_types
    if types is None or layout != own.layout or not types.isdisjoint(_LOOKED_AT):
        return False
    facts = kind_of(item.idstr)
    if facts.equal_after_load or layout.name == facts.equal_vmsd or item.offset in source.troubles:
        return False
    return not source.dump.index.damage and source.dump.index.footers == target.dump.index.footers
