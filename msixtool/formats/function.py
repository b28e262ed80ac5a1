"""How the state of nearly every PCI device begins: PCIDevice, of a port its AER log, then the MSI-X state.

Source: QEMU hw/pci/pci.c (vmstate_pci_device), hw/pci/pcie_aer.c (vmstate_pcie_aer_log), hw/pci/msix.c
(vmstate_msix); virtio_pci_save_config of hw/virtio/virtio-pci.c begins so too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from construct import Array, Struct, this

from msixtool.formats import msix, pci
from msixtool.formats.layout import Field, Layout, laid_out

AER_LOG = Struct(*pci.AER_LOG_HEAD.subcons, "log" / Array(this.log_num, pci.AER_ERROR))


@lru_cache(maxsize=64)
def schema(config_size: int, vectors: int, *, aer_log: bool = False) -> Any:
    """`pci`, with `aer_log` that of a port, and `msix` where there are vectors."""
    members = ["pci" / pci.device_vmstate(config_size)]
    if aer_log:
        members.append("aer_log" / AER_LOG)
    if vectors:
        members.append("msix" / msix.vmstate(vectors))
    return Struct(*members)


def device_layout(config_size: int) -> Layout:
    """PCIDevice as a vmdesc has it."""
    fields = (
        Field("version_id", "int32 le", 0, 4),
        Field("config", "pci config", 0, config_size),
        Field("irq_state", "pci irq state", 0, 4 * pci.INTX_PINS),
    )
    return Layout("PCIDevice", laid_out(fields), version=2)


def msix_layout(vectors: int) -> Layout:
    """The MSI-X state as a vmdesc has it."""
    return Layout("msix", (Field("msix", "msix state", 0, msix.vmstate_size(vectors)),), version=0)
