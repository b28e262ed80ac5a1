"""`Saved`: what `save` wrote, or a SPEC, with the questions that can be asked of it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Unpack

from msixtool.documents import Origin
from msixtool.spec import saved as below

if TYPE_CHECKING:
    from msixtool.library.checking import Validation
    from msixtool.library.comparing import Difference
    from msixtool.library.loading import Load
    from msixtool.library.options import DiffOptions
    from msixtool.library.vectors import Vectors
    from msixtool.tasks.diff_sides import Operand


class Saved(below.SavedFile):
    """A raw vmstate of one device, or a SPEC: devices that stand in no stream. Use `open_input`."""

    def show(self, device: str | None = None) -> Vectors:
        """Each vector of the devices that `device` names. Raises UsageError where none does."""
        from msixtool.formats.x86 import is_x86_msi
        from msixtool.library.vectors import Vectors

        chosen = tuple(self.select(device))
        x86 = any(is_x86_msi(entry.address) for each in chosen for entry in each.state.entries)
        return Vectors(Origin(self.path, self.size), chosen, x86, in_stream=False)

    def validate(self, *, ignore: Collection[str] = (), severity: str = "info") -> Validation:
        """What is wrong with its vectors, without the rules in `ignore` and what is below `severity`.

        Raises UsageError for a rule or a severity that is not known.
        """
        from msixtool.library.checking import validate_state

        return validate_state(self, ignore, severity)

    def load(self, device: str | None = None, *, qemu_version: str | None = None, xen: bool = False) -> Load:
        """What a load sets off; what it leaves open is taken as a driver leaves it.

        Raises UsageError where no device matches, or a raw vmstate's kind is not said.
        """
        from msixtool.library.loading import load_saved_file

        return load_saved_file(self, device, qemu_version, xen=xen)

    def diff(self, other: Operand | str | os.PathLike[str], **how: Unpack[DiffOptions]) -> Difference:
        """What differs from `other`, as `Dump.diff` has it."""
        from msixtool.library.comparing import difference_of, opened

        with opened(other) as operand:
            return difference_of(self, operand, **how)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Saved:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        what = "SPEC" if self.spec is not None else f"state of {self.kind or 'a device'}"
        return f"<Saved {self.path[-60:]!r}: {what}, {self.size} bytes>"
