"""What QEMU refuses of a stream: each refusal once, with its code, its words and its advice.

`load` and `validate` find them in a stream alone, `compat` in two, `explain` by what QEMU logged: all of them
tell them by what stands here. The checks that find them are in tasks/; docs/refusals.md lists all there are.

Source: QEMU migration/savevm.c and ram.c, hw/pci/pci.c (vmstate_pci_device, get_pci_irq_state),
hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c (virtio_pci_load_config, virtio_pci_load_queue),
hw/ide/ahci.c (ahci_state_post_load), migration/global_state.c (global_state_post_load).
"""

from __future__ import annotations

from msixtool.formats.virtio import MAX_QUEUES, NO_VECTOR
from msixtool.qemu.refusals.refusal import Code, Refusal, Severity
from msixtool.qemu.versions import Lifetime, Version

# The configuration section

CONFIGURATION_MISSING = Refusal(
    Code.FIELD_MISMATCH,
    "the source has no configuration section, the target expects one",
    "Start the target with -global migration.send-configuration=off, or save the source again with it on (it"
    " is off for machine types up to 2.3).",
    "configuration",
)
CONFIGURATION_UNREAD = Refusal(
    Code.OTHER,
    "the source has a configuration section, the target expects none",
    "Start the target with -global migration.send-configuration=on, as machine types since 2.4 have it.",
    "configuration",
)
MACHINE = Refusal(
    Code.MACHINE_TYPE,
    "machine type: {source}, the target has {target}",
    "Start the target with -machine {source}.",
    "machine",
)
PAGE_SIZE = Refusal(
    Code.PAGE_SIZE,
    "page size: {source} bytes, the target has {target}",
    "A machine of another page size cannot load this: use the source's architecture, machine type and -cpu.",
    "page_size",
)
CAPABILITY = Refusal(
    Code.CAPABILITY,
    "capability {name}: {there} in the source, {here} in the target",
    "Turn {name} {there} on the target before the load (migrate-set-capabilities).",
    "{name}",
)
CAPABILITY_UNKNOWN = Refusal(
    Code.CAPABILITY,
    "capability {name}: the target does not know it",
    "Save it again with {name} off, or load it in a QEMU that has it.",
    "{name}",
)
UUID = Refusal(
    Code.UUID,
    "UUID: {source}, the target has {target}",
    "Start the target with -uuid {source}, or turn validate-uuid off on the source.",
    "uuid",
)

# RAM

BLOCK_MISSING = Refusal(
    Code.RAM_MISSING, "RAM block {block}{size}: the target has none of this name", field="{block}"
)
BLOCK_SIZE = Refusal(
    Code.RAM_SIZE, "RAM block {block}: {theirs}, the target has {most}{ours}", field="{block}"
)
BLOCK_ADDRESS = Refusal(
    Code.OTHER,
    "RAM block {block}: at address {source:#x}, the target has it at {target:#x}",
    "Start the target with the source's memory devices in the source's order.",
    "{block}",
)

# Sections

SECTION_UNKNOWN = Refusal(Code.SECTION_UNKNOWN, "section {name}{which}: the target has none{but}")
NEWER = "Load it in a QEMU at least as new as the one that saved it, or save it again with"
OLDER_MACHINE = f"{NEWER} an older machine type: newer ones send more."
SECTION_TOO_NEW = Refusal(
    Code.SECTION_VERSION,
    "{what}: version {source}, the target reads up to {target}",
    f"{NEWER} a machine type that both have.",
    "{field}",
)
SECTION_TOO_OLD = Refusal(
    Code.SECTION_VERSION,
    "{what}: version {source}, the target reads none below {target}",
    "The target's QEMU no longer reads this state: load it in an older one, and save it there again.",
    "{field}",
)
SUBSECTION_UNKNOWN = Refusal(
    Code.SUBSECTION_UNKNOWN,
    "subsection {source}: the target's QEMU does not know it",
    OLDER_MACHINE,
    "{source}",
)
FOOTER = Refusal(
    Code.SECTION_LAYOUT,
    "{why}: the target reads {by} the section's end and misses its footer",
    field="{name}",
)
NOT_EQUAL = Refusal(
    Code.FIELD_MISMATCH,
    "{name}: {source}, the target has {target}, and they must be equal",
    field="{name}",
)

NOT_EQUAL_AFTER_LOAD = Refusal(
    Code.FIELD_MISMATCH,
    "{what}: {source:#x}, the target has {target:#x}, and they must be equal",
    field="{name}",
)
NOTHING_THERE = Refusal(
    Code.OTHER, "{name}: the target has nothing there, the source something", field="{name}"
)
CPU_ELEMENTS = Refusal(
    Code.SECTION_LAYOUT,
    "subsection {name}: elements for {source} CPUs, the target has {target}, so that QEMU reads on and misses"
    " the section's footer",
    field="{name}",
)
WITHOUT_MSIX = Refusal(
    Code.OTHER,
    "{kind} without MSI-X: QEMU ends with a failed assertion (msix_vector_unuse) after reading it",
    field="msix",
)

