"""libvirt, Proxmox, nova, KubeVirt and virt-manager: their refusals, and how they tell of a failure.

Source: libvirt src/qemu/ and src/cpu/, Proxmox qemu-server PVE/QemuMigrate.pm, nova/virt/libvirt, KubeVirt
pkg/virt-handler.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import CONSEQUENCE, family
from msixtool.tasks.finding import Code

MANAGEMENT = (
    family(
        "cpu-comparison",
        "The host compared the VM's CPU with its own before QEMU was asked, and refused: this host's CPU"
        " does not offer what the VM's CPU model or features ask for.",
        "Use a CPU model that both hosts have (virsh hypervisor-cpu-baseline computes one) instead of"
        " host-model or host-passthrough, or a target host with the same processor, microcode and kernel.",
        "CPU is incompatible with host CPU*", "guest and host CPU are not compatible*",
        "Host CPU does not provide required features*", "the CPU is incompatible with host CPU*",
        "*CPU doesn't have compatibility*", "Unacceptable CPU info*", "*incompatible with host CPU*",
        "Unable to determine CPU features*", "host doesn't support requested feature*",
        "*unsupported CPU model*", "unknown CPU model*", "Unknown CPU model*", "CPU feature*not found",
        "*CPU*incompatible*", "*unable to find CPU definition*", "CPU model*not supported*",
        "Host doesn't support requested features",
        section="cpu", field="cpu",
    ),
    family(
        "machine-missing",
        "The target's QEMU does not have the machine type that the VM was started with.",
        "Use a QEMU on the target that has it (at least as new as the source's, from the same"
        " distribution: the names rhel, ubuntu or kvm in it are such a distribution's own), or change the"
        " VM's machine type and start it afresh.",
        "unsupported machine type*", "Unsupported machine type*", "*does not support machine type*",
        "Emulator*does not support machine*", "machine type '*' does not exist*",
        "Machine type '*' is not supported*", "emulator*machine type*not supported*",
        "Installed QEMU version * is too old to run machine type *", "is too old to run machine type*",
        code=Code.MACHINE_TYPE, field="machine",
    ),
    family(
        "property-missing",
        "The target's QEMU does not know a property, device or option of the command line that the VM was"
        " started with.",
        "Use a QEMU on the target at least as new as the source's, or leave out what it does not know on"
        " both sides (a newer machine type needs the newer QEMU).",
        "can't apply global*", "Property '*' not found*", "Property*not found",
        "is not a valid device model name*", "invalid option*", "Invalid parameter '*'",
        "Device '*' not found*", "Could not*command line*", "Parameter*is missing",
    ),
    family(
        "security-driver",
        "The target's libvirt has no security driver (SELinux, AppArmor) of the kind that the VM runs"
        " with, or may not label what the VM uses.",
        "Use the same security driver on both hosts (security_driver in qemu.conf), and see the audit log"
        " for denials.",
        "Unable to find security driver for model*", "unable to set security context*", "security label*",
        "Setting different SELinux label*", "*apparmor*profile*", "cannot load AppArmor profile*",
    ),
    family(
        "libvirt-configuration",
        "libvirt on the host that it names does not take the VM's definition.",
        "Give the VM a definition that both hosts' libvirt takes (virsh migrate --xml, --persistent-xml), or"
        " use the same libvirt and QEMU on both.",
        "unsupported configuration: *",
    ),
    family(
        "libvirt-busy",
        "Another job holds the domain in libvirt (a migration, backup or snapshot that has not ended, or a"
        " QEMU that does not answer).",
        "See virsh domjobinfo for the job and end it (virsh domjobabort); where QEMU hangs, see why in its"
        " log.",
        "cannot acquire state change lock*", "Timed out during operation: cannot acquire*",
        "another migration job is already running*", "migration job already executed*",
    ),
    family(
        "same-host",
        "The source and the target are the same host for libvirt: its UUID is the same, as with mainboards"
        " that all have one, or the name of the target leads back to the source.",
        "Give each host its own host_uuid in libvirtd.conf (or virtqemud.conf) and its own host name, and"
        " see that the target's name resolves to the target.",
        "Attempt to migrate guest to the same host*",
    ),
    family(
        "host-network",
        "A network or bridge that the VM's definition names is not there on the target.",
        "Set up the network, bridge or port group of the same name on the target, or give the migration a"
        " definition (--xml) with the one that it has.",
        "Network not found*", "no network with matching name*", "Cannot get interface MTU*",
        "Unable to add bridge*", "Unable to add port * to OVS bridge*", "Unable to create tap device*",
        "*bridge*No such device",
        field="network",
    ),
    family(
        "cancelled",
        "The migration was cancelled: by hand, by a signal or by what manages it (a timeout, a drain that was"
        " given up). Neither QEMU refused anything.",
        "See who cancelled it, and start it again; the VM runs on where it was.",
        "interrupted by signal", "canceled by client", "cancelled by client",
        "migration successfully aborted", "migration out: canceled*", "migration in: canceled*",
        "received interrupt", "was cancelled by the user*", "Live migration was aborted*",
        "Migration was cancelled*",
    ),
    family(
        "ssh-keys",
        "The hosts do not get to each other by ssh: a host key has changed or is not known, or the key that"
        " the migration logs in with is not accepted.",
        "Log in from the source to the target once as the user that migrates (root for Proxmox and libvirt),"
        " by the name and the address that the migration uses, and mend known_hosts and authorized_keys; on"
        " Proxmox: pvecm updatecerts.",
        "Host key verification failed*", "Can't connect to destination address using public key*",
        "Permission denied (publickey*", "REMOTE HOST IDENTIFICATION HAS CHANGED*",
        "Host key for * has changed*",
    ),
    family(
        "local-media",
        "The VM uses something that only this node has: an image of a CD-ROM, or a disk of a local storage.",
        "Take the CD-ROM image out (qm set ID --ide2 none,media=cdrom) or put it on a storage that both nodes"
        " have; local disks can be moved along (qm migrate --with-local-disks --targetstorage).",
        "can't migrate local cdrom*", "can't migrate local disk*",
        "*can't live migrate attached local disks*", "Problem found while scanning volumes*",
        "storage * is not available on node *", "can't migrate '*' - storage * not available*",
        "can't migrate VM with local*", "can't migrate: VM uses local*",
    ),
    family(
        "empty-disk",
        "The disk {device} is empty or read-only (a CD-ROM without a medium, a cloud-init or container"
        " image), and was to be copied along: such a disk cannot be.",
        "Leave it out of the disks that are copied (virsh migrate --migrate-disks), take the medium out, or"
        " have it on storage that both hosts share.",
        "Cannot migrate empty or read-only disk {device}",
        field="{device}",
    ),
    family(
        "has-snapshots",
        "libvirt does not migrate a VM that has snapshots to a host that would not know of them.",
        "Remove them (virsh snapshot-delete, or with --metadata the record alone), or use virsh migrate"
        " without"
        " --undefinesource and define the snapshots again on the target (virsh snapshot-create --redefine).",
        "cannot migrate domain with * snapshots", "cannot migrate domain with * checkpoints",
    ),
    family(
        "migrate-uri",
        "The source's QEMU did not get to the target at {uri}. As a rule the target named itself so (its host"
        " name, as virsh hostname says it there) and the source does not reach it under this name: localhost"
        " leads back to the source.",
        "Say where the target is (virsh migrate … --migrateuri tcp://ADDRESS), or give the target a host name"
        " that resolves on the source (/etc/hosts, migration_host in qemu.conf); and open the ports 49152 to"
        " 49215.",
        "migration to '{uri}' failed: migration failed",
    ),
    family(
        "cpu-pinning",
        "The VM's CPUs or memory are pinned to CPUs or NUMA nodes of the host that the target does not have,"
        " or does not give away.",
        "Give the VM CPUs on the target that are free there (virsh migrate --xml with another vcpupin,"
        " numatune), or migrate it without pinning. With dedicated CPUs both hosts need the same CPU numbers"
        " in releases of KubeVirt before 0.50.",
        "cannot set CPU affinity on process*", "Requested CPU*not*available", "*cpuset*No such*",
        "unable to pin*", "Unable to pin*", "Insufficient*pinned*", "No NUMA node*", "*unable to set NUMA*",
        "*NUMATopology*not fit*",
        field="cpu",
    ),
    family(
        "needs-reset",
        "The guest stopped after it had moved, because of an error inside KVM: what it was about to do there"
        " does not fit the host's processor or the state that came. It cannot go on.",
        "Reset the VM (virsh reset). Before the next migration: the same processor and kernel on both hosts,"
        " or a named CPU model instead of host-passthrough; with nested virtualisation see the kvm module's"
        " nested setting.",
        "Resetting the Virtual Machine is required", "KVM: entry failed, hardware error*",
        "KVM internal error*",
        rank=CONSEQUENCE - 1,
    ),
    family(
        "virtfs",
        "The guest has mounted a directory of the host by 9p (VirtFS), whose state cannot be saved.",
        "Unmount it in the guest before the migration or snapshot (the mount_tag is in the message), or use"
        " virtiofs with a QEMU and virtiofsd that can migrate it.",
        "when VirtFS export path*", "VirtFS*mounted*",
    ),
    family(
        "vm-locked",
        "Proxmox holds a lock on the VM: of a migration, backup or snapshot that runs or was broken off.",
        "Wait for the task that holds it; where none runs any more: qm unlock ID.",
        "VM is locked (*", "VM * is locked*", "unable to acquire lock*", "can't lock file*got timeout",
    ),
    family(
        "libvirt-tunnel",
        "libvirt refused the migration for what was asked for: its flags, the target's connection, or the"
        " state that the domain is in.",
        "Read the message: it names the flag or the state. virsh domjobinfo and virsh list --all on both"
        " hosts show what is left.",
        "*domain*is already*", "already exists with uuid*", "domain '*' already exists*", "*already defined*",
        "*Cannot migrate*", "cannot migrate*", "*operation invalid*", "Operation not supported: *",
        "*migration*not supported*", "*is not migratable*", "Requested operation is not valid*",
        "migration*disabled*", "Cannot perform*", "*DestinationDiskExists*", "*Migration pre-check error*",
        "*Unable to migrate*",
        rank=CONSEQUENCE - 1,
    ),
    family(
        "save-image",
        "The saved image cannot be restored here: it is damaged, incomplete, or was made by another"
        " libvirt or compression.",
        "virsh save-image-dumpxml shows its definition; take a copy that is whole, and have the"
        " compression program there.",
        "image magic is incorrect*", "save image is incomplete*", "*save image*",
        "failed to read qemu header*", "image version*not supported*", "Invalid compressed save format*",
        "*managed save*",
        code=Code.STREAM,
    ),
    family(
        "migration-job",
        "The migration failed, and this line does not say why: it repeats what QEMU on one of the two"
        " hosts said, or only that it ended.",
        "The reason stands in QEMU's log on the target host (libvirt: /var/log/libvirt/qemu/NAME.log) or,"
        " if nothing is there, on the source; give both: msixtool explain SOURCE.log TARGET.log.",
        "operation failed: job 'migration*' unexpectedly failed",
        "operation failed: job '*' unexpectedly failed", "operation failed: migration*job*failed",
        "operation failed: migration*", "migration out job: *", "operation aborted: migration*",
        "job 'migration out'*", "job 'migration in'*", "migration job: unexpectedly failed",
        "online migrate failure*", "migration status error: failed*", "TASK ERROR: migration*",
        "migration problems", "Live Migration failure:*", "Live migration failed*",
        "Migration operation has aborted", "Migration of instance*failed*", "*migration failed*",
        "Migration failed*", "*Migration error*", "ERROR: migration finished with problems*",
        "migration aborted*", "Migration*aborted*", "*migrate failed*", "failed to migrate*",
        "Failed to migrate*", "error encountered during MigrateToURI3*", "*MigrateToURI*",
        "*VMI migration*failed*", "*Error during migration*", "*Error in migration*", "migrate: *",
        "Could not restore device state*", "*Live Migration*", "*failed to perform*migration*",
        rank=CONSEQUENCE,
    ),
)  # fmt: skip
"""The refusal before how it is told."""
