"""Two -dump-vmstate files side by side: what the one's QEMU writes that the other's would not read.

It finds at least what QEMU's scripts/vmstate-static-checker.py does, and tells what matters on the
wire (errors) from what depends (warnings) and from mere changes of names (info). A dump tells nothing
of devices that describe their state otherwise: virtio devices above all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from msixtool.formats.dump_vmstate import DeviceType, Vmstates
from msixtool.formats.layout import Field, Layout
from msixtool.tasks.finding import Code, Finding, Severity


def compare_files(source: Vmstates, target: Vmstates) -> list[Finding]:
    """The findings, device type by device type in the source's order."""
    found = list(_machines(source, target))
    for device in source.devices.values():
        other = _counterpart(device, target)
        if other is None:
            found.append(_missing(device))
        else:
            found += _TypeComparison(device.name).compare(device, other)
    return found


def _machines(source: Vmstates, target: Vmstates) -> Iterator[Finding]:
    if source.machine != target.machine:
        yield Finding(
            Code.MACHINE_TYPE,
            f"machine type: {source.machine}, the target has {target.machine}: properties of the two differ",
            field="machine",
            source=source.machine,
            target=target.machine,
            advice=f"Dump the target's vmstate with -machine {source.machine}.",
            severity=Severity.WARNING,
        )


def _counterpart(device: DeviceType, target: Vmstates) -> DeviceType | None:
    """The target's type of the same name; or a renamed one, which has a vmsd of the same name."""
    same = target.devices.get(device.name)
    if same is not None or device.layout is None:
        return same
    folded = device.name.replace(" ", "-").lower()
    return next(
        (
            other
            for other in target.devices.values()
            if other.layout is not None
            and other.layout.name == device.layout.name
            and other.name.replace(" ", "-").lower() == folded
        ),
        None,
    )


def _missing(device: DeviceType) -> Finding:
    return Finding(
        Code.SECTION_UNKNOWN,
        "the target's QEMU has no device type of this name with a state to load",
        device.name,
        advice="A VM with such a device cannot move there.",
    )


