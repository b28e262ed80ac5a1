"""The MSI-X state of one function as a value: table entries and pending bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from msixtool.errors import FormatError, UsageError
from msixtool.formats import Buffer, build, msix as fmt, parse
from msixtool.kept import NamedTuple


class MsixEntry(NamedTuple):
    """One table entry, 16 bytes: message address (64 bits), message data, Vector Control (32 bits each).

    The default is the reset value of QEMU: all zero but the mask bit.
    """

    address: int = 0
    data: int = 0
    control: int = fmt.ENTRY_MASKED

    @property
    def masked(self) -> bool:
        """Bit 0 of Vector Control, and nothing else: the function mask is not looked at."""
        return bool(self.control & fmt.ENTRY_MASKED)

    def with_masked(self, masked: bool) -> MsixEntry:
        """The same entry with bit 0 of Vector Control set or cleared; its other bits stay."""
        return self._replace(control=self.control & ~fmt.ENTRY_MASKED | int(masked))


@dataclass(frozen=True, slots=True, repr=False)
class MsixState:
    """Table and pending bits of a function with `vectors` vectors, as msix_save writes them.

    `pba` is the ceil(n/8) bytes of the vmstate, the bits at or above n in the last byte
    included: QEMU keeps them, and so does this.
    """

    entries: tuple[MsixEntry, ...]
    pba: bytes

    def __repr__(self) -> str:
        return f"<MsixState: {self.vectors} vectors, {len(self.pending)} pending>"

    def __post_init__(self) -> None:
        if len(self.pba) != fmt.pba_size(len(self.entries)):
            raise UsageError(
                f"pending bits of {len(self.entries)} vectors",
                expected=f"{fmt.pba_size(len(self.entries))} bytes",
                found=len(self.pba),
            )

    @classmethod
    def reset(cls, vectors: int) -> MsixState:
        """The state after a reset: every vector masked, nothing pending. Raises UsageError below 0."""
        if vectors < 0:
            raise UsageError("number of vectors", expected="0 or more", found=vectors)
        return cls((MsixEntry(),) * vectors, bytes(fmt.pba_size(vectors)))

    @classmethod
    def from_vmstate(cls, data: Buffer, vectors: int) -> MsixState:
        """Read the vmstate of `vectors` vectors: 16·n table bytes, then ceil(n/8) PBA bytes.

        Raises TruncatedError where the data is too short, FormatError where it is too long.
        """
        size = fmt.vmstate_size(vectors)
        if len(data) > size:
            raise FormatError(f"MSI-X state of {vectors} vectors", expected=f"{size} bytes", found=len(data))
        raw = parse(fmt.vmstate(vectors), data, what=f"MSI-X state of {vectors} vectors")
        return cls(tuple(map(MsixEntry._make, raw.table)), raw.pba)

    def to_vmstate(self) -> bytes:
        """The bytes that msix_save would write: table, then pending bits.

        Raises FormatError where an entry's value does not fit its register.
        """
        value = {"table": self.entries, "pba": self.pba}
        return build(fmt.vmstate(self.vectors), value, what="MSI-X state")

    @property
    def vectors(self) -> int:
        return len(self.entries)

    def is_pending(self, vector: int) -> bool:
        """Whether the pending bit of `vector` is set. Raises UsageError where there is no such vector."""
        self._check(vector)
        return bool(self.pba[vector // 8] >> vector % 8 & 1)

    @property
    def pending(self) -> tuple[int, ...]:
        """The vectors whose pending bit is set, bits at or above n not counted."""
        return self._pending_bits(0, self.vectors)

    @property
    def stray_pending(self) -> tuple[int, ...]:
        """The bits set at or above n, which no vector can ever deliver."""
        return self._pending_bits(self.vectors, 8 * len(self.pba))

    def _pending_bits(self, start: int, end: int) -> tuple[int, ...]:
        return tuple(bit for bit in range(start, end) if self.pba[bit // 8] >> bit % 8 & 1)

    def with_entry(self, vector: int, entry: MsixEntry) -> MsixState:
        """The same state with one entry replaced. Raises UsageError where there is no such vector."""
        self._check(vector)
        return replace(self, entries=(*self.entries[:vector], entry, *self.entries[vector + 1 :]))

    def with_pending(self, vectors: Iterable[int]) -> MsixState:
        """The same state with exactly `vectors` pending among the n; bits at or above n stay.

        Raises UsageError where one of them is not there.
        """
        bits = bytearray(len(self.pba))
        for vector in vectors:
            self._check(vector)
            bits[vector // 8] |= 1 << vector % 8
        for stray in self.stray_pending:
            bits[stray // 8] |= 1 << stray % 8
        return replace(self, pba=bytes(bits))

    def _check(self, vector: int) -> None:
        if not 0 <= vector < self.vectors:
            there = f"a vector from 0 to {self.vectors - 1}" if self.vectors else "none: there are no vectors"
            raise UsageError("vector", expected=there, found=vector)