AT_MOST = Refusal(Code.FIELD_MISMATCH, "{name}: {source}, the target takes 0 to {target}", field="{name}")

REGISTER_LIST = Refusal(
    Code.FIELD_MISMATCH,
    "{source} registers in the stream, the target's kernel (KVM) lists {target}: the list comes from the"
    " host's kernel and processor",
    "Load it on a host with the source's kernel version and processor, and the same -cpu.",
    "{name}",
)

# Devices on PCI

PCI_VERSION = Refusal(
    Code.SECTION_VERSION,
    "PCIDevice version_id {source}: QEMU takes 0 to {target}",
    field="version_id",
    rule="pci-version",
)
IRQ_STATE = Refusal(
    Code.OTHER, "irq state {source}{pin}: must be 0 or 1", field="irq_state", rule="irq-state"
)

SETTINGS = Refusal(
    Code.CONFIG_MISMATCH,
    "{damage}",
    "Give the capability the values that the device has: no QEMU takes others (msixtool validate).",
    "{name}",
)
"""A capability that get_pci_config_device refuses, whatever the target's device is like."""
CAPABILITY_MISSING = SETTINGS._replace(
    words="the section has MSI-X state, and configuration space has no MSI-X capability",
    rule="capability-missing",
)
CONTROL_RESERVED = SETTINGS._replace(
    words="Message Control {source:#06x}: bits 11 to 13 are reserved, and QEMU has 0",
    rule="message-control-reserved",
)
TABLE_PBA_OVERLAP = SETTINGS._replace(
    words="in BAR {bar} the table ({table:#x}, {table_size} bytes) overlaps the PBA ({pba:#x}, {pba_size}"
    " bytes)",
    rule="table-pba-overlap",
)
BAR_INDICATOR = SETTINGS._replace(words="the {what} is in BAR {bar}, which {why}", rule="bar-indicator")
BEYOND_BAR = SETTINGS._replace(
    words="the {what} ends at {end:#x}, and BAR {bar} has {room:#x} bytes at most: its address is no multiple"
    " of more",
    rule="beyond-bar",
)


def at_most(name: str) -> Refusal:
    """Of a field that may be at most the target's, from 0 on."""
    if name == "version_id":
        return PCI_VERSION
    return REGISTER_LIST if name.startswith("cpreg_vmstate_array_len") else AT_MOST


# virtio

VECTOR_ADVICE = (
    "Give the target's device as many vectors as the source's ({property}=); in the stream itself a vector"
    f" has to be below {{below}}, or {NO_VECTOR} for none (msixtool forge)."
)
VECTOR = Refusal(
    Code.VECTOR_RANGE,
    "the stream names an MSI-X vector that the device does not have",
    VECTOR_ADVICE,
    "vector",
)
CONFIG_VECTOR = Refusal(
    Code.VECTOR_RANGE,
    "config_vector is {source}, the device has {target} vectors: QEMU refuses it without a word",
    VECTOR_ADVICE,
    "config_vector",
    "virtio-vector",
)
QUEUE_VECTOR = Refusal(
    Code.VECTOR_RANGE,
    "queue {queue} vector is {source}, the device has {target} vectors: QEMU refuses it without a word, and"
    " before 7.2 crashes",
    VECTOR_ADVICE,
    "queue {queue} vector",
    "virtio-vector",
)
QUEUE_SELECT = Refusal(
    Code.OTHER,
    f"queue_sel {{source}}: QEMU takes less than {MAX_QUEUES}",
    field="queue_sel",
    rule="virtio-queue-select",
)
QUEUE_INDEX = Refusal(
    Code.OTHER,
    "queue {queue} has no address, and {source} buffers were taken from it",
    "Save again: the guest reset the queue half-way, or the stream is damaged.",
    "queue {queue} last_avail_idx",
    "virtio-queue-index",
)
QUEUE_COUNT = Refusal(
    Code.OTHER, f"{{source}} virtqueues: QEMU takes {MAX_QUEUES} at most", field="num_queues"
)
QUEUE_SIZE = Refusal(
    Code.QUEUE_SIZE, "queue {queue}: {source} entries, the target has {target}", field="queue {queue} size"
)
CHECKS_QUEUE_SIZE: Version = (11, 0)
"""Since when a queue of more entries than the target's is refused."""
FEATURES = Refusal(
    Code.FEATURES,
    "features {source:#x} are negotiated, of which the target does not offer {names}",
    field="guest_features",
)
_ONE_MOMENT = (
    "Save again: RAM and queue {queue} must be of one moment. If it comes back, the source's RAM was changed"
    " behind its back (a memory backend that is shared or was not sent, a vhost device that writes on), or"
    " its device lost count."
)
RING_USED = Refusal(
    Code.OTHER,
    "VQ {queue} size {size:#x} < last_avail_idx {last:#x} - used_idx {source:#x}: the device and guest memory"
    " are not of one moment",
    _ONE_MOMENT,
    "queue {queue} used_idx",
    "ring-out-of-step",
)
RING_AVAILABLE = Refusal(
    Code.OTHER,
    "VQ {queue} size {size:#x} Guest index {source:#x} inconsistent with Host index {last:#x}: {waiting}"
    " waiting; QEMU since 7.2 loads it and marks the device broken",
    _ONE_MOMENT,
    "queue {queue} avail_idx",
    "ring-available",
    Severity.WARNING,
)
RING_UNKNOWN = Refusal(
    Code.UNDECIDED,
    "the rings of {rings} are not in the stream, and so not compared",
    rule="ring-unknown",
    severity=Severity.INFO,
)
CHECKS_AVAILABLE = Lifetime((5, 2), (7, 2))
"""Releases that leave a queue alone whose available index makes no sense."""

