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
        "unable to find CPU definition", "Host doesn't support requested features",
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
        "Machine type '*' is not supported*", "unsupported machine type",
        "emulator*machine type*not supported*",
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
        "argument unsupported: parameter*not supported*", "unsupported configuration: *",
        "argument unsupported*",
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
        "Unable to add bridge*", "Unable to create tap device*", "*bridge*No such device",
        field="network",
    ),
    family(
        "security-driver",
        "The target's libvirt has no security driver (SELinux, AppArmor) of the kind that the VM runs"
        " with, or may not label what the VM uses.",
        "Use the same security driver on both hosts (security_driver in qemu.conf), and see the audit log"
        " for denials.",
        "Unable to find security driver for model*", "unable to set security context*", "security label*",
        "Setting different SELinux label*", "*apparmor*profile*",
    ),
    family(
        "libvirt-tunnel",
        "libvirt refused the migration for what was asked for: its flags, the target's connection, or the"
        " state that the domain is in.",
        "Read the message: it names the flag or the state. virsh domjobinfo and virsh list --all on both"
        " hosts show what is left.",
        "*domain*is already*", "already exists with uuid*", "domain '*' already exists*",
        "*already defined*", "*Cannot migrate*", "cannot migrate*", "*operation invalid*",
        "Operation not supported: *", "*migration*not supported*", "*is not migratable*",
        "Requested operation is not valid*", "migration*disabled*", "Cannot perform*",
        "*DestinationDiskExists*", "*Migration pre-check error*", "*Unable to migrate*",
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
        "Migration failed*", "migration failed*", "*Migration error*",
        "ERROR: migration finished with problems*", "migration aborted*", "Migration*aborted*",
        "*migrate failed*", "failed to migrate*", "Failed to migrate*",
        "error encountered during MigrateToURI3*", "*MigrateToURI*", "*VMI migration*failed*",
        "*Error during migration*", "*Error in migration*", "migrate: *", "Could not restore device state*",
        "*Live Migration*", "*failed to perform*migration*",
        rank=CONSEQUENCE,
    ),
)  # fmt: skip
"""The refusal before how it is told."""
