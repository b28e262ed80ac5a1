"""Disks: locks, activation at switch-over, mirrors, dirty bitmaps, snapshots.

Source: QEMU block.c, block/file-posix.c, block/io.c, block/qcow2*.c, block/nbd.c, block/mirror.c,
migration/block*.c,
migration/savevm.c; libvirt src/qemu/qemu_migration.c and src/locking.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import family

STORAGE = (
    family(
        "image-lock",
        "A disk's image file is locked by another process: as a rule the QEMU of the other side still has"
        " the image open for writing (it has not given it up, or was started twice), or qemu-img or a"
        " backup uses it.",
        "Find who holds the lock (fuser, lslocks on the hosts; on NFS also the other host) and end it."
        " During a migration the source gives it up at switch-over: see why it did not. Disks that two VMs"
        " share need share-rw=on (libvirt: <shareable/>).",
        'Failed to get "*" lock', 'Failed to get shared "*" lock', "Is another process using the image*",
        "Failed to lock byte*", "Failed to unlock byte*", "Failed to get*lock*",
        "Unexpected error in raw_check_lock_bytes*", "image lock*", "unable to lock resource*",
        "resource busy: Lockspace*", "Failed to acquire lock*", "error acquiring lock*",
        "resource busy*lock*", "can't lock file*", "can't get lock*",
        field="image lock",
    ),
    family(
        "disk-missing",
        "A file of this host that the VM's definition or the command names (a disk's image, a device of the"
        " host, the file of a stream) is not there, or may not be opened.",
        "Put the image at the same path on the target (shared storage mounted, or copied along: virsh migrate"
        " --copy-storage-all), with the owner and labels that QEMU runs with.",
        "Could not open '*'", "Could not create '*'", "Unable to open *: No such file or directory",
        "Cannot access storage file*", "cannot access storage*", "Failed to open file*",
        "cannot stat*", "Unable to access storage*", "*backing file*", "storage '*' is not available*",
        "no such volume*", "volume*does not exist*", "Could not*backing*",
        field="disk",
    ),
    family(
        "bitmap",
        "A dirty bitmap (of incremental backups) could not be handed over: it is missing, busy or another"
        " one on the target, or its node has another name.",
        "Stop backup jobs before the migration; give the target the source's node-name= for each disk, or"
        " map them (block-bitmap-mapping); remove a bitmap of the same name that the target's image"
        " already has (block-dirty-bitmap-remove), or switch the capability dirty-bitmaps off.",
        "*dirty bitmap*", "*bitmap*alias*", "*bitmap '*", "Bitmap*", "*block-bitmap-mapping*",
        "Unable to read bitmap*", "*bitmap migration*", "bitmap*name*", "Dirty bitmap*", "dirty_bitmap*",
        "Invalid mapping given for block-bitmap-mapping*", "The node alias '*' is*", "The node name '*' is*",
        "Failed to read bitmap bits", "Unable to read node alias string", "Unknown node alias*",
        "block device name is not set", "MSG_RP_RECV_BITMAP*",
        field="dirty bitmap",
    ),
    family(
        "disk-handover",
        "At switch-over the disks could not be handed from the source to the target: an image could not be"
        " inactivated on the source, or activated on the target (its file, its format or its storage"
        " refused).",
        "Look for the error of the storage in the lines before, and in the kernel's log: permissions, a"
        " full or missing disk, a job (mirror, backup) that still uses the node. End block jobs before the"
        " migration, and give both sides the same images.",
        "bdrv_inactivate_all() failed*", "bdrv_inactivate*", "bdrv_activate*", "bdrv_invalidate_cache*",
        "Could not reopen*", "Could not inactivate*", "Block node is read-only", "Failed to*inactivate*",
        "Error*inactivat*", "Error*activat*", "*block device activation*", "Could not reopen qcow2 layer",
        "Failed to*bitmaps during inactivat*", "Lost persistent bitmaps*", "Node '*' is busy*",
        "Cannot inactivate*", "Cannot access*child*", "Block device is in use*",
        "block device is in use by migration", "Failed to invalidate*", "Permission conflict*",
        "Conflicts with use by*", "Failed to activate*", "is used as*", "inactive*node*",
        "*image was not closed*", "qcow2: Marking image as corrupt*", "Could not refresh*",
        "Could not*refcount*", "Block inactivate failed during switchover",
        field="disk",
    ),
    family(
        "internal-snapshot",
        "libvirt takes no internal snapshot of this VM, because its firmware is in flash memory (UEFI), or"
        " its memory or a disk is of a kind that an internal snapshot cannot hold.",
        "Take an external snapshot (virsh snapshot-create-as --disk-only --diskspec, --memspec), or give the"
        " VM an nvram in the format qcow2 with a libvirt of 10.10 or newer.",
        "internal snapshots of a VM with pflash*", "*memory filename*requires external snapshot",
        "revert to internal snapshot*not supported*", "internal snapshot for disk*unsupported*",
        "internal snapshot*not supported*",
    ),
    family(
        "snapshot",
        "The snapshot cannot be taken or loaded: a disk cannot hold it, has no space, or does not have the"
        " one that is asked for.",
        "Use qcow2 for every writable disk (pflash variables too), see that no block job runs and that the"
        " storage has space, and list what there is with qemu-img snapshot -l.",
        "Snapshot '*' already exists*", "Could not open VM state file", "Snapshot can not be found",
        "Record/replay does not allow*", "Error while creating snapshot on*",
        "Error while deleting snapshot*", "Error while loading snapshot*",
        "No block device can accept snapshots",
        "no block device can store vmstate for snapshot",
        "No block device node '*'", "No block device supports snapshots",
        "Snapshots are not compatible with*", "vmstate block device*", "There is no device to*",
        "snapshot*does not exist*", "*does not have the requested snapshot*", "Failed to load snapshot*",
        "Failed to*snapshot*", "Could not*snapshot*", "Cannot*snapshot*", "snapshot*failed*",
        "*snapshot*not supported*", "Unable to*snapshot*", "Cannot update device state while vm is running",
        "device list*snapshot*", "No disk*snapshot*", "bdrv_readv_vmstate failed",
        "bdrv_writev_vmstate failed", "Size of VMstate region is unknown",
        "Non-blocking mode not supported for block devices",
    ),
    family(
        "disk-size",
        "A disk of the VM is not as large on the target as on the source: its volume there is smaller, or"
        " another storage rounds its size otherwise.",
        "Make the target's volume the size of the source's to the byte (qemu-img info, blockdev --getsize64),"
        " or larger by resizing the source's disk first.",
        "The sum of offset * and size * must be smaller or equal to the actual size*",
        "Source and target image have different sizes*", "*target volume is smaller*",
        field="disk",
    ),
    family(
        "mirror",
        "The copy of the VM's disks to the target (drive-mirror or blockdev-mirror over NBD) failed before"
        " the state was asked for.",
        "See that the target's NBD port can be reached through the firewall (libvirt: 49152 to 49215), that"
        " the target's disk exists, is as big as the source's and has room, and read the target's log.",
        "*drive-mirror*", "*blockdev-mirror*", "*nbd-server-*", "mirror*failed*", "block job*failed*",
        "migration of disk*failed*", "storage migration failed*", "job failed:*mirror*", "mirroring error*",
        "NBD*", "block job (mirror) error*", "'mirror' has been cancelled", "'mirror' error*",
        "block migration*", "*Block migration*", "blk_*migration*", "*old-style*block migration*",
        "Device is locked*", "Error getting length of block device*", "unknown block device*",
        "Unknown block device*", "Error reading*block device*", "*Target disk*",
        field="disk",
    ),
    family(
        "no-space",
        "There is no space left where the state or the disk is written.",
        "Make room on that host's storage; a state needs as much as the guest has memory in use.",
        "No space left on device", "Disk quota exceeded", "not enough*space*", "Insufficient*space*",
    ),
    family(
        "unsafe",
        "libvirt refuses before it asks QEMU: the VM's disks are on storage or with a cache mode with"
        " which data could be lost (cache other than none or directsync, or local, not shared, storage).",
        "Set cache='none' for the disks, put them on shared storage or migrate them too"
        " (--copy-storage-all); or, where you know it to be coherent, virsh migrate --unsafe.",
        "Unsafe migration:*", "Migration may lead to data corruption*",
        "Migration without shared storage is unsafe", "is not on shared storage*", "*not on shared storage*",
        "*storage*not shared*", "*shared storage*",
        field="disk",
    ),
    family(
        "block-layer",
        "The block layer refused an image or a request.",
        "Read the message: it names the node or file. Check the image with qemu-img check.",
        "*image*corrupt*", "Unknown*image*", "unsupported*image*", "*does not support*live migration*",
        "*format*used by node*",
    ),
)  # fmt: skip
"""By what is to be done."""
