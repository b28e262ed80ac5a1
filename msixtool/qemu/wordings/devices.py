"""The devices: PCI configuration space, virtio, and the checks of single devices.

Source: QEMU hw/pci/pci.c (get_pci_config_device, get_pci_irq_state), hw/virtio/virtio.c, virtio-pci.c and
virtio-mem.c, hw/net/virtio-net.c and e1000e.c, hw/nvme/ctrl.c, hw/pci/msix.c, target/i386/kvm/kvm.c.
"""

from __future__ import annotations

from msixtool.qemu.wordings.wording import HEX, NAME, NUMBER, Role, wording

_BYTE = r"[0-9a-fA-F]{1,2}"

DEVICES = (
    wording(
        "config-space",
        rf"(?:get_pci_config_device: )?Bad config data: i=0x(?P<offset>[0-9a-fA-F]{{1,8}})"
        rf" read: (?P<source>{_BYTE}) device: (?P<target>{_BYTE})"
        rf"(?: cmask: (?P<cmask>{_BYTE}))?(?: wmask: (?P<wmask>{_BYTE}))?"
        rf"(?: w1cmask: ?(?P<w1cmask>{_BYTE}))?",
        "Bad config data",
        base=16,
        since=(2, 4),
    ),
    wording(
        "irq-state",
        rf"irq state (?P<source>{NUMBER}): must be 0 or 1",
        "must be 0 or 1",
        base=10,
    ),
    # virtio
    wording(
        "features",
        rf"Features 0x(?P<source>{HEX}) unsupported\. Allowed features: 0x(?P<target>{HEX})",
        "Allowed features: 0x",
        base=16,
    ),
    wording(
        "queue-size",
        rf"VQ (?P<queue>{NUMBER}) vring\.num (?P<source>{NUMBER}) exceeds allocated max (?P<target>{NUMBER})",
        "exceeds allocated max",
        base=10,
        since=(11, 0),
    ),
    wording(
        "queue-address",
        rf"VQ (?P<queue>{NUMBER}) address 0x0 inconsistent with Host index 0x(?P<source>{HEX})",
        "inconsistent with Host index",
        base=16,
    ),
    wording(
        "queue-index",
        rf"VQ (?P<queue>{NUMBER}) size 0x(?P<size>{HEX}) Guest index 0x(?P<source>{HEX}) inconsistent with"
        rf" Host index 0x(?P<target>{HEX}): delta 0x(?P<delta>{HEX})",
        "inconsistent with Host index",
        base=16,
    ),
    wording(
        "queue-used",
        rf"VQ (?P<queue>{NUMBER}) size 0x(?P<size>{HEX}) < last_avail_idx 0x(?P<source>{HEX})"
        rf" - used_idx 0x(?P<target>{HEX})",
        "last_avail_idx 0x",
        base=16,
    ),
    *(
        wording(
            "queue-count", rf"Invalid number of {what}: 0x(?P<source>{HEX})", f"number of {what}: 0x", base=16
        )
        for what in ("virtqueues", "PCI queues")
    ),
    wording(
        "config-length",
        rf"Unexpected config length 0x(?P<source>{HEX})\. Expected 0x(?P<target>{HEX})",
        "Unexpected config length",
        base=16,
        until=(2, 0),
    ),
    wording(
        "property-changed",
        rf"Property '(?P<field>{NAME})' (?:size )?changed from (?P<source>0x{HEX}|{NUMBER})"
        rf" to (?P<target>0x{HEX}|{NUMBER})",
        "Property ",
        base=0,
        since=(5, 1),
    ),
    wording(
        "net-queues",
        rf"virtio-net: curr_queue(?:_pair)?s (?P<source>{HEX}) > max_queue(?:_pair)?s (?P<target>{HEX})",
        "virtio-net: curr_queue",
        base=16,
    ),
    wording(
        "net-header",
        r"virtio-net: saved image requires (?P<field>vnet_hdr=on|TUN_F_UFO support)",
        "virtio-net: saved image requires",
    ),
    wording(
        "msix-assertion",
        r"(?P<function>msix_[a-z_]{3,40}): Assertion `vector < dev->msix_entries_nr' failed",
        "vector < dev->msix_entries_nr",
        since=(7, 2),
    ),
    # Single devices
    wording(
        "subsystem",
        r"Cannot migrate while device properties \(subsys/subsys_ven\) differ",
        "Cannot migrate while device properties",
    ),
    wording(
        "nvme-queues",
        r"inconsistent migration stream \((?P<field>[^)\n]{1,60})",
        "inconsistent migration stream",
        since=(11, 0),
    ),
    wording(
        "tsc",
        rf"TSC frequency mismatch between VM \((?P<source>{NUMBER}) kHz\) and host"
        rf" \((?P<target>{NUMBER}) kHz\)",
        "TSC frequency mismatch",
        Role.NOTE,
        base=10,
    ),
    wording(
        "tsc-setting",
        r"Mismatch between user-specified TSC frequency and migrated TSC frequency",
        "user-specified TSC frequency",
    ),
    wording(
        "msr",
        rf"error: failed to set MSR 0x(?P<register>{HEX}) to 0x(?P<source>{HEX})",
        "failed to set MSR 0x",
        base=16,
    ),
    wording(
        "nested-state",
        r"(?:Received (?:nested state (?:size less than min|when kernel cannot restore it)"
        r"|unsupported nested state size|invalid nested state format)"
        r"|vCPU set in guest-mode inconsistent with migrated kernel nested state|Failed to set nested state)",
        "nested state",
    ),
    wording(
        "storage-keys",
        rf"Unexpected storage key (?:data|flag data): (?P<source>{HEX})",
        "Unexpected storage key",
        base=16,
    ),
)
