"""The rules of `validate`: their ids, how grave each is, and what it says in one line.

The ids are stable. docs/validate.md tells of each why QEMU or the PCI specification cares.
An error is refused by QEMU, or contradicts the format; a warning loads, but no sound device gets
there by itself, or the guest will miss something; an info is worth knowing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msixtool.stream.items import DamageRule
from msixtool.tasks.finding import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong. `severity` is the gravest with which it is reported."""

    id: str
    severity: Severity
    summary: str


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """A rule that a stream breaks, and where.

    `device` is the idstr of the section concerned, which QEMU calls a device whatever it is;
    `offset` counts bytes in the decoded stream.
    """

    rule: str
    severity: Severity
    message: str
    device: str | None = None
    instance: int | None = None
    vector: int | None = None
    offset: int | None = None

    def to_json(self, base_offset: int = 0) -> dict[str, Any]:
        """A finding of the contract's `msixtool.validate/1`; `base_offset` is added to its offset."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "device": self.device,
            "instance": self.instance,
            "vector": self.vector,
            "offset": None if self.offset is None else self.offset + base_offset,
            "message": self.message,
        }


def _catalogue(severity: Severity, **summaries: str) -> dict[str, Rule]:
    ids = {name.replace("_", "-"): summary for name, summary in summaries.items()}
    return {name: Rule(name, severity, summary) for name, summary in ids.items()}


RULES: dict[str, Rule] = {
    **_catalogue(
        Severity.ERROR,
        container="the container of the stream is damaged",
        configuration="the configuration section makes no sense",
        item="no item of a stream begins where one should",
        command="an unknown command, one of the wrong length, or a package that ends inside an item",
        ram_record="a record of RAM makes no sense",
        section_record="a record of another section with a grammar of its own makes no sense",
        truncated="the stream ends inside an item",
        no_end_marker="the stream ends without an end marker",
        footer_missing="a section has no footer though others have",
        footer_mismatch="a section's footer is that of another section",
        vmdesc="the vmdesc is damaged",
        vmdesc_mismatch="the vmdesc and the sections contradict each other",
        capability_list="the list of PCI capabilities is damaged",
        capability_missing="a device with MSI-X state has no MSI-X capability",
        vector_count="the MSI-X capability and the MSI-X state have different numbers of vectors",
        vector_limit="more vectors than MSI-X can have",
        msix_state="the MSI-X state cannot be read",
        virtio_state="the state of a virtio device cannot be read",
        message_control_reserved="reserved bits of Message Control are set",
        table_pba_overlap="the table and the PBA overlap",
        bar_indicator="the table or the PBA is in a BAR that cannot hold it",
        beyond_bar="the table or the PBA reaches beyond the end of its BAR",
        pci_version="the version of the PCIDevice is one that QEMU refuses",
        irq_state="the level of an INTx pin is neither 0 nor 1",
        virtio_vector="a virtio device uses a vector that it does not have",
        virtio_queue_select="a virtio device has a queue selected that cannot exist",
        virtio_queue_index="a virtqueue without an address has been used",
        run_state="the saved run state is none that QEMU has",
        device_state="a field of a device's state is one that the device refuses",
        ahci_state="an AHCI port is in a state that QEMU refuses",
        ring_out_of_step="the device has taken more of a virtqueue than guest memory says there is",
    ),
    **_catalogue(
        Severity.WARNING,
        trailing_bytes="bytes follow the end of the stream",
        duplicate_section="the same section comes twice",
        ram_fill="a zero record of RAM fills its page with another byte",
        incomplete_image="the save of the image did not finish",
        ahci_bus_master="AHCI ports are started while bus mastering is off, which QEMU up to 9 refuses",
        ring_available="guest memory says that a virtqueue waits with more than it can hold",
        vectors_unused="vectors of a virtio device are live, and none of its queues has one",
        msi_and_msix="MSI and MSI-X are both enabled",
        bus_master_off="MSI-X is enabled and bus mastering is off",
        pending_unmasked="a vector is enabled, unmasked and pending",
        pending_beyond_table="pending bits are set at or above the number of vectors",
        address_zero="an unmasked vector has no message address",
        address_not_msi="an unmasked vector's message address is no interrupt on x86",
        address_unaligned="a message address is not a multiple of 4",
    ),
    **_catalogue(
        Severity.INFO,
        ring_unknown="the rings of virtqueues are not in the stream",
        skipped="how much was skipped after damage",
        no_vmdesc="the stream has no vmdesc",
        unfinished_section="a section that is sent in parts has no end",
        pending_function_masked="vectors of a function that is masked or not enabled are pending",
        vector_control_reserved="reserved bits of Vector Control are set",
    ),
}
"""Every rule by its id."""

assert all(rule.value in RULES for rule in DamageRule)
