"""The behaviour of QEMU's hw/pci/msix.c: one method for each operation, every effect an event.

MSI-X in a nutshell. A function has n vectors. Each has a table entry: the message (an address and
32 bits of data), and a mask bit. To interrupt, the device calls `notify`: an unmasked vector's
message is written to its address; a masked one's pending bit is set instead, and the message
follows when the vector is unmasked. Message Control in configuration space enables MSI-X as a
whole, and its function mask masks all vectors at once.

QEMU adds three things to the specification. The device declares which vectors it uses
(`vector_use`), and `notify` does nothing for others. The function mask is a cached flag
(`function_masked`), computed anew only where QEMU does so. And whoever handles interrupts outside
QEMU (vfio, vhost) registers notifiers to learn when vectors come and go.

An operation returns its events, in order. What QEMU refuses (`EINVAL: …`, `ENOTSUP: …`), what ends
QEMU by an assertion (`QEMU aborts: …`) and what QEMU leaves to chance (`undefined: …`) is an `error`
event: the last one of the operation, which goes no further. Questions, which return something
else (registers.py), raise UsageError instead. Where releases differ, versions.py says how.

Source: QEMU hw/pci/msix.c, 1.2 to 11.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.errors import FormatError, UsageError
from msixtool.formats import Buffer, msix as fmt, pci
from msixtool.kept import NamedTuple
from msixtool.msix import events as ev
from msixtool.msix.bar import (
    Placement,
    check_layout,
    counts_before_support,
    exclusive_bar,
    place_capability,
    vectors_seen,
)
from msixtool.msix.events import Events
from msixtool.msix.registers import CONTROL_WRITABLE
from msixtool.msix.state import MsixState
from msixtool.msix.vectors import MsixVectors, operation

PCI_COMMAND = pci.COMMAND_REGISTER.offset
"""Offset of the low byte of the Command register in configuration space."""
PCI_COMMAND_MASTER = int(pci.CommandBits.BUS_MASTER)
"""Command, bus master enable."""
CONTROL_OFFSET = fmt.CONTROL.offset + 1
"""Offset in the capability of the byte that holds enable and function mask."""


class MmioRead(NamedTuple):
    """What a read by MMIO returns, and what it set off."""

    value: int
    events: Events


class MsixFunction(MsixVectors):
    """A PCI function with MSI-X that behaves as QEMU's."""

    # Configuration space

    @operation
    def write_config(self, address: int, value: int, length: int) -> None:
        """The guest writes `length` bytes (1, 2 or 4) at `address` of configuration space.

        Of Message Control only enable and function mask can be written; of the rest the model keeps
        the bus master bit alone. A write that covers the byte with enable computes the cached
        function mask; where MSI-X is enabled then, INTx is taken down, and if the function mask
        changed every vector's mask is updated. A write that disables MSI-X updates no vector's mask:
        no notifier hears of it.
        """
        if length not in (1, 2, 4):
            raise UsageError("width of a configuration write", expected="1, 2 or 4 bytes", found=length)
        for step in range(length):
            self._write_config_byte(address + step, value >> 8 * step & 0xFF)
        if not self.present() or not address <= self._enable_byte < address + length:
            return
        was_masked = self.function_masked
        self._compute_function_masked()
        if not self.enabled():
            self._report_masks()
            return
        self._emit(ev.IntxDeasserted())
        if self.function_masked == was_masked:
            return
        for vector in range(self.nr_vectors_allocated()):
            self.handle_mask_update(vector, self.vector_masked(vector, was_masked))

    @operation
    def update_function_masked(self) -> None:
        """Compute the cached function mask from Message Control. No vector's mask update is run."""
        self._compute_function_masked()
        self._report_masks()

    def restore_config(self, control: int, *, bus_master: bool) -> None:
        """Configuration space comes from a stream: Message Control as a whole, and bus mastering.

        It sets nothing off, and the cached function mask stays as it is until `load`
        (hw/pci/pci.c, get_pci_config_device).
        """
        self.control = control
        self.bus_master = bus_master

    # Table and pending bits by MMIO: the memory core splits an access into aligned pieces, and takes
    # those that are double words. The rest reads as 0, or is ignored.

    def table_mmio_read(self, address: int, size: int = 4) -> MmioRead:
        """Read `size` bytes at `address` of the table.

        Past the table it reads as 0: the memory core calls no handler there.
        """
        return MmioRead(_value(self._table, address, size), ())

    @operation
    def table_mmio_write(self, address: int, value: int, size: int = 4) -> None:
        """Write `size` bytes at `address` of the table.

        Each double word updates the vector's mask, so that one to Vector Control may send what is
        pending. What lies past the table is ignored: the memory core calls no handler there.
        """
        for at in _inside(self._table, address, size):
            vector = at // fmt.ENTRY_SIZE
            was_masked = self.is_masked(vector)
            fmt.PACKED_WORD.pack_into(self._table, at, value >> 8 * (at - address) & 0xFFFFFFFF)
            self.handle_mask_update(vector, was_masked)

    def pba_mmio_read(self, address: int, size: int = 4) -> MmioRead:
        """Read `size` bytes at `address` of the pending bits, once the poll notifier was called for them."""
        return MmioRead(_value(self._pba, address, size), self._poll_pending(address, size))

    @operation
    def pba_mmio_write(self, address: int, value: int, size: int = 4) -> None:
        """Write to the pending bits: ignored. (Before 2.5 QEMU had no handler for it, and crashed.)"""
        if not self.behaviour.ignores_pba_writes:
            raise UsageError("QEMU aborts: no handler for writes to the pending bits")

    # Life of the function

    @operation
    def init(self, vectors: int, table: Placement, pba: Placement, cap_pos: int = 0) -> None:
        """Give the function MSI-X, with every vector masked.

        `cap_pos` is where the capability goes, of which QEMU keeps 8 bits; 0 for the first gap. Refused
        without support in the interrupt controller, for less than 1 or more than 2048 vectors, where
        table and pending bits overlap, leave their BARs or are not 8-byte aligned, and where the
        capability overlaps another; the model also refuses a function that has MSI-X already.
        """
        if self.present():
            raise UsageError("EINVAL: the function has MSI-X already")
        self._check_support()
        vectors = vectors_seen(vectors, self.behaviour)
        check_layout(vectors, table, pba)
        self.capability = place_capability(cap_pos & 0xFF, self.capabilities)
        self.control = vectors - 1
        self.function_masked = True
        self.table, self.pba = table, pba
        self._allocate(vectors)
        self.mask_all()

    @operation
    def init_exclusive_bar(self, vectors: int, bar: int) -> None:
        """Give the function MSI-X with table and pending bits in BAR `bar` alone (bar.py has its layout)."""
        if not counts_before_support(vectors, self.behaviour):
            self._check_support()
        table, pba = exclusive_bar(vectors, bar, self.behaviour)
        self.init(vectors, table, pba)

    @operation
    def uninit(self) -> None:
        """Take MSI-X away: no vector is used or pending any more, and the capability is gone."""
        if not self.present():
            return
        self.unuse_all_vectors()
        self.capability = self.control = 0
        self.table = self.pba = None
        self._allocate(0)

    @operation
    def uninit_exclusive_bar(self) -> None:
        """Take MSI-X away together with the BAR that `init_exclusive_bar` made."""
        self.uninit()

    @operation
    def reset(self) -> None:
        """Disable MSI-X, clear table and pending bits, mask every vector. The use counters stay.

        The cached function mask is not computed anew. Where it was clear it stays so, and every
        vector is unmasked for the moment between the clearing of its entry and the setting of its
        mask bit: notifiers are told to release all of them, masked before or not. Bus mastering is
        left to the PCI core, which resets it before.
        """
        if not self.present():
            return
        self._emit(ev.Reset())
        self._clear_all_vectors()
        self.control &= ~CONTROL_WRITABLE
        self._table[:] = bytes(len(self._table))
        self._pba[:] = bytes(len(self._pba))
        self.mask_all()

    @operation
    def load(self, saved: Buffer | MsixState) -> None:
        """Read what `save` wrote, or the state that it holds; `restore_config` was called before.

        Pending bits below n are cleared, table and pending bits read, and the function mask computed
        from the restored configuration. Then each vector's mask is updated as if it had been masked
        before: what is pending and unmasked now is notified, and lost where the vector is not used
        yet. Raises TruncatedError or FormatError where the data is not 16·n + ceil(n/8) bytes, FormatError
        where the state is of another number of vectors.
        """
        vectors = self.nr_vectors_allocated()
        state = saved if isinstance(saved, MsixState) else MsixState.from_vmstate(saved, vectors)
        if state.vectors != vectors:
            raise FormatError("MSI-X state", expected=f"{vectors} vectors", found=state.vectors)
        if not self.present():
            return
        self._clear_all_vectors()
        self._store(state)
        self._emit(ev.StateRestored())
        self._compute_function_masked()
        for vector in range(state.vectors):
            self.handle_mask_update(vector, True)

    # Parts of the operations

    def _check_support(self) -> None:
        if not self.msi_supported:
            raise UsageError("ENOTSUP: the interrupt controller does not support MSI-X")

    @property
    def _enable_byte(self) -> int:
        """Where in configuration space the byte with enable and function mask stands."""
        return self.capability + CONTROL_OFFSET

    def _write_config_byte(self, address: int, byte: int) -> None:
        if address == PCI_COMMAND:
            self.bus_master = bool(byte & PCI_COMMAND_MASTER)
        elif self.present() and address == self._enable_byte:
            self.control = self.control & ~CONTROL_WRITABLE | byte << 8 & CONTROL_WRITABLE

    def _compute_function_masked(self) -> None:
        was_masked = self.function_masked
        self.function_masked = self._masked_by_control()
        self._emit(ev.FunctionMask(self.function_masked, was_masked))

    def _report_masks(self) -> None:
        for vector in range(self.nr_vectors_allocated()):
            self._report_mask(vector)

    def _clear_all_vectors(self) -> None:
        for vector in range(self.nr_vectors_allocated()):
            self.clr_pending(vector)

    @operation
    def _poll_pending(self, address: int, size: int) -> None:
        for at in _inside(self._pba, address, size):
            if self._poll_notifier:
                end = (at + 4) * 8 if self.behaviour.exact_poll_range else at + 4 * 8
                self._emit(ev.PollNotifier(at * 8, min(end, self.nr_vectors_allocated())))


def _double_words(address: int, size: int) -> range:
    """The aligned double words in an access of 4 or 8 bytes; none in any other."""
    if size not in (4, 8) or address < 0:
        return range(0)
    return range(address + -address % 4, address + size - 3, 4)


def _inside(memory: bytearray, address: int, size: int) -> Iterator[int]:
    """The double words of an access that lie in the region: of one that straddles its end, the first."""
    return (at for at in _double_words(address, size) if at + 4 <= len(memory))


def _value(memory: bytearray, address: int, size: int) -> int:
    """What an access reads: its double words in their places, 0 for what is refused or past the end."""
    words = ((at, fmt.PACKED_WORD.unpack_from(memory, at)[0]) for at in _inside(memory, address, size))
    return sum(word << 8 * (at - address) for at, word in words)
