"""virtio and vhost: rings, requests, features, back-ends.

Source: QEMU hw/virtio/, hw/net/virtio-net.c, hw/block/vhost-user-blk.c, hw/scsi/vhost-*.c,
hw/display/virtio-gpu*.c, net/.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import family

OF_VIRTIO = (
    family(
        "back-end-state",
        "The vhost-user back-end of the device (virtiofsd, for instance) could not save or take over its"
        " state: the back-end process on that side says why in its own log.",
        "For virtiofsd: give the target the same shared directory with the same content (migration finds"
        " files by path, or by handle with --migration-mode=file-handles), or let it go on with"
        " --migration-on-error=guest-error; use the same version on both sides. Otherwise the back-end's"
        " log tells what it refused.",
        "Error loading back-end state*", "Error saving back-end state*",
        "Back-end failed to process its internal state", "Back-end*failed*state*",
        "Failed to load state:*virtiofsd*", "back-end state*", "Failed to initiate*state transfer*",
        "*back-end*transfer*state*", "Failed to read from*back-end*", "migrating*back-end*",
    ),
    family(
        "back-end-no-migration",
        "A vhost-user back-end does not support migration, so that the VM cannot be saved with it.",
        "Use a back-end that offers migration (a virtiofsd of version 1.11 or newer, QEMU 8.2 or newer),"
        " or unplug the device and unmount its file system in the guest before.",
        "does not support migration through qemu", "Migration disabled: vhost*",
        "vhost-user*does not support migration*", "Migration disabled: vhost lacks VHOST_F_LOG_ALL feature*",
        "VHOST_USER_PROTOCOL_F_LOG_SHMFD*", "migration of virtiofs*", "migration with virtiofs*",
        "virtiofs*migration is not supported*", "cannot migrate a domain with virtiofs*",
        "filesystem*doesn't support migration*",
    ),
    family(
        "vhost",
        "vhost, which serves the device outside of QEMU (in the host's kernel, or as a vhost-user"
        " back-end), failed to start, to stop or to hand over its rings: the kernel or the back-end"
        " refused, or the back-end's process has gone.",
        "See whether the back-end's process runs on that host, and read its log (and dmesg for vhost in"
        " the kernel). Back-end and kernel need the same features and the same queue number on both sides.",
        "Unable to start vhost*", "vhost_*failed*", "vhost*set_*failed*", "Error start vhost dev",
        "Error starting vhost*", "Error binding guest notifier*", "Error enabling host notifiers*",
        "binding does not support guest notifiers", "Error setting inflight*", "Error set inflight*",
        "Error getting inflight*", "Error get inflight*", "set device config space failed",
        "get device config space failed", "get config space failed", "get block config failed",
        "vhost guest notifier cleanup failed*", "vhost*initialization failed*", "Reconnecting after error*",
        "unable to start vhost*", "Failed to read msg*", "failed to init vhost_*", "vhost VQ*",
        "Failed to write msg*", "Failed to set msg fds*", "vhost-user*", "vhost_user*", "VHOST_USER_*",
        "vhost*backend*", "vhost*lacks*", "vhost-vdpa*", "vhost_vdpa*", "vhost*dirty*",
        "Received unexpected msg type*", "Received bad msg size*", "Device expects VHOST_USER*",
        "IOMMU support requires reply-ack*", "unexpected error, opcode*", "Failed to update device config*",
        "Failed to set inflight*", "Unable to set vhost*", "Cannot initialize vhost-user*", "postcopy*vhost*",
        "Failed to receive reply to postcopy_*", "*postcopy reply*", "backend not capable of postcopy*",
        "Unexpected msg type. Expected *", "Received unexpected message type*", "Received bad message size*",
        "Failed to * SET_DEVICE_STATE_FD *", "Failed to * CHECK_DEVICE_STATE *",
        "Failed to set up state transfer pipe*", "Failed to get back-end-provided transfer pipe*",
        "The maximum number of queues supported by the backend*",
        "The backend specified a max ram slots limit*",
        "vhost transport does not support migration state transfer", "Bad session id*",
        "Failed to get mem fd", "Failed to mmap mem fd", "Failed to get dmabuf fd",
        "Fail to update device iotlb*", "Fail to invalidate device iotlb*",
        "tap: open vhost char device failed*", "failed to init*vhost*",
        "you are asking more queues than supported*", "invalid number of IO queues", "queue size must*",
        "unable to init*vhost*", "Invalid host notifier*", "you may need*vhost*", "Unsupported opcode*",
        "invalid scanout*", "failed to read msg*", "console doesn't support*", "socketpair() failed",
        "Failed to make socket chardev", "EDID requested but the backend*", "Back-end*",
        "chardev is mandatory", "*Unable to*guest notifier*", "failed to start vhost*", "Unable to*vring*",
        "Received*vring*", "backend*VHOST*", "*backend config change*", "Unable to disable vhost*",
        "extended features without device support", "Failed to receive state", "Failed to read state",
        "Failed to send state*", "vhost-net requested but could not be initialized", "vhostfd*",
    ),
    family(
        "virtio-ring",
        "A virtqueue of the device holds a request or a descriptor that cannot be: the ring in guest"
        " memory and the state of the device do not go together. As a rule the guest's memory is not the"
        " one that belongs to this state (pages missing or changed after it was saved), else the guest's"
        " driver wrote it.",
        "Check that the guest's memory came whole: the same stream, not a snapshot beside newer RAM; with"
        " shared or mapped memory give the target the source's file. A reset of the device in the guest"
        " (reload its driver) sets the ring up anew.",
        "Guest moved used index from*", "Guest says index*", "Looped descriptor",
        "Invalid size for indirect buffer table", "Desc next is*", "Virtqueue size exceeded",
        "virtio: zero sized buffers*", "virtio: bogus descriptor*", "virtio: error trying to map MMIO memory",
        "Cannot map descriptor ring", "Region caches not initialized", "Found outstanding elements after*",
        "virtqueue*", "virtio*headers*", "Incorrect order for descriptors", "virtio-blk*request*",
        "virtio*missing headers", "virtio*incorrect*", "*out of bounds*virtqueue*", "Cannot map packed ring*",
        "Invalid virtqueue*", "Failed to map avalaible ring*", "Failed to map descriptor ring*",
        "Failed to map used ring*", "indirect_desc was not negotiated*", "Too many*descriptors*",
        "Device*: vring*", "Found invalid*descriptor*", "wrong size for*request*", "Bad*virtqueue*",
        "virtio*request*", "available ring*", "Cannot*virtio*ring*", "Unexpected number of virtqueues*",
        "invalid*virtqueue*", "Cannot map desc", "Cannot map used", "Cannot map avail",
        "Cannot map indirect buffer", "virtio: too many write descriptors*",
    ),
    family(
        "virtio-mem-layout",
        "A virtio-mem or memory device is not set up on the target as it was on the source.",
        "Give the target's device the source's memaddr=, block-size=, size, requested-size= and node=, and"
        " its memory backend the source's size.",
        "virtio-mem*", "*memory device*address*", "Property '*' changed from*", "virtio_mem*",
        "*virtio-mem device*", "Proper preallocation with migration requires a newer QEMU machine",
    ),
    family(
        "virtio-net-backend",
        "The network back-end of the device is not as the guest's driver uses it: the number of queue"
        " pairs, the vnet header, offloads or RSS differ.",
        "Give the target's -netdev the source's kind, queues= and vnet_hdr=, and the device its mq= and"
        " rss=.",
        "virtio-net: saved image*", "Can't load eBPF RSS*", "Can't post-load eBPF RSS*",
        "couldn't unplug primary device", "couldn't find primary bus", "virtio-net: *", "virtio_net*",
        "*TUN_F_*", "*passt*", "failed to set vnet hdr len*", "TUNSETOFFLOAD*", "TUNSETQUEUE*", "tap*failed*",
        "peer*vnet*", "*vhost char device*", "TUNGETFEATURES*", "TUNGETIFF*", "TUNSETSNDBUF*", "TUNSETVNET*",
        "TUNSETSTEERINGEBPF*", "vnet_hdr=*requested*", "no kernel support for IFF_*",
        "mq_required requested*", "could not configure*", "could not * queue",
        "could not launch network script*", "network script * failed*", "Failed to set FD nonblocking",
        "Can't use file descriptor*", "No space on device queue", "could not open*tun*",
        "Unable to query*TUN*",
    ),
    family(
        "virtio-gpu",
        "The graphics device's scanouts or resources in the stream do not fit the target's device, or its"
        " acceleration (virgl, blob, venus) cannot be migrated.",
        "Use virtio-gpu without virgl/blob (virtio-vga, virtio-gpu-pci; in libvirt <gl enable='no'/> and"
        " accel3d='no'), the same max_outputs= and machine version on both sides.",
        "virgl is not yet migratable", "*illegal scanout*", "UDMABUF*", "dmabuf mmap failed*",
        "invalid max_outputs*", "invalid outputs*", "virtio-gpu*", "virtio_gpu*",
    ),
    family(
        "virtio-setup",
        "A virtio device was refused as it was set up: its features, status, queues or notifiers are not"
        " what the guest's driver agreed to.",
        "Give the target's device the source's properties, with the same machine version.",
        "Invalid number of queues*", "invalid virtqueue_size*", "*host notifier*", "*guest notifier*",
        "virtio*not supported*", "virtio_*", "virtio-*failed*", "*iommu_platform*", "Guest notifier*",
        "virtio bus*", "*VIRTIO_*", "features*not*offered*", "Device*features*unsupported*",
        "*features 0x*unsupported*", "virtio-pci*",
    ),
    family(
        "ivshmem",
        "ivshmem with the role of a peer (master=off) cannot be migrated.",
        "Unplug it before the migration, or give the VM that is migrated master=on.",
        "'peer' devices are not migratable",
    ),
)  # fmt: skip
"""By what is to be done, the special before the general."""
