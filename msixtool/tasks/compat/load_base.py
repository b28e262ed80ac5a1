"""What the loads of all kinds of fields share: the two streams, and the findings.

The walk itself is in section_load.py; what has a grammar of its own in virtio_load.py, virtio_gpu.py and
pci_config.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from msixtool.errors import FormatError
from msixtool.formats import qevm, vmstate
from msixtool.qemu import advice, refusals, vmstates
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.stream.items import Item
from msixtool.tasks.compat.guide import SUBSECTION, Guide
from msixtool.tasks.compat.sides import Side, TargetSide
from msixtool.tasks.finding import Code, Finding, Severity, finding_of
from msixtool.words import plural

MAX_FIELD = 1 << 24
"""The longest field that is looked at, in bytes; those of virtio devices have some 100 KiB."""

_SUBSECTION_HEAD = 6
"""Bytes of a subsection's header without its name."""


class LoadStoppedError(Exception):
    """QEMU stops here."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first field of the target for which the source has none of the same size at that place."""

    field: str
    source_field: str | None
    source: int | None
    target: int
    reason: str | None = None
    """In words, where it is known what makes the layouts differ."""


class LoadBase:
    """One section of the source, and the target's own of the same name.

    In its methods `at` and `local` are offsets in the source's and the target's stream, in bytes.
    """

    def __init__(self, source: Side, target: TargetSide, item: Item, own: Item) -> None:
        self.source, self.target = source, target
        self.item, self.own = item, own
        self.guide = Guide(item.layout, item.data_offset)
        self.findings: list[Finding] = []
        self.difference: Misfit | None = None
        self.kind = item.named.kind

    @property
    def path(self) -> str:
        """The device path of the section, empty for one without."""
        return self.item.named.path

    @property
    def refused(self) -> bool:
        """Whether QEMU has stopped by now."""
        return bool(self.findings) and any(each.severity is Severity.ERROR for each in self.findings)

    # Findings

    def finding(self, code: Code, message: str, **details: Any) -> Finding:
        """An error in this section."""
        return self._advised(Finding(code, message, *self.item.key, **details))

    def _advised(self, made: Finding) -> Finding:
        if made.advice is not None:
            return made
        return replace(made, advice=advice.advise(made.code.value, self.kind, made.field))

    def refuse_as(self, refusal: Refusal, **values: Any) -> None:
        """Note a refusal and stop, as QEMU does. Raises LoadStoppedError."""
        made = finding_of(refusal, *self.item.key, **values)
        self.findings.append(self._advised(made))
        raise LoadStoppedError

    def must_be_equal(self, name: str, theirs: int, ours: int) -> None:
        """Refuse a field that differs. Raises LoadStoppedError."""
        if theirs != ours:
            self.refuse_as(refusals.NOT_EQUAL, name=name, source=theirs, target=ours)

    def undecided(self, message: str, **details: Any) -> None:
        """Note what the streams do not tell."""
        made = self.finding(Code.UNDECIDED, message, **details)
        self.findings.append(replace(made, severity=Severity.WARNING))

    def differ(self, difference: Misfit) -> None:
        """Keep the first difference, to explain what comes of it."""
        if self.difference is None:
            self.difference = difference

    # Reading

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes of the source; QEMU reads zeros behind the end. Raises FormatError for a size that no
        field has."""
        return _padded(self.source, at, size)

    def number(self, at: int, size: int, *, signed: bool = False) -> int:
        """A big-endian integer of the source."""
        return vmstate.number(self.read(at, size), signed=signed)

    def own_bytes(self, local: int, size: int) -> bytes:
        """`size` bytes of the target's stream; errors as of `read`."""
        return _padded(self.target, local, size)

    def own_number(self, local: int, size: int, *, signed: bool = False) -> int:
        """A big-endian integer of the target."""
        return vmstate.number(self.own_bytes(local, size), signed=signed)

    # Subsections

    def subsection_at(self, at: int, parent: str) -> tuple[str, int, int] | None:
        """(name, version, offset of its fields) of a subsection of `parent` at `at`, as QEMU recognises
        one."""
        header = qevm.subsection_header(self.source.window.peek(at, qevm.SUBSECTION_HEADER_MAX))
        if header is None:
            return None
        name, version, size = header
        return (name, version, at + size) if name.startswith(parent) and name != parent else None

    def unseen_subsection(self, parent: str, name: str, at: int) -> int:
        """The offset behind a subsection that the target's stream does not hold; refused where the target
        does not know it."""
        known = self.target.knowledge.knows_subsection(parent, name)
        if known is False:
            self.refuse_as(refusals.SUBSECTION_UNKNOWN, source=name)
        if known is None:
            self.undecided(
                f"subsection {name}: whether the target's QEMU reads it, its stream does not tell",
                field=name,
                source=name,
            )
        placed = self.guide.of_type(at, SUBSECTION)
        if placed is None:
            self.undecided(f"subsection {name}: its length is not known without a vmdesc", field=name)
            raise LoadStoppedError
        self._per_cpu(name, placed.size - len(name) - _SUBSECTION_HEAD)
        return placed.end

    def _per_cpu(self, name: str, size: int) -> None:
        """Refuse a subsection with an element for each possible CPU where the target surely has more."""
        head, element = vmstates.PER_CPU_SUBSECTIONS.get(name, (0, 0))
        if not element:
            return
        count, ours = (size - head) // element, self.target.cpus
        if ours > count:
            self.refuse_as(refusals.CPU_ELEMENTS, name=name, source=count, target=ours)
        self.undecided(
            f"subsection {name}: elements for {plural(count, 'possible CPU')}; how many the target can have,"
            " its stream does not tell",
            field=name,
            source=count,
            evident=count != ours,
        )


def _padded(side: Side, offset: int, size: int) -> bytes:
    if size > MAX_FIELD:
        raise FormatError("a field", offset=offset, expected=f"at most {MAX_FIELD} bytes", found=size)
    return side.window.peek(offset, size).ljust(size, b"\0")