@dataclass(frozen=True, slots=True)
class _TypeComparison:
    """The comparison of one device type; `name` is its QOM name."""

    name: str

    def compare(self, source: DeviceType, target: DeviceType) -> Iterator[Finding]:
        if source.name != target.name:
            said = f"the device type is called {target.name} in the target"
            yield self._harmless(said, None, source.name, target.name)
        yield from self._versions(source, target, source.name, target.minimum_version)
        if source.layout is not None and target.layout is None:
            yield self._finding(Severity.ERROR, Code.SECTION_LAYOUT, "the target's has no description", None)
        elif source.layout is not None and target.layout is not None:
            yield from self._layouts(source.layout, target.layout)

    def _finding(
        self,
        severity: Severity,
        code: Code,
        message: str,
        field: str | None,
        source: object = None,
        target: object = None,
    ) -> Finding:
        return Finding(code, message, self.name, field=field, source=source, target=target, severity=severity)

    def _harmless(self, message: str, field: str | None, source: object, target: object) -> Finding:
        """What differs in the descriptions and not on the wire."""
        return self._finding(Severity.INFO, Code.OTHER, message, field, source, target)

    def _misread(self, message: str, at: Field, path: str, source: object, target: object) -> Finding:
        """A field that one side alone has; where it depends on a condition, it may be on no wire."""
        severity, code = Severity.ERROR, Code.SECTION_LAYOUT
        if at.conditional:
            severity, code = Severity.WARNING, Code.UNDECIDED
        return self._finding(severity, code, message, path, source, target)

    def _version(self, message: str, name: str, source: int, target: int) -> Finding:
        return self._finding(Severity.ERROR, Code.SECTION_VERSION, message, name, source, target)

    def _versions(
        self,
        source: DeviceType | Layout,
        target: DeviceType | Layout,
        name: str,
        minimum: int | None,
    ) -> Iterator[Finding]:
        theirs, ours = source.version or 0, target.version or 0
        if theirs > ours:
            said = f"{name} has version {theirs}, the target reads up to {ours}"
            yield self._version(said, name, theirs, ours)
        if minimum is not None and theirs < minimum:
            said = f"{name} has version {theirs}, the target reads none below {minimum}"
            yield self._version(said, name, theirs, minimum)

    def _layouts(self, source: Layout, target: Layout) -> Iterator[Finding]:
        yield from self._versions(source, target, source.name, target.minimum_version)
        if source.name != target.name:
            # On the wire a description's name appears with its subsections alone.
            matters = bool(source.subsections)
            yield self._finding(
                Severity.WARNING if matters else Severity.INFO,
                Code.OTHER,
                f"the description {source.name} is called {target.name} in the target",
                source.name,
                source.name,
                target.name,
            )
        yield from self._fields(source, target)
        yield from self._subsections(source, target)

    def _subsections(self, source: Layout, target: Layout) -> Iterator[Finding]:
        # A name can come twice (sd-card of 11.1 has one so): the first belongs to the first.
        ours = list(target.subsections)
        for subsection in source.subsections:
            other = next((each for each in ours if each.name == subsection.name), None)
            if other is not None:
                ours.remove(other)
                yield from self._layouts(subsection, other)
            else:
                yield self._finding(
                    Severity.ERROR,
                    Code.SUBSECTION_UNKNOWN,
                    f"subsection {subsection.name} of {source.name}: the target knows none of this name,"
                    " and refuses a stream that holds it",
                    subsection.name,
                    subsection.name,
                )

    def _fields(self, source: Layout, target: Layout) -> Iterator[Finding]:
        theirs, ours = source.fields, target.fields
        matcher = SequenceMatcher(None, [f.name for f in theirs], [f.name for f in ours], autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal":
                for one, other in zip(theirs[a:b], ours[c:d], strict=True):
                    yield from self._field(source, one, other)
            else:
                yield from self._changed(source, target, theirs[a:b], ours[c:d])

    def _field(self, layout: Layout, source: Field, target: Field) -> Iterator[Finding]:
        path = f"{layout.name}/{source.name}"
        if source.since != target.since:
            # It says from which version of the whole on a field is there; the wire does not hold it.
            said = f"field {path}: there since version {source.since}, in the target since {target.since}"
            yield self._harmless(said, path, source.since, target.since)
        if source.inside is not None and target.inside is not None:
            yield from self._layouts(source.inside, target.inside)
        elif source.inside is not None:
            said = f"field {path}: described in the source, not in the target"
            yield self._finding(Severity.WARNING, Code.SECTION_LAYOUT, said, path)
        elif target.inside is None and not _same_size(source, target):
            theirs, ours = source.length, target.length
            said = f"field {path}: {theirs} bytes, the target has {ours}"
            yield self._finding(Severity.ERROR, Code.SECTION_LAYOUT, said, path, theirs, ours)

    def _changed(
        self, source: Layout, target: Layout, theirs: Sequence[Field], ours: Sequence[Field]
    ) -> Iterator[Finding]:
        """A run of fields that have no counterpart of the same name."""
        flat_theirs, flat_ours = _flat(theirs), _flat(ours)
        if [(f.name, f.size) for f in flat_theirs] == [(f.name, f.size) for f in flat_ours]:
            yield self._renamed(source, theirs, ours, "are grouped in another way")
            return
        if len(flat_theirs) == len(flat_ours) and all(map(_same_size, flat_theirs, flat_ours)):
            yield self._renamed(source, theirs, ours, "have other names")
            return
        if theirs and ours and _bytes(flat_theirs) == _bytes(flat_ours):
            yield self._renamed(source, theirs, ours, "are other fields")
            return
        if theirs and ours and any(f.array_len is None and f.inside is None for f in flat_theirs + flat_ours):
            # Arrays have lengths that this QEMU does not say: the bytes may be the same.
            yield self._undecided(source, theirs, ours)
            return
        for field in theirs:
            yield self._only_source(source, field)
        for field in ours:
            yield from self._only_target(source, target, field)

    def _undecided(self, layout: Layout, theirs: Sequence[Field], ours: Sequence[Field]) -> Finding:
        names = _names(theirs), _names(ours)
        return self._finding(
            Severity.WARNING,
            Code.UNDECIDED,
            f"fields of {layout.name}: {names[0]}, in the target {names[1]}; whether these are as many bytes"
            " the descriptions do not say",
            f"{layout.name}/{theirs[0].name}",
            *names,
        )

    def _renamed(self, layout: Layout, theirs: Sequence[Field], ours: Sequence[Field], how: str) -> Finding:
        names = _names(theirs), _names(ours)
        said = f"fields of {layout.name} {how}: {names[0]}, in the target {names[1]}; of the same size"
        return self._harmless(said, f"{layout.name}/{theirs[0].name}", *names)

    def _only_source(self, layout: Layout, field: Field) -> Finding:
        path = f"{layout.name}/{field.name}"
        when = ", where the source's condition for it holds" if field.conditional else ""
        said = f"field {path}: the target has none, and its fields are misread{when}"
        return self._misread(said, field, path, field.name, None)

    def _only_target(self, source: Layout, target: Layout, field: Field) -> Iterator[Finding]:
        path = f"{target.name}/{field.name}"
        if field.since > (source.version or 0):
            said = f"field {path}: only the target has it, and does not read it from version {source.version}"
            yield self._harmless(f"{said} of {source.name}", path, None, field.name)
            return
        when = ", where its own condition for it holds" if field.conditional else ""
        said = f"field {path}: only the target has it, and reads it from what is something else{when}"
        yield self._misread(said, field, path, None, field.name)


def _flat(fields: Sequence[Field]) -> list[Field]:
    """The fields without inner ones, in order."""
    flat: list[Field] = []
    for field in fields:
        inside = field.inside.fields if field.inside is not None and not field.inside.subsections else ()
        flat += _flat(inside) if inside and field.array_len in (None, 1) else [field]
    return flat


def _names(fields: Sequence[Field]) -> str:
    return ", ".join(field.name for field in fields)


def _bytes(fields: Sequence[Field]) -> int:
    return sum(field.length for field in fields)


def _same_size(one: Field, other: Field) -> bool:
    """Whether two fields have the same size, as far as their lengths are said."""
    counts = one.array_len == other.array_len or None in (one.array_len, other.array_len)
    return one.size == other.size and counts
