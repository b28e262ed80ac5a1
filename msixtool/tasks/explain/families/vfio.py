"""Host devices: what VFIO says, on either side.

Source: QEMU hw/vfio/migration.c, migration-multifd.c, common.c, cpr.c, pci.c; libvirt
src/qemu/qemu_migration.c.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import family

_UNPLUG = "Detach the host device before the migration (virsh detach-device, device_del), attach one after it"

VFIO = (
    family(
        "vfio-kernel",
        "The host's kernel offers no migration for this VFIO device: the driver that it is bound to (plain"
        " vfio-pci as a rule) has no migration support, or the device and its firmware have none.",
        "Bind the device to its vendor's vfio driver (mlx5_vfio_pci, for instance) with a kernel and"
        " firmware that support migration. Otherwise: detach the host device before the migration (virsh"
        " detach-device, device_del), attach one after it, or let a failover pair (net_failover) do it.",
        "VFIO migration is not supported in kernel", "VFIO device doesn't support migration",
        "VFIO device doesn't support device and IOMMU dirty tracking",
        "doesn't support device dirty tracking", "Migration couldn't be initialized for VFIO device*",
        "VFIO migration*not supported*", "No support for VFIO migration*",
        "Migration is disabled for VFIO device*", "VFIO device doesn*migration*",
    ),
    family(
        "vfio-viommu",
        "A VFIO device cannot migrate while a virtual IOMMU is enabled, in this release.",
        "Start the VM without the vIOMMU (intel-iommu, virtio-iommu, smmuv3), or use QEMU 10.0 or newer"
        " with a device that tracks dirty pages itself.",
        "Migration is currently not supported with vIOMMU enabled",
    ),
    family(
        "vfio-several",
        "Several VFIO devices migrate together only where each of them supports peer-to-peer states (P2P).",
        _UNPLUG
        + "; or use devices and a kernel with P2P migration.",
        "Multiple VFIO devices migration is supported only if*", "Multiple VFIO devices*not supported*",
    ),
    family(
        "vfio-cpr",
        "A VFIO device cannot take part in this kind of update of QEMU (CPR) on this host.",
        "Suspend the guest first (cpr-reboot), or use an iommu backend and kernel that support it.",
        "VFIO device only supports cpr-reboot*", "vfio_dma_unmap_vaddr*", "VFIO container does not support*",
        "IOMMU_IOAS_CHANGE_PROCESS", "*does not support VFIO_UPDATE_VADDR*",
        "memory regions do not support IOMMU_IOAS*", "cpr fd*already saved*",
        "cannot find saved value for fd*", "Could not parse object fd*", "cpr_*", "cpr-exec*",
        "execvp*failed", "ignoring cpr channel*", "Setting env*failed", "vfio_notifier_init*",
        "Parameter 'cpr-exec-command' required*",
    ),
    family(
        "vfio-multifd",
        "A VFIO device's state was to travel over multifd channels, and the two sides do not agree on that.",
        "Set x-migration-multifd-transfer= and multifd alike on both sides, with the same QEMU version.",
        "got device state packet but not doing multifd transfer", "Multifd device transfer requested*",
        "*state buffer*already filled", "packet has unknown version*", "packet index is invalid",
        "packet too short at*", "*multifd data queuing failed", "*multifd config data queuing failed",
        "*save config state flush failed*", "*reading state buffer*failed*", "got DEV_CONFIG*",
        "duplicate DEV_CONFIG_LOAD_READY", "queuing state buffer*", "has no load state buffer operation",
        "for load state buffer", "multifd device state transfer*",
    ),
    family(
        "vfio-state",
        "The VFIO device could not save or take over its state: its driver in the host's kernel refused a"
        " change of its state, or the state is of a device with other firmware.",
        "See the kernel's log (dmesg) of that host. Use the same model of device with the same firmware"
        " and the same kernel driver on both hosts.",
        "Failed loading device config space*", "Failed to load device config space",
        "Unable to load device config space", "vfio: Unable*", "data_fd out of sync",
        "Setting device in recover state*", "Recover state is ERROR*", "Failed setting device*state*",
        "Failed to allocate migration data buffer", "Invalid device state*", "*: save setup failed",
        "Failed to save device config space*", "EOS not found*", "Received INIT_DATA_SENT*",
        "qemu_loadvm_approve_switchover failed*", "*: Unknown tag 0x*", "VFIO migration region*",
        "Failed to set state*", "vfio_save_buffer failed*", "Failed to save buffer", "vfio_migration_*",
        "vfio: Failed*", "vfio_load_*", "VFIO_DEVICE_*", "Failed to set dirty tracking flag*",
        "vfio_listener*", "vfio_get_dirty_bitmap*", "*eventfd signaling for interrupt*",
        "Failed to start DMA logging*", "Failed to save state",
    ),
    family(
        "host-device",
        "The VM has a host device (PCI, USB, mediated) assigned, and libvirt or QEMU refuses to migrate it"
        " with it.",
        _UNPLUG
        + "; for network cards use a failover pair, or a device whose driver supports migration.",
        "domain has assigned non-USB host devices", "domain has assigned host devices",
        "cannot migrate*host devic*", "cannot migrate a domain with <hostdev*",
        "Cannot migrate a domain*hostdev*", "cannot migrate domain with*vfio*",
        "cannot migrate local device*", "domain has*hostdev*", "can't migrate VM which uses local devices*",
        "can't migrate running VM which uses mapped devices*", "can't migrate running VM*device*",
        "Cannot migrate VMI*host devices*", "VMI uses*passthrough*", "non-migratable*usb*",
        "PCI*host devices are not supported*migrat*",
    ),
)  # fmt: skip
"""By what is to be done."""
