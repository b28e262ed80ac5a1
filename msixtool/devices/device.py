"""One device with MSI-X, as a stream holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msixtool.devices.config_space import ConfigSpace, MsixCapability
from msixtool.devices.known import known_kind
from msixtool.devices.virtio import VirtioState
from msixtool.formats import msix, virtio as fmt
from msixtool.msix.state import MsixState
from msixtool.stream.items import Item

if TYPE_CHECKING:
    from msixtool.qemu.kinds.facts import Msix


@dataclass(slots=True, repr=False)
class MsixDevice:
    """A section with an MSI-X state. Offsets are in bytes of the decoded stream.

    `offset` is that of the MSI-X table, `config_offset` that of configuration space;
    `irq_state` has the INTx levels that stand behind it.
    """

    item: Item
    offset: int
    state: MsixState
    config: ConfigSpace | None = None
    config_offset: int | None = None
    version_id: int | None = None
    """Of the PCIDevice in the section."""
    irq_state: tuple[int, ...] = ()
    capability: MsixCapability | None = None
    virtio: VirtioState | None = None

    def __repr__(self) -> str:
        return f"<MsixDevice {self.name[:60]!r}@{self.instance}: {self.state}>"

    @property
    def name(self) -> str:
        return str(self.item.idstr)

    @property
    def instance(self) -> int:
        return self.item.instance_id or 0

    @property
    def kind(self) -> str:
        return self.item.named.kind

    @property
    def profile(self) -> Msix | None:
        """What is known of the MSI-X of this kind of device, or None for a stranger."""
        return known_kind(self.item).msix

    @property
    def vectors_property(self) -> str:
        """The property that says how many vectors it has."""
        return known_kind(self.item).advice.vectors

    @property
    def has_requests(self) -> bool:
        """Whether its virtqueues hold requests alone: what waits there waits for the device."""
        return known_kind(self.item).requests

    @property
    def vectors(self) -> int:
        return self.state.vectors

    @property
    def length(self) -> int:
        """Bytes of table and PBA in the stream."""
        return msix.vmstate_size(self.vectors)

    @property
    def bus_master(self) -> bool | None:
        return None if self.config is None else self.config.bus_master

    @property
    def function_masked(self) -> bool | None:
        return None if self.capability is None else self.capability.function_masked

    def is_masked(self, vector: int) -> bool:
        """What msix_is_masked() would say: the function's mask, or the vector's own bit."""
        return bool(self.function_masked) or self.state.entries[vector].masked

    @property
    def masked(self) -> int:
        """How many vectors are masked, the function mask counted."""
        return sum(self.is_masked(vector) for vector in range(self.vectors))

    @property
    def config_vector(self) -> int | None:
        """The vector of configuration changes; None for none, and for devices that are no virtio."""
        return None if self.virtio is None else _vector(self.virtio.config_vector)

    @property
    def queue_vectors(self) -> tuple[int | None, ...]:
        """The vector of each virtqueue; empty for devices that are no virtio."""
        return () if self.virtio is None else tuple(_vector(queue.vector) for queue in self.virtio.queues)


def _vector(raw: int | None) -> int | None:
    return None if raw == fmt.NO_VECTOR else raw
