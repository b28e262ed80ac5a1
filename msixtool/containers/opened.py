"""A file that is open, with the layers that were found around its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msixtool.containers.base import Source
from msixtool.containers.file import FileSource, ObjectSource
from msixtool.errors import InputError, MsixtoolError

if TYPE_CHECKING:
    from msixtool.containers.libvirt import LibvirtSource
    from msixtool.containers.qcow2 import Qcow2Source


class Opened:
    """A file, opened down to its stream.

    `layers` go from the outside in, each `{"kind": …}` with the details of that layer.
    """

    image: Qcow2Source | None = None
    """The qcow2 image, where there is one: `image.snapshots`, `image.snapshot`."""
    save_image: LibvirtSource | None = None
    """The libvirt save image, where there is one: `save_image.xml()`."""
    file: FileSource | ObjectSource | None = None
    """The file itself; None for a pipe."""
    change: InputError | None = None
    """That the file has changed, once that was noticed."""

    def __init__(
        self, source: Source, layers: list[dict[str, Any]], path: str, size: int, origin: int
    ) -> None:
        self.source = source
        """The bytes of the stream, from its "QEVM" on."""
        self.sources = [source]
        """What the stream is read through, from the outside in."""
        self.layers = layers
        self.path = path
        """As it was given; "-" for standard input."""
        self.size = size
        """Bytes of the file as it was given; 0 for a pipe."""
        self.origin = origin
        """Where the stream begins in the file that holds it as it is, be that the file given or what
        the innermost compression unpacks to: the offsets in a mapped-ram stream count from there."""
        self.warnings: list[str] = []
        """What is wrong with a layer though the stream in it can be read."""

    def read_through(self, source: Source) -> Opened:
        """The same with another stream in its place, which is read through what is open here."""
        from copy import copy

        other = copy(self)
        other.source, other.sources = source, [source]
        return other

    def check_unchanged(self) -> None:
        """Raises InputError where the file has changed since it was opened: what was read may be torn.

        A qcow2 image may change, as that of a running VM does, while the snapshot in it stands: that is
        a warning, and so is another file that took the name of the one that was read.
        """
        if self.file is None:
            return
        if self.change is None:
            try:
                self.file.check_unchanged()
            except InputError as change:
                self.change = None if self._snapshot_stands() else change
        if self.change is not None:
            raise self.change
        if self.file.is_replaced():
            self._warn("another file took its name while it was read; this is of the one that was opened")

    def _snapshot_stands(self) -> bool:
        """Whether it is a qcow2 image that has changed, but not where the snapshot is; it is renewed then."""
        if self.file is None or self.image is None or self.image.sequential:
            return False
        before = self.file.size
        self.file.renew()
        if self.file.size < before or not self.image.is_current():
            return False
        self._warn("is written to while it is read, as by a running VM; the snapshot that is read stands")
        return True

    def check_rest(self) -> None:
        """As `check_unchanged`, where something was read since that was last called."""
        if self.file is not None and self.file.unchecked:
            self.check_unchanged()

    def cause_of(self, error: MsixtoolError) -> MsixtoolError:
        """The error to raise instead: that the file has changed, where it has, or `error` itself."""
        try:
            self.check_unchanged()
        except InputError as change:
            return change
        return error

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def verify(self) -> InputError | None:
        """Read to the end whatever is compressed, so that its checksums speak: the damage, if any.

        Nothing of it is kept, and sources that are not compressed are not touched. Call it when a
        stream has been read, or has turned out to be damaged: the cause may be a damaged layer.
        """
        if not self.layers:
            return None
        from msixtool.containers.forward import ForwardSource

        for source in reversed(self.sources):
            if isinstance(source, ForwardSource) and source.kind:
                damage = source.verify()
                if damage is not None:
                    return damage
        return None

    def close(self) -> None:
        """Release files and memory of all layers."""
        for source in reversed(self.sources):
            source.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
