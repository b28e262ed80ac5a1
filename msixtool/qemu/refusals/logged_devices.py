"""Sentences on devices, and on what happens beside a load."""

from __future__ import annotations

from msixtool.qemu.refusals.refusal import Code, Refusal

_ONE_CPU = (
    "Give the target the source's -cpu, on a host whose kernel and processor offer what the source's did."
)

DEVICES: dict[str, Refusal] = {
    "config-length": Refusal(
        Code.FIELD_MISMATCH,
        "The configuration of {it} is {source} bytes long in the stream and {target} in the target.",
        None,
        field="config_len",
    ),
    "property-changed": Refusal(
        Code.FIELD_MISMATCH,
        "The property {field} of {it} is {source:#x} in the source and {target:#x} in the target.",
        "Start the target with {field}={source}.",
        field="{field}",
    ),
    "net-queues": Refusal(
        Code.FIELD_MISMATCH,
        "The guest uses {source} queue pairs of {it}, and the target has {target}.",
        "Give the target's network backend queues={source} or more, and the device mq=on.",
        field="curr_queue_pairs",
    ),
    "net-header": Refusal(
        Code.FIELD_MISMATCH,
        "The source's network backend has {field}, and the target's has not.",
        "Give the target a backend of the source's kind (a tap with vnet_hdr=on).",
        field="has_vnet_hdr",
    ),
    "subsystem": Refusal(
        Code.FIELD_MISMATCH,
        "The subsystem ids of {it} are not the same on both sides: it is the properties subsys and subsys_ven"
        " that count.",
        "Give the target's e1000e the subsys= and subsys_ven= of the source's.",
        field="subsys/subsys_ven",
    ),
    "nvme-queues": Refusal(
        Code.STREAM, "The queues of {it} contradict each other in the stream: {field}.", None, field="{field}"
    ),
    "tsc": Refusal(
        Code.OTHER,
        "A warning: the VM's time stamp counter ran at {source} kHz, this host's runs at {target} kHz and"
        " cannot be scaled. Where the guest's was fixed (tsc-frequency, invtsc), the load fails.",
        "Use a host with TSC scaling, or with a processor of the same frequency.",
        field="tsc_khz",
    ),
    "tsc-setting": Refusal(
        Code.FIELD_MISMATCH,
        "The target's tsc-frequency is not that of the source.",
        "Start the target with the source's tsc-frequency, or with none.",
        field="tsc_khz",
    ),
    "msr": Refusal(
        Code.OTHER,
        "KVM refused the value {source:#x} of the model-specific register 0x{register}: this host's"
        " processor, kernel or nested setting does not have what the guest's CPU had.",
        _ONE_CPU,
        section="cpu",
        field="MSR 0x{register}",
    ),
    "nested-state": Refusal(
        Code.OTHER,
        "The guest ran guests of its own, and this host's kernel cannot take their state.",
        "Turn nested virtualisation on on this host, or shut the inner guests down first.",
        section="cpu",
        field="nested_state",
    ),
    "storage-keys": Refusal(Code.STREAM, "The guest's storage keys are damaged in the stream.", None),
}

OUTSIDE: dict[str, Refusal] = {
    "blocked-cpu": Refusal(
        Code.OTHER,
        "The VM cannot be saved: its CPU has {field}, which ties it to this host.",
        "Start it without invtsc (-cpu …,invtsc=off), or fix the frequency with tsc-frequency.",
        section="cpu",
        field="invtsc",
    ),
    "blocked-image": Refusal(
        Code.OTHER,
        "The VM cannot be saved: the {format} image of the node {field} cannot be handed over.",
        "Convert the disk to qcow2 or raw.",
        field="{field}",
    ),
    "blocked-replug": Refusal(
        Code.OTHER,
        "A device was to be plugged in or out during the migration, which QEMU refuses; the migration goes"
        " on.",
        "Try again when the migration is over.",
    ),
    "file-transport": Refusal(
        Code.OTHER,
        "fd: was given a regular file, which QEMU 11 refuses.",
        "Use file: instead, or give fd: a pipe or a socket.",
    ),
    "transport": Refusal(
        Code.CAPABILITY,
        "A capability that is on does not go with the address given: it needs {field}.",
        "Use file: for mapped-ram, tcp: or unix: for multifd and postcopy.",
    ),
    "snapshot-missing": Refusal(
        Code.OTHER,
        "There is no snapshot {field} on all of the VM's disks.",
        "List those there are with qemu-img snapshot -l.",
    ),
    "snapshot-disk-only": Refusal(
        Code.STREAM,
        "The snapshot holds the disks alone: there is no VM state in it.",
        "Revert to it with the VM shut down (qemu-img snapshot -a).",
    ),
    "snapshot-device": Refusal(
        Code.OTHER,
        "The disk {field} is writable and cannot hold snapshots, so that the VM has none.",
        "Give it a qcow2 image, or make it read-only.",
    ),
    "json-assertion": Refusal(
        Code.OTHER,
        "QEMU aborted while it wrote the description of the sections: releases 8.2 to 11.1 do so when they"
        " save with migration.send-configuration=off.",
        "Save with -machine suppress-vmdesc=on, or leave send-configuration on.",
    ),
    "libvirt-definition": Refusal(
        Code.FIELD_MISMATCH,
        "libvirt compared the definitions of the VM before it asked QEMU: {field} is {source} in the source"
        " and {target} in the target.",
        "Give the target's definition the source's {field}.",
        field="{field}",
    ),
}
