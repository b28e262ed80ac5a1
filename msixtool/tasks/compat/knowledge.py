"""What a target's fresh stream does not show: subsections that are off, and the oldest versions it reads.

In the order in which it counts: the target's own vmstate description (`-dump-vmstate`), then what is
recorded of QEMU's releases, then that a QEMU reads what an older one wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.qemu import vmstates
from msixtool.qemu.versions import Version
from msixtool.tasks.compat.vmstate_file import VmstateFile


@dataclass(slots=True)
class Knowledge:
    """`file` is the target's -dump-vmstate, where there is one; `version` its release; `source_version` the
    oldest release that can have written the source."""

    file: VmstateFile | None = None
    version: Version | None = None
    source_version: Version | None = None

    def knows_subsection(self, parent: str, name: str) -> bool | None:
        """Whether the target's vmsd `parent` has a subsection `name`; None where nothing tells."""
        if self.file is not None:
            found = self.file.vmsds(parent)
            if found:
                return any(sub.name == name for vmsd in found for sub in vmsd.subsections)
        return self._recorded(vmstates.SUBSECTIONS.get(name))

    def minimum_version(self, vmsd: str) -> int | None:
        """The oldest version_id of `vmsd` that the target reads; None where nothing tells."""
        if self.file is not None:
            found = self.file.vmsds(vmsd)
            if found:
                return min(entry.minimum_version_id for entry in found)
        return vmstates.minimum_version(vmsd, self.version)

    def _recorded(self, lifetime: vmstates.Lifetime | None) -> bool | None:
        if lifetime is not None:
            return None if self.version is None else lifetime.covers(self.version)
        if self.version and self.source_version and self.source_version <= self.version:
            return True
        return None
