"""How the state of nearly every PCI device begins: PCIDevice, of a port its AER log, then the MSI-X state.

Source: QEMU hw/pci/pci.c (vmstate_pci_device), hw/pci/pcie_aer.c (vmstate_pcie_aer_log), hw/pci/msix.c
(vmstate_msix); virtio_pci_save_config of hw/virtio/virtio-pci.c begins so too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from construct import Array, Int16ub, Int32ub, Struct, this

from msixtool.formats import members, msix, pci, vmstate
from msixtool.formats.layout import Field, Layout

AER_ERROR = Struct(
    "status" / Int32ub,
    "source_id" / Int16ub,
    "flags" / Int16ub,
    "header" / Array(4, Int32ub),
    "prefix" / Array(4, Int32ub),
)
AER_LOG_HEAD = Struct("log_num" / Int16ub, "log_max" / Int16ub)
AER_LOG = Struct(*AER_LOG_HEAD.subcons, "log" / Array(this.log_num, AER_ERROR))
"""A PCIEAERLog in a port's vmstate (hw/pci/pcie_aer.c)."""


@lru_cache(maxsize=64)
def schema(config_size: int, vectors: int, *, aer_log: bool = False) -> Any:
    """`pci`, with `aer_log` that of a port, and `msix` where there are vectors."""
    parts = ["pci" / pci.device_vmstate(config_size)]
    if aer_log:
        parts.append("aer_log" / AER_LOG)
    if vectors:
        parts.append("msix" / msix.vmstate(vectors))
    return Struct(*parts)


_TYPES = {"version_id": "int32 le", "config": vmstate.PCI_CONFIG, "irq_state": vmstate.IRQ_STATE}


def device_layout(config_size: int) -> Layout:
    """PCIDevice as a vmdesc has it."""
    places = members(pci.device_vmstate(config_size))
    fields = tuple(Field(name, _TYPES[name], *place) for name, place in places.items())
    return Layout("PCIDevice", fields, version=pci.DEVICE_VERSION)


def msix_layout(vectors: int) -> Layout:
    """The MSI-X state as a vmdesc has it."""
    return Layout("msix", (Field("msix", vmstate.MSIX_STATE, 0, msix.vmstate_size(vectors)),), version=0)
