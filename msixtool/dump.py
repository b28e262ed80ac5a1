"""One open file, its stream, its devices: the one door for everything above."""

from __future__ import annotations

import fnmatch
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypedDict

from msixtool.containers.base import Progress, Source, bar_of, told
from msixtool.containers.open import open_source
from msixtool.containers.opened import Opened
from msixtool.devices.device import MsixDevice
from msixtool.devices.locate import find_devices
from msixtool.errors import InputError, MsixtoolError, UsageError, meant, with_instance
from msixtool.formats.idstr import Idstr
from msixtool.formats.qevm import OPENING
from msixtool.stream.items import Damage, DamageRule, Item, RamBlock, StreamIndex
from msixtool.stream.read import read_stream
from msixtool.stream.window import Window
from msixtool.stream.writer import Writer, writer_of

if TYPE_CHECKING:
    from msixtool.containers.qcow2 import Snapshot
    from msixtool.ram.memory import GuestMemory


_DEVICE = "device with MSI-X"


class OpenOptions(TypedDict, total=False):
    """Which stream of a file: `offset` skips leading bytes, `snapshot` chooses one of a qcow2 image."""

    offset: int
    snapshot: str | None


class OpenDump:
    """A migration stream in whatever container it came, opened for reading; library.Dump adds the questions.

    Use `open`. A context manager; `close` releases the file. Leaving the block raises InputError
    where the file has changed since something of it was last read and `damage` asked for.
    """

    def __init__(self, opened: Opened, *, walk: bool = False) -> None:
        self._opened = opened
        self._closed = False
        began = time.monotonic()
        try:
            self.index: StreamIndex = read_stream(opened.source, origin=opened.origin, walk=walk)
        except InputError as error:
            cause = opened.cause_of(error)
            opened.close()
            raise cause.at(path=opened.path) from None
        if tell := told.get():
            tell(f"{opened.path}: {self._reading(time.monotonic() - began)}")

    def _reading(self, seconds: float) -> str:
        """How the stream was read, in words."""
        layers = [*(str(layer["kind"]) for layer in self.layers), "a stream"]
        way = "its end" if self.index.from_end else "its first byte"
        items = f"{len(self.index.items)} items"
        return f"{', in it '.join(layers)}; read from {way} on, {items} in {seconds:.3f} s"

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        offset: int = 0,
        snapshot: str | None = None,
        walk: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Open a stream by path, "-" for standard input, or as a seekable binary file.

        `offset` skips leading bytes of the file, `snapshot` chooses one of a qcow2 image; with
        `walk` every RAM record is passed over, which takes time that grows with RAM.

        Raises InputError where there is no stream to be read, UsageError for an offset or a
        snapshot that is not there. Damage further on is in `damage`.
        """
        what = str(path) if isinstance(path, str | os.PathLike) else "stream"
        with bar_of(what) if progress is None else nullcontext(progress) as seen:
            return cls(open_source(path, offset=offset, snapshot=snapshot, progress=seen), walk=walk)

    @property
    def path(self) -> str:
        """As it was given; "-" for standard input."""
        return self._opened.path

    @property
    def source(self) -> Source:
        """The bytes of the decoded stream. Raises UsageError where it is closed."""
        if self._closed:
            raise UsageError("the stream is closed", path=self.path, expected="the question before that")
        return self._opened.source

    @property
    def size(self) -> int:
        """Bytes of the file as given; of a pipe, of the stream that was read from it."""
        return self._opened.size or self.index.end

    @property
    def warnings(self) -> list[str]:
        """What is wrong with a container though the stream in it can be read. Raises as `damage`."""
        self.check_unchanged()
        return self._opened.warnings

    @property
    def is_incomplete(self) -> bool:
        """Whether libvirt marked a save image as one whose save did not finish: it refuses to restore it."""
        image = self._opened.save_image
        return image is not None and not image.complete

    @property
    def snapshots(self) -> list[Snapshot]:
        """The internal snapshots of a qcow2 image that hold a VM's state; empty for anything else."""
        image = self._opened.image
        return [] if image is None else list(image.snapshots)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that is read, of a qcow2 image."""
        return None if self._opened.image is None else self._opened.image.snapshot

    @property
    def domain(self) -> str | None:
        """libvirt's name of the VM, where a save image tells it."""
        return None if self._opened.save_image is None else self._opened.save_image.domain

    def domain_xml(self) -> str | None:
        """The domain's XML in a libvirt save image; None for anything else.

        Raises ContainerError where it is damaged.
        """
        return None if self._opened.save_image is None else self._opened.save_image.xml()

    def verify(self) -> InputError | None:
        """Read what is compressed to its end, so that its checksums speak: the damage, if any."""
        return self._opened.verify()

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The containers from the outside in; mapped-ram, a way to lay out a stream, comes last."""
        return [*self._opened.layers, *([{"kind": "mapped-ram"}] if self.index.mapped_ram else [])]

    @property
    def base_offset(self) -> int:
        """What to add to an offset in the stream for the offset that documents give.

        A mapped-ram stream is tied to its place in the file, so its offsets count from there.
        """
        return self._opened.origin if self.index.mapped_ram else 0

    @cached_property
    def _found(self) -> tuple[list[MsixDevice], list[Damage]]:
        return find_devices(self.source, self.index)

    @property
    def devices(self) -> list[MsixDevice]:
        """The devices with MSI-X, in stream order."""
        return self._found[0]

    @cached_property
    def devices_named(self) -> dict[str, list[MsixDevice]]:
        """The devices with MSI-X by the idstrs of their sections."""
        found: dict[str, list[MsixDevice]] = {}
        for device in self.devices:
            found.setdefault(device.name, []).append(device)
        return found

    @cached_property
    def device_at(self) -> dict[int, MsixDevice]:
        """The devices with MSI-X by the offsets of their sections."""
        return {device.item.offset: device for device in self.devices}

    @property
    def damage(self) -> list[Damage]:
        """What contradicts the format, of the stream first, then of its devices, then of a container.

        Raises InputError where the file has changed since it was opened, as `check_unchanged` does.
        """
        found = self.index.damage + self._found[1] + self._container_damage
        self.check_unchanged()
        return found

    def check_unchanged(self) -> None:
        """Raises InputError where the file was written to since it was opened: what was read may be torn.

        A pipe is read once, so nothing of it can change. Of a qcow2 image the snapshot that is read counts.
        """
        self._opened.check_unchanged()

    @cached_property
    def _container_damage(self) -> list[Damage]:
        """Damage of a layer that the reader did not run into, as a checksum at its end."""
        if any(damage.rule == DamageRule.CONTAINER for damage in self.index.damage):
            return []
        error = self.verify()
        # What ended the stream too early is said already, as the reader met it.
        if error is None or any(damage.text == error.explanation for damage in self.index.damage):
            return []
        return [Damage.of(error, 0, DamageRule.CONTAINER)]

    @cached_property
    def writer(self) -> Writer:
        """Which QEMU versions can have written the stream."""
        return writer_of(self.index)

    @cached_property
    def by_name(self) -> dict[str, list[Item]]:
        """The sections that begin in the stream (START and FULL) by idstr, each list in stream order."""
        found: dict[str, list[Item]] = {}
        for item in self.index.items:
            if item.type in OPENING:
                found.setdefault(str(item.idstr), []).append(item)
        return found

    def names_below(self, path: str) -> Iterator[str]:
        """The idstrs of the sections whose path begins with this one and a slash."""
        names = self._sorted_names
        for at in range(bisect_left(names, f"{path}/"), len(names)):
            if not names[at].startswith(f"{path}/"):
                break
            yield names[at]

    @cached_property
    def _sorted_names(self) -> list[str]:
        return sorted(self.by_name)

    @cached_property
    def window(self) -> Window:
        """As `source`, for what is read one piece behind another: sections are."""
        return Window(self.source)

    @cached_property
    def blocks(self) -> dict[str, RamBlock]:
        """The RAM blocks by name."""
        return {block.idstr: block for block in self.index.blocks}

    @cached_property
    def is_x86(self) -> bool:
        """Whether the machine is a PC: its MSI addresses and data are read as x86 messages."""
        if self.index.machine is not None:
            return self.index.machine.startswith(("pc-", "pc", "microvm", "isapc", "xenfv", "xenpv"))
        return any(item.idstr in ("apic", "kvmclock") for item in self.index.full_sections())

    @cached_property
    def memory(self) -> GuestMemory:
        """Guest memory by guest physical address, as far as the stream holds it. Nothing is read yet."""
        from msixtool.devices.memory import guest_regions
        from msixtool.ram.memory import GuestMemory

        regions = guest_regions(self.source, self.index, pc=self.is_x86)
        return GuestMemory(self.source, self.index, regions, base=self.base_offset)

    def select(self, pattern: str | None) -> list[MsixDevice]:
        """The devices that `pattern` names; all for None. Raises UsageError where none does."""
        if pattern is None:
            return self.devices
        found = [device for device in self.devices if matches(pattern, device.name, device.instance)]
        if not found:
            there = [(device.name, device.instance) for device in self.devices]
            raise self.nothing_matches(_DEVICE, pattern, there)
        return found

    def nothing_matches(self, what: str, pattern: str, there: Sequence[tuple[str, int]]) -> UsageError:
        """That `pattern` names none of those that are `there` (name and instance): what is, what was meant,
        and that the stream is cut where it is."""
        if not there:
            return self.lacks(f"no {what} in the stream")
        like = meant(pattern, (spelling for each in there for spelling in spellings(*each)))
        expected = _candidates(there)
        return self.lacks(f"no {what} matches {pattern!r}{like}", expected=expected)

    def lacks(self, message: str, *, expected: str | None = None) -> UsageError:
        """That the stream has not what was asked for, and that it is cut, or damaged in its vmdesc."""
        how: dict[str, str] = {DamageRule.TRUNCATED: "cut", DamageRule.VMDESC: "damaged"}
        told = (f"a stream that is {how[each.rule]}: {each}" for each in self.damage if each.rule in how)
        found = next(told, None)
        return UsageError(message, path=self.path, expected=expected, found=found)

    def select_one(self, pattern: str | None) -> MsixDevice:
        """The one device that `pattern` names. Raises UsageError, naming the candidates, otherwise."""
        found = self.select(pattern)
        if not found:
            raise self.nothing_matches(_DEVICE, pattern or "", [])
        if len(found) > 1:
            what = "no device was chosen" if pattern is None else f"several devices match {pattern!r}"
            names = _candidates([(each.name, each.instance) for each in found])
            raise UsageError(what, path=self.path, expected=f"one of {names}")
        return found[0]

    def close(self) -> None:
        """Release the file."""
        self._closed = True
        vars(self).pop("window", None)  # a new one would ask for the source, which says that it is closed
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if error is None:
                self._opened.check_rest()
            elif isinstance(error, MsixtoolError):
                cause = self._opened.cause_of(error)
                if cause is not error:
                    raise cause from None
        finally:
            self.close()


ALTERNATIVE = "|"
"""Separates patterns of which any may match."""


def matches(pattern: str, name: str, instance: int) -> bool:
    """Whether `pattern` names a section: its idstr, PCI address, kind, NAME@INSTANCE, or a glob of these.

    Several patterns are separated by ALTERNATIVE, which stands in no idstr.
    """
    names = spellings(name, instance)
    return any(
        fnmatch.fnmatchcase(spelling, each) for each in pattern.split(ALTERNATIVE) for spelling in names
    )


def spellings(name: str, instance: int) -> list[str]:
    """All the names that a section goes by."""
    path = Idstr(name).path
    plain = [name]
    if path:
        plain += [Idstr(name).kind, path]
        while ":" in path:
            path = path.split(":", 1)[1]
            if "." in path.split(":", 1)[0] or ":" in path:
                plain.append(path)
            if "." in path.split(":", 1)[0]:
                break
    return plain + [f"{spelling}@{instance}" for spelling in plain]


def _candidates(there: Sequence[tuple[str, int]]) -> str:
    """Names and instances as `matches` takes them, the first dozen."""
    names = [with_instance(name, instance) for name, instance in there]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
