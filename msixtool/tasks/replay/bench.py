"""What a script plays on: one device at a time, the states it saved, and what its last action did."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from msixtool.errors import InputError
from msixtool.formats import msix as fmt
from msixtool.msix.events import Events
from msixtool.msix.function import MsixFunction
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.tasks.replay.values import VectorNumbers


@dataclass(frozen=True)
class FunctionInStream:
    """What a stream holds of a function: table and pending bits, Message Control, the bus master bit."""

    vmstate: bytes
    vectors: int
    control: int
    bus_master: bool


@dataclass
class Bench:
    """The device under test and everything around it.

    `folder` is where the files that a script names are looked for; the settings take effect with
    the next device.
    """

    folder: str
    qemu_version: QemuVersion = NEWEST
    xen: bool = False
    msi_supported: bool = True
    capabilities: dict[int, int] = field(default_factory=dict)
    device: MsixFunction | None = None
    saved: dict[str, FunctionInStream] = field(default_factory=dict)
    events: Events = ()
    """Of the last action."""
    value: int | None = None
    """What the last action read, where it read something."""

    @property
    def function(self) -> MsixFunction:
        """The device, which a script has wherever a form asks for it."""
        assert self.device is not None
        return self.device

    def new_function(self, *, bus_master: bool = False) -> MsixFunction:
        """Put a device under test that has no MSI-X yet, by the settings."""
        self.device = MsixFunction(
            qemu_version=self.qemu_version,
            xen=self.xen,
            bus_master=bus_master,
            msi_supported=self.msi_supported,
            capabilities=self.capabilities,
        )
        return self.device

    def numbers(self, vectors: VectorNumbers) -> tuple[int, ...]:
        """The vectors one by one; `all` are those that the device has."""
        return tuple(range(self.function.nr_vectors_allocated())) if vectors == "all" else vectors

    def path(self, file: str) -> str:
        """Where a file stands that the script names."""
        return os.path.join(self.folder or os.curdir, file)

    def read_vmstate(self, file: str) -> bytes:
        """A file with a raw MSI-X vmstate. Raises InputError where it cannot be read or is too long."""
        limit = fmt.vmstate_size(fmt.MAX_VECTORS)
        try:
            with open(self.path(file), "rb") as opened:
                data = opened.read(limit + 1)
        except (OSError, ValueError) as error:
            found = error.strerror if isinstance(error, OSError) else error
            raise InputError("cannot be read", path=file, found=found) from None
        if len(data) > limit:
            raise InputError("MSI-X state", path=file, expected=f"at most {limit} bytes", found="more")
        return data