# virtio devices

BACKEND_LACKS = Refusal(
    Code.FIELD_MISMATCH,
    "{name}: the source's network backend has {needs}, the target's has not",
    field="{name}",
)
BACKEND_QUEUES = Refusal(
    Code.FIELD_MISMATCH,
    "max_queue_pairs: the source's network backend has {queues}, the target's {target}, and they must be"
    " equal",
    field="max_queue_pairs",
)
QUEUE_PAIRS = Refusal(
    Code.OTHER,
    "curr_queue_pairs: {source}, more than max_queue_pairs, {target}",
    field="curr_queue_pairs",
)
REQUEST_QUEUE = Refusal(
    Code.OTHER, "a request in flight is of queue {source}, the target has {target}", field="requests"
)
REQUEST_QUEUES = Refusal(
    Code.SECTION_LAYOUT,
    "requests in flight: only a device of several queues says of which they are; the source has {source}, the"
    " target {target}",
    "Give the target the source's num-queues=, or save when no request waits.",
    "requests",
)
PORTS = Refusal(
    Code.FIELD_MISMATCH, "ports {first} to {last}: {source:#x}, the target has {target:#x}", field="ports_map"
)
PORT_MISSING = Refusal(
    Code.FIELD_MISMATCH, "port {source} is active, the target has none of this number", field="ports"
)

# Other devices

RUN_STATE = Refusal(
    Code.OTHER,
    "runstate: {state} is no run state of QEMU",
    OLDER_MACHINE,
    "runstate",
    "run-state",
)
DEVICE_STATE = Refusal(Code.OTHER, "{name} {source}: {why}", field="{name}", rule="device-state")
LOST_REQUESTS = Refusal(
    Code.OTHER,
    "a disk of a megasas has requests in flight: QEMU saves them, and crashes (SIGSEGV) where it loads them",
    "Mend what the disk waits for (query-block tells the error), let the VM run until no request waits, and"
    " save again.",
    "requests",
    "device-state",
)
PACKED_REQUESTS = Refusal(
    Code.OTHER,
    "a request in flight of a device with packed=on: QEMU writes it in another order than it reads it, and"
    " ends (virtio: unexpected memory split)",
    "Let the VM run until no request waits, and save again; or start such VMs with packed=off.",
    "requests",
    "device-state",
)
"""qemu_put_virtqueue_element puts ndescs in front, qemu_get_virtqueue_element reads it behind."""
RSS_TABLE = Refusal(
    Code.OTHER,
    "an RSS table of {source} entries: QEMU takes a power of two, 128 at most, from 10.0.13 on",
    "Load it in a QEMU before 10.0; no guest sets such a length, so look where the stream was changed.",
    "rss_data.indirections_len",
    "device-state",
    loads=Lifetime(gone=(10, 0)),
)
"""10.0.13 and 11.1 look at it, older ones and 10.2.2 do not."""
AHCI_ENGINE = Refusal(
    Code.OTHER,
    "port {port}: its {engine} engine runs and is switched off",
    field="dev[{port}].port_regs.cmd",
    rule="ahci-state",
)
AHCI_SLOT = Refusal(
    Code.OTHER, "port {port}: busy slot {source}, of 32", field="dev[{port}].busy_slot", rule="ahci-state"
)
AHCI_COMMAND = Refusal(Code.OTHER, "{path}: {why}", field="{path}.{name}", rule="ahci-state")
AHCI_BOUNCE = Refusal(
    Code.OTHER,
    "port {port}: its {engine} engine is started, and bus mastering is off",
    "Load it in QEMU 10.0 or later. Or save once the guest's driver has the controller: a reset may switch"
    " bus mastering off and leave the ports started.",
    "dev[{port}].port_regs.cmd",
    "ahci-state",
)
AHCI_BUS_MASTER = AHCI_BOUNCE._replace(rule="ahci-bus-master", loads=Lifetime((7, 2), (10, 0)))
"""Releases from 10.0 on let a device map more than one piece that is not RAM."""

# The stream

WHOLE = "Take the stream again, or use a copy of it that is whole."
DAMAGE = Refusal(Code.STREAM, "{damage}", WHOLE)
RAM_FILL = Refusal(
    Code.STREAM,
    "{count} with another fill byte: QEMU since 8.2 refuses that",
    rule="ram-fill",
    severity=Severity.WARNING,
)
INCOMPLETE = Refusal(
    Code.STREAM,
    "libvirt marked the image as incomplete, and refuses to restore it",
    "Take it again; where the stream in it is whole, QEMU itself loads it.",
)
