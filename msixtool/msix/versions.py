"""What differs between QEMU's releases in the behaviour of hw/pci/msix.c.

Each property of `Behaviour` is one difference that can be observed. What is not listed here has
been the same since QEMU 1.2, when the table and the pending bits got regions of their own.
Source: the history of hw/pci/msix.c (before 1.3: hw/msix.c), QEMU 1.2 to 11.1.
"""

from __future__ import annotations

from dataclasses import dataclass

QemuVersion = tuple[int, ...]
"""(major, minor) or (major, minor, micro); a development version counts as the release before it."""

NEWEST: QemuVersion = (11, 1)
"""The newest release that the model was checked against."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour of one QEMU version."""

    version: QemuVersion = NEWEST

    @property
    def needs_bus_master(self) -> bool:
        """Since 2.2 messages pass the function's bus-master address space; before, nothing stopped them."""
        return self.version >= (2, 2)

    @property
    def exclusive_bar_grows(self) -> bool:
        """Since 2.4 the exclusive BAR grows beyond 4 KiB; before, 128 vectors were its limit."""
        return self.version >= (2, 4)

    @property
    def ignores_pba_writes(self) -> bool:
        """Since 2.5 writes to the pending bits are ignored; before, they crashed QEMU (CVE-2015-7549)."""
        return self.version >= (2, 5)

    @property
    def knows_pirqs(self) -> bool:
        """Since 2.6 a vector that Xen remapped to a pirq is never masked."""
        return self.version >= (2, 6)

    @property
    def exact_pba_size(self) -> bool:
        """Since 4.0 the exclusive BAR leaves 8·ceil(n/64) bytes for the pending bits, before 8·(n/8 + 1)."""
        return self.version >= (4, 0)

    @property
    def asserts_vector(self) -> bool:
        """Since 7.2 a vector out of range ends QEMU; before, it was ignored or refused with -EINVAL."""
        return self.version >= (7, 2)

    @property
    def rollback_clears_poll(self) -> bool:
        """Since 8.2 (and 7.2.8) notifiers that could not be set leave no poll notifier behind."""
        return self.version >= (8, 2) or (7, 2, 8) <= self.version < (7, 3)

    @property
    def exact_poll_range(self) -> bool:
        """Since 10.0 (and 7.2.16) a PBA read polls up to bit 8·(address + size), before address + 8·size."""
        return self.version >= (10, 0) or (7, 2, 16) <= self.version < (7, 3)

    @property
    def wide_vector_count(self) -> bool:
        """Since 10.2 (and in 10.0.7 of the stable branch) the number of vectors is not cut to 16 bits."""
        return self.version >= (10, 2) or (10, 0, 7) <= self.version < (10, 1)
