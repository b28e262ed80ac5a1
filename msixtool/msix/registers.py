"""What a function with MSI-X stores, and every question about it that has no effect.

The names are those of QEMU's hw/pci/msix.c, which is also the source, less `msix_`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Self

from msixtool.errors import UsageError
from msixtool.formats import members, msix as fmt
from msixtool.kept import NamedTuple
from msixtool.msix.bar import Placement, pba_memory, table_size
from msixtool.msix.state import MsixState
from msixtool.msix.versions import NEWEST, Behaviour, QemuVersion

CONTROL_WRITABLE = fmt.CONTROL_ENABLE | fmt.CONTROL_FUNCTION_MASK
"""The bits of Message Control that a guest can write; the rest is read-only."""

LOWER_ADDR, MESSAGE_DATA, VECTOR_CTRL = (
    members(fmt.ENTRY)[name].offset for name in ("address", "data", "control")
)
"""Offsets in a table entry: message address (64 bits), message data and Vector Control (32 bits each)."""

XEN_PIRQ_VECTOR = 0xFF
"""Bits of the message data that hold the x86 vector: where they are 0, Xen takes the message for a pirq."""


class MsiMessage(NamedTuple):
    """What a function writes to send an interrupt: 32 bits of `data` to a 64-bit `address`."""

    address: int
    data: int


class MsixRegisters:
    """A PCI function as far as MSI-X is concerned: registers, table, pending bits, use counters.

    As constructed it has no MSI-X yet, as a device before msix_init; `from_state` gives one that has.

    `qemu_version` is the release to behave as (versions.py says what differs); with `xen` a vector
    that is remapped to a pirq is never masked; `msi_supported` is whether the machine's interrupt
    controller knows MSI at all; `capabilities` are the other capabilities in configuration
    space, offset and size in bytes.
    """

    def __init__(
        self,
        *,
        qemu_version: QemuVersion = NEWEST,
        xen: bool = False,
        bus_master: bool = False,
        msi_supported: bool = True,
        capabilities: Mapping[int, int] | None = None,
    ) -> None:
        self.behaviour = Behaviour(qemu_version)
        self.xen = xen and self.behaviour.knows_pirqs
        self.bus_master = bus_master
        """Whether the function may write to memory, as sending a message does: Command, bit 2."""
        self.msi_supported = msi_supported
        self.capabilities = dict(capabilities or {})
        self.capability = 0
        """Offset of the MSI-X capability in configuration space; 0 without MSI-X."""
        self.control = 0
        """Message Control, 16 bits."""
        self.function_masked = True
        """The cached function mask. Only a write to Message Control and a load compute it anew: a
        reset leaves it as it was."""
        self.table: Placement | None = None
        """Where the table lies; None where nothing said so."""
        self.pba: Placement | None = None
        """Where the pending bits lie; None where nothing said so."""
        self._allocate(0)

    @classmethod
    def from_state(
        cls,
        state: MsixState,
        *,
        control: int | None = None,
        capability: int = 0x40,
        bus_master: bool = False,
        used: Iterable[int] = (),
        function_masked: bool | None = None,
        qemu_version: QemuVersion = NEWEST,
        xen: bool = False,
    ) -> Self:
        """A function in the given state, with nothing set off by it.

        `control` is the Message Control word (default: MSI-X disabled, function mask clear), `used`
        the vectors that the device has marked used (one named twice is counted twice),
        `function_masked` the cached flag where it is not what `control` says. Raises UsageError for
        a used vector that the state does not have.
        """
        function = cls(qemu_version=qemu_version, xen=xen, bus_master=bus_master)
        function._allocate(state.vectors)
        function._store(state)
        function.capability = capability if state.vectors else 0
        function.control = max(0, state.vectors - 1) if control is None else control
        function.function_masked = (
            function._masked_by_control() if function_masked is None else function_masked
        )
        for vector, count in Counter(used).items():
            if not 0 <= vector < state.vectors:
                raise UsageError(
                    "used vector is out of range", expected=f"below {state.vectors}", found=vector
                )
            function._used[vector] = count
        function._reported_masked = [function.is_masked(vector) for vector in range(state.vectors)]
        return function

    @property
    def state(self) -> MsixState:
        """Table and pending bits as msix_save would write them."""
        return MsixState.from_vmstate(self.save(), self.nr_vectors_allocated())

    @property
    def used(self) -> tuple[int, ...]:
        """For each vector how often the device has marked it used."""
        return tuple(self._used)

    def present(self) -> bool:
        """Whether the function has MSI-X."""
        return bool(self._used)

    def enabled(self) -> bool:
        """Whether the function has MSI-X and the guest has enabled it."""
        return self.present() and bool(self.control & fmt.CONTROL_ENABLE)

    def nr_vectors_allocated(self) -> int:
        """The number of vectors, 0 without MSI-X. It need not be what Message Control says."""
        return len(self._used)

    def get_message(self, vector: int) -> MsiMessage:
        """Address and data of a vector's table entry. Raises UsageError where there is none."""
        at = self._entry(vector)
        address, data, _ = fmt.PACKED_ENTRY.unpack_from(self._table, at)
        return MsiMessage(address, data)

    def is_pending(self, vector: int) -> bool:
        """Whether the pending bit is set; the padding up to 64 bits can be asked for too.

        Raises UsageError beyond: QEMU does not check, and reads foreign memory.
        """
        return bool(self._pba[self._pending_byte(vector)] >> vector % 8 & 1)

    def vector_masked(self, vector: int, fmask: bool) -> bool:
        """Whether a vector is masked under the function mask `fmask`. Raises UsageError for one out of range.

        On Xen a message whose x86 vector is 0 is remapped to a pirq, and masked by other means: such
        a vector counts as unmasked, whatever its bits say.
        """
        at = self._entry(vector)
        if self.xen and not self.get_message(vector).data & XEN_PIRQ_VECTOR:
            return False
        return fmask or bool(self._table[at + VECTOR_CTRL] & fmt.ENTRY_MASKED)

    def is_masked(self, vector: int) -> bool:
        """Whether a vector is masked, by its own bit or by the cached function mask.

        Raises UsageError for a vector out of range.
        """
        return self.vector_masked(vector, self.function_masked)

    def save(self) -> bytes:
        """The vmstate: 16·n bytes of table, then ceil(n/8) bytes of pending bits; nothing without MSI-X."""
        return bytes(self._table + self._pba[: fmt.pba_size(self.nr_vectors_allocated())])

    def _allocate(self, vectors: int) -> None:
        """Zeroed memory for `vectors` vectors; the pending bits are padded to 64."""
        self._table = bytearray(table_size(vectors))
        self._pba = bytearray(pba_memory(vectors))
        self._used = [0] * vectors
        self._reported_masked = [True] * vectors

    def _store(self, state: MsixState) -> None:
        """Put table and pending bits in memory; pending bits beyond the last saved byte stay."""
        saved = state.to_vmstate()
        size = len(self._table)
        self._table[:] = saved[:size]
        self._pba[: len(saved) - size] = saved[size:]

    def _masked_by_control(self) -> bool:
        """The function mask as configuration space has it: MSI-X not enabled, or function mask set."""
        return not self.enabled() or bool(self.control & fmt.CONTROL_FUNCTION_MASK)

    def _entry(self, vector: int) -> int:
        """Offset of a vector's entry in the table; QEMU does not check, so neither outcome is defined."""
        if not 0 <= vector < self.nr_vectors_allocated():
            raise self._no_vector("undefined", vector)
        return vector * fmt.ENTRY_SIZE

    def _no_vector(self, outcome: str, vector: int) -> UsageError:
        """The error of an operation on a vector out of range; `outcome` is what QEMU makes of it."""
        return UsageError(
            f"{outcome}: no such vector", expected=f"below {self.nr_vectors_allocated()}", found=vector
        )

    def _pending_byte(self, vector: int) -> int:
        """Which byte of the padded array holds a vector's pending bit."""
        bits = 8 * len(self._pba)
        if not 0 <= vector < bits:
            raise UsageError("undefined: no such pending bit", found=vector, expected=f"below {bits}")
        return vector // 8
