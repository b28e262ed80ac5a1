"""What a target's fresh stream does not show: subsections that are off, and the oldest versions it reads.

In the order in which it counts: the target's own vmstate description (`-dump-vmstate`), then what is
recorded of QEMU's releases, then that a QEMU reads what an older one wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.formats.dump_vmstate import Vmstates
from msixtool.qemu import vmstates
from msixtool.qemu.versions import Lifetime, Version


@dataclass(frozen=True, slots=True)
class Releases:
    """The QEMU releases that the target can be of, both ends included; None where an end is open."""

    oldest: Version | None = None
    newest: Version | None = None

    def all_since(self, version: Version) -> bool:
        """Whether each of them is this release or a later one."""
        return self.oldest is not None and self.oldest >= version

    def some_since(self, version: Version) -> bool:
        """Whether any of them may be this release or a later one."""
        return self.newest is None or self.newest >= version

    def cover(self, lifetime: Lifetime) -> bool | None:
        """Whether all of them have something, or none has; None where that is not known."""
        if self.oldest is None:
            return None
        # What is released after the newest that is recorded still has what that one has.
        first = lifetime.covers(self.oldest)
        last = lifetime.covers(self.newest) if self.newest is not None else True
        return first if first == last else None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """`file` is the target's -dump-vmstate, where there is one; `source` the oldest release that can have
    written the source."""

    releases: Releases = Releases()
    file: Vmstates | None = None
    source: Version | None = None

    def knows_subsection(self, parent: str, name: str) -> bool | None:
        """Whether the target's vmsd `parent` has a subsection `name`; None where nothing tells."""
        if self.file is not None:
            found = self.file.layouts(parent)
            if found:
                return any(sub.name == name for layout in found for sub in layout.subsections)
        lifetime = vmstates.SUBSECTION_LIFETIMES.get(name)
        if lifetime is not None:
            return self.releases.cover(lifetime)
        if self.source is not None and self.releases.all_since(self.source):
            return True
        return None

    def minimum_version(self, vmsd: str) -> int | None:
        """The oldest version_id of `vmsd` that the target reads; None where nothing tells."""
        if self.file is not None:
            found = self.file.layouts(vmsd)
            if found:
                return min(each.minimum_version or 0 for each in found)
        oldest, newest = self.releases.oldest, self.releases.newest
        minimum = vmstates.minimum_version(vmsd, oldest)
        return minimum if newest is None or minimum == vmstates.minimum_version(vmsd, newest) else None
