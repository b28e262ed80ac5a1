"""The two streams of a comparison, with what is looked up in them again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from msixtool.dump import OpenDump
from msixtool.formats.idstr import Idstr
from msixtool.formats.qevm import OPENING
from msixtool.qemu.versions import Version
from msixtool.stream.items import Item, RamBlock, SectionKey
from msixtool.tasks.compat.knowledge import Knowledge, Releases
from msixtool.tasks.finding import Refused
from msixtool.tasks.section_checks import troubles


class Side:
    """One stream, opened."""

    def __init__(self, dump: OpenDump) -> None:
        self.dump = dump
        self.window = dump.window

    @cached_property
    def sections(self) -> dict[SectionKey, Item]:
        """The sections that begin in the stream (START and FULL); of several with one key the last."""
        return {item.key: item for item in self.dump.index.items if item.type in OPENING}

    @property
    def blocks(self) -> dict[str, RamBlock]:
        """The RAM blocks by name."""
        return self.dump.blocks

    @cached_property
    def _blocks_of(self) -> dict[str, list[tuple[str, RamBlock]]]:
        """The RAM blocks of each device by its path, with what is behind the path in their names."""
        found: dict[str, list[tuple[str, RamBlock]]] = {}
        for block in self.blocks.values():
            found.setdefault(block.named.path, []).append((block.named.kind, block))
        return found

    @cached_property
    def troubles(self) -> dict[int, list[Refused]]:
        """What QEMU refuses of sections by themselves, by the offset of the section."""
        found: dict[int, list[Refused]] = {}
        for trouble in troubles(self.dump):
            found.setdefault(trouble.offset, []).append(trouble)
        return found

    @cached_property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return sum(name == "cpu_common" for name, _ in self.sections)

    def rom_of(self, path: str) -> int:
        """Bytes of the option ROM of the device at `path`, 0 where it has none."""
        return self._block_of(path, lambda name: name.endswith(".rom"))

    def framebuffer_of(self, path: str) -> int:
        """Bytes of the display memory of the device at `path`, 0 where it has none."""
        found = self._block_of(path, lambda name: "vram" in name)
        # Machine types of old have one display, and its memory no owner in its name.
        shared = self.blocks.get("vga.vram")
        return found or (shared.used_length if shared else 0)

    def _block_of(self, path: str, wanted: Callable[[str], bool]) -> int:
        own = self._blocks_of.get(path, ()) if path else ()
        return next((block.used_length for name, block in own if wanted(name)), 0)


class TargetSide(Side):
    """The side that loads: a fresh stream of its command line, and what is known of its QEMU."""

    def __init__(self, dump: OpenDump, knowledge: Knowledge) -> None:
        super().__init__(dump)
        self.knowledge = knowledge
        self._elsewhere: dict[str, list[str]] | None = None

    def elsewhere(self, idstr: str, source: Side) -> list[str]:
        """The sections of the same kind as `idstr`, wherever they stand, that the one `source` has not."""
        if self._elsewhere is None:
            self._elsewhere = {}
            for name, _ in self.sections:
                if "/" in name and (name, 0) not in source.sections:
                    self._elsewhere.setdefault(Idstr(name).kind, []).append(name)
        return self._elsewhere.get(Idstr(idstr).kind, [])

    @property
    def releases(self) -> Releases:
        """Those that its QEMU can be of."""
        return self.knowledge.releases

    @property
    def version(self) -> Version | None:
        """The release whose rules count where only one set can: the oldest possible."""
        return self.releases.oldest
