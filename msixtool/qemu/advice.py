"""What to change where a load is refused: the property, or the setting of the machine, that likely did it.

By what was compared and the kind of device, which is the part of its section's idstr after the last
slash. Sources: the properties of QEMU's devices and what hw/core/machine.c and hw/i386/pc.c make of
them for older machine types (qemu/history.py), and real loads of QEMU 5.2 to 11.1. Advice is concrete
or absent.
"""

from __future__ import annotations

_MACHINE = "the same -machine with its version"


def _set(*properties: str, also: str = "") -> str:
    names = ", ".join(f"{name}=" for name in properties)
    return f"Give the target's device the source's {names}{also}."


_PAIRS = "Give the target's network backend the source's queues=."

_LAYOUTS = {
    "xhci": _set("p2", "p3", "slots"),
    "ICH9LPC": "Give the target the source's -smp with its maxcpus= and -m with its slots=; and use "
    + _MACHINE
    + ".",
    "piix4_pm": "Give the target the source's -smp with its maxcpus=, -m with its slots=, and its"
    " acpi-pci-hotplug settings (-global PIIX4_PM.…); and use " + _MACHINE + ".",
    "e1000e": _set("migrate-timadj") + " It is off for machine types up to 7.2.",
    "pcie-root-port": _set("x-migrate-msix") + " It is off for machine types up to 2.9.",
    "virtio-console": _set("max_ports"),
    "virtio-gpu": "Use "
    + _MACHINE
    + ": those up to 8.2 save less of each output. Where the source's QEMU wrote it otherwise than its"
    " machine type says (8.2 and 9.0 did), give the target's device x-scanout-vmstate-version=1 for"
    " the old layout, 2"
    " for the new.",
    "vmxnet3": _set("x-disable-pcie"),
    "pvscsi": _set("x-disable-pcie", "x-old-pci-configuration"),
    "pciespscsi": "Use a target of the source's QEMU version: its state has changed, and no machine type"
    " keeps it as it was.",
    "ide": "Give the target the source's drives on the same units.",
    "ich9_ahci": "Give the target the source's drives on the same ports.",
}

_EQUAL = {
    ("virtio-gpu", "max_outputs"): _set("max_outputs"),
    ("e1000e", "subsys"): _set("subsys"),
    ("e1000e", "subsys_ven"): _set("subsys_ven"),
    ("virtio-console", "ports_map"): "Give the target the source's virtserialport and virtconsole devices,"
    " each with the same nr=.",
    ("virtio-console", "ports"): "Give the target the source's virtserialport and virtconsole devices,"
    " each with the same nr=.",
    ("virtio-net", "max_queue_pairs"): _PAIRS,
    ("virtio-net", "has_vnet_hdr"): "Give the target's device a network backend with a vnet header, as the"
    " source's has: -netdev tap without vnet_hdr=off; `user` and `socket` have none.",
    ("virtio-net", "has_ufo"): "Give the target a host whose tap devices take UDP fragmentation offload"
    " (TUN_F_UFO), as the source's do; or switch host_ufo= and guest_ufo= off on the source, and restart"
    " its guest.",
    **{
        (kind, field): _set(name)
        for kind in ("virtio-mem", "virtio-mem-device-early")
        for field, name in (("addr", "memaddr"), ("block_size", "block-size"), ("node", "node"))
    },
}


def advise(code: str, kind: str, field: str | None) -> str | None:
    """On a finding in a section of this kind, but for configuration space."""
    last = (field or "").rpartition(".")[2]
    if code == "section-layout":
        if last == "max_queue_pairs":
            return _PAIRS
        return _LAYOUTS.get(kind)
    if code == "field-mismatch":
        if kind == "e1000e" and field is None:
            return _set("subsys", "subsys_ven")
        if last == "log_max":
            return _set("aer_log_max")
        return _EQUAL.get((kind, last))
    if code == "vector-range":
        return _set(_vectors_property(kind))
    if code == "subsection-unknown":
        return "Use a target of the source's QEMU version, or save the source with an older machine type."
    if code == "other" and kind == "xhci" and field == "msix":
        return "Leave msix= of the USB controller at its default, on both sides."
    if code in ("undecided", "features") and field == "guest_features":
        return _FEATURES
    return None


_FEATURES = (
    "Give the target's device the same properties, and use "
    + _MACHINE
    + ": then it offers the same features."
)


_UNSIZED = 1024
"""What QEMU 10.0.13 writes for each queue that the guest has not sized."""


def on_queue(kind: str, size: int, known: int) -> str:
    """On a virtqueue of `size` entries, where the target's has `known` (0 where it has no such queue)."""
    if size == _UNSIZED and known:
        return (
            "If the source is QEMU 10.0.13, which writes 1024 for queues that the guest has not set up: save"
            f" once the guest's driver runs. Otherwise: {_queues(kind)}"
        )
    return _queues(kind)


def _queues(kind: str) -> str:
    properties = {
        "virtio-net": ("rx_queue_size", "tx_queue_size"),
        "virtio-blk": ("queue-size", "num-queues"),
        "virtio-scsi": ("virtqueue_size", "num_queues"),
        "virtio-console": ("max_ports",),
    }.get(kind)
    return (
        _set(*properties)
        if properties
        else "Give the target's device queues of the source's number and size."
    )


def _vectors_property(kind: str) -> str:
    return "msix_qsize" if kind == "nvme" else "vectors"


_IS_VIRTIO = ("virtio-", "vhost-")


def on_register(register: str, kind: str, source: int, target: int) -> str | None:
    """On a register of configuration space, named as in config_masks, with both its values."""
    virtio = kind.startswith(_IS_VIRTIO)
    special = _BY_KIND.get((register, kind))
    if special is not None:
        return special
    if register == "MSI-X table size":
        return _table_size(kind, virtio)
    if register == "Link Capabilities" and (source ^ target) & _PORT_NUMBER:
        return _set("port") + " Each port of one bus has a number of its own (libvirt: <target port=/>)."
    if register in ("MSI-X table", "MSI-X PBA"):
        return _placement(kind, virtio)
    if register.startswith("BAR ") or register == "ROM BAR":
        return _bar(register, kind, virtio)
    if register in ("capabilities pointer", "capability ID", "next pointer", "Status"):
        return _capability_list(kind, virtio)
    if virtio and register in _VIRTIO:
        return _VIRTIO[register]
    return _COMMON.get(register)


_PORT_NUMBER = 0xFF000000


def _table_size(kind: str, virtio: bool) -> str | None:
    if kind == "virtio-net":
        return (
            _set("vectors") + " Without it the number is 2 for each queue pair and 2 more, and 3 for machine"
            " types up to 5.2."
        )
    if virtio:
        return _set("vectors", also=" and number of queues, from which the number follows without it")
    return _set(_vectors_property(kind)) if kind in ("nvme", "ivshmem-doorbell") else None


def _placement(kind: str, virtio: bool) -> str | None:
    if kind == "nvme":
        return _set("msix_qsize", "max_ioqpairs", "msix-exclusive-bar")
    if kind == "vmxnet3":
        return _set("x-old-msi-offsets") + " It is on for machine types up to 2.5."
    return _set("vectors") if virtio else None


def _bar(register: str, kind: str, virtio: bool) -> str | None:
    if register == "ROM BAR":
        return (
            "Give the target's device the source's romfile= and rombar=: the ROM's size, rounded up to a"
            " power of"
            " two, is what differs. romsize= (from QEMU 6.0) sets it, whatever the file; for a source with an"
            " older or smaller ROM give the size that it had."
        )
    if kind in ("vga", "bochs-display"):
        return _set("vgamem_mb" if kind == "vga" else "vgamem")
    if virtio:
        return _set("vectors", "page-per-vq", "modern-pio-notify", "disable-legacy")
    return None


def _capability_list(kind: str, virtio: bool) -> str | None:
    """Which capabilities there are, and where."""
    if virtio:
        return (
            _set("disable-modern", "disable-legacy", "vectors")
            + " Put it behind a PCI Express port on both sides or on neither; some virtio devices have"
            " MSI-X for newer machine types alone."
        )
    return {
        "megasas": _set("msi", "msix"),
        "megasas-gen2": _set("msi", "msix"),
        "xhci": _set("msi", "msix") + " nec-usb-xhci and qemu-xhci differ in it too.",
        "pci_bridge": _set("msi", "shpc"),
        "pcie-pci-bridge": _set("msi"),
        "intel-hda": _set("msi"),
        "mptsas": _set("msi"),
        "vmxnet3": _set("x-disable-pcie", "x-old-msi-offsets"),
        "pvscsi": _set("x-disable-pcie", "x-old-pci-configuration"),
    }.get(kind)


_MAC = "Give the target's device the source's mac=: its serial number is made of it."

_COMMON = {
    "vendor ID": "Use the same -device.",
    "device ID": "Use the same -device.",
    "class code": "Use the same -device, with the source's class= if it has one.",
    "header type": _set("multifunction"),
    "device serial number": _MAC,
    "Uncorrectable Error Mask": "Use " + _MACHINE + ": x-pcie-err-unc-mask is off for those up to 7.2.",
    "AER Capabilities and Control": _set("aer_log_max"),
    "ACS Capability": _set("disable-acs"),
    "ARI capability": "Use " + _MACHINE + ": x-pcie-ari-nextfn-1 is on for those up to 8.0.",
    "Device Capabilities": "Use "
    + _MACHINE
    + ": extended tags came with 9.2 (x-pcie-ext-tag) and, of virtio devices, function level reset with 4.2"
    " (x-pcie-flr-init).",
    "Power Management Control/Status": "Use "
    + _MACHINE
    + ": of virtio devices x-pcie-pm-no-soft-reset is off for those up to 9.0.",
    "Link Capabilities": _set("x-speed", "x-width") + " They are 2_5 and 1 for machine types up to 3.1.",
    "Link Capabilities 2": _set("x-speed") + " It is 2_5 for machine types up to 3.1.",
    "Link Control 2": _set("x-speed") + " It is 2_5 for machine types up to 3.1.",
    "Slot Capabilities": _set("slot", "hotplug", "power_controller_present")
    + " Of machine types q35-6.1 and later, ACPI hot-plug takes the port's own away.",
    "Slot Status": "Give the target's port the same device behind it, plugged in at start.",
    "Slot Control": _set("power_controller_present"),
    "bridge subsystem IDs": "Use the same -device.",
    "slot ID expansion": _set("chassis_nr"),
    "SR-IOV VF layout": _set("sriov_max_vfs"),
}

_VIRTIO = {
    "device ID": _set("disable-legacy", "disable-modern")
    + " Transitional devices have other ids than modern ones, and a device behind a PCI Express port is"
    " modern by default.",
    "revision ID": _set("disable-legacy", "disable-modern"),
    "virtio structure type": _set("disable-modern", "modern-pio-notify"),
    "virtio structure BAR": _set("modern-pio-notify"),
    "virtio structure offset": _set("page-per-vq", "modern-pio-notify"),
    "virtio structure length": _set("page-per-vq", "modern-pio-notify"),
    "virtio notify multiplier": _set("page-per-vq"),
    "class code": _set("class"),
}

_BY_KIND = {
    ("class code", "virtio-gpu"): "Use virtio-vga on both sides, or virtio-gpu-pci on both.",
    ("device ID", "xhci"): "Use qemu-xhci on both sides, or nec-usb-xhci on both.",
    ("vendor ID", "xhci"): "Use qemu-xhci on both sides, or nec-usb-xhci on both.",
    ("vendor ID", "nvme"): _set("use-intel-id"),
    ("device ID", "nvme"): _set("use-intel-id"),
    ("capability ID", "pcie-root-port"): "Use " + _MACHINE + ".",
}


def on_ram(block: str, code: str) -> str | None:
    """On a RAM block, by its name, that is missing or of another size."""
    owner, slash, name = block.rpartition("/")
    if slash and name.endswith(".rom"):
        device = name.removesuffix(".rom")
        if code == "ram-missing":
            return (
                f"Give the target the device {device} at {owner} with the source's romfile=: the block is its"
                " option ROM."
            )
        return f"Give {device} the source's ROM file (romfile=): the sizes of the two differ."
    if "vram" in name or name.endswith("vgamem"):
        if code == "ram-missing":
            return f"Give the target the source's display at {owner or 'the same place'}."
        return "Give the target's display the source's video memory (vgamem_mb=, vram_size=)."
    if block in ("pc.ram", "ram", "mach-virt.ram"):
        return "Give the target the source's -m."
    if block in ("pc.bios", "pc.rom") or block.startswith("system.flash"):
        return "Start the target with the source's firmware (-bios, pflash)."
    if block.startswith("/rom@"):
        return "Start the target with the source's devices and firmware: QEMU makes this of them."
    if block.startswith("/objects/"):
        return (
            f"Give the target the source's memory backend of the id {name}. Where it has it, but names"
            f" the block"
            f" {name}: x-use-canonical-path-for-ramblock-id=on of the backend (as -object, or -machine for"
            " memory-backend=) names it by its path, as machine types up to 4.0 and the source's libvirt do."
        )
    if block.startswith("mem") or "/" not in block:
        return (
            f"Give the target the source's memory backend of the id {block}, in its size. Where the"
            f" target calls"
            f" it /objects/{block}: x-use-canonical-path-for-ramblock-id=off of the backend gives the"
            f" short name,"
            " on the long one."
        )
    return None


_ENGINES = {
    "cpu": "Give the target the source's -smp.",
    "cpu_common": "Give the target the source's -smp.",
    "apic": "Give the target the source's -smp.",
    "hpet": "Give the target the source's hpet setting (-machine hpet=).",
    "fdc": "Give the target a floppy controller, as older machine types have it.",
    "vmmouse": "Give the target the source's -machine vmport= setting.",
    "kvmclock": "Run the target with KVM, as the source.",
    "kvm-tpr-opt": "Run the target with KVM, as the source.",
    "pcspk": "Use " + _MACHINE + ".",
    "vmcoreinfo": "Give the target -device vmcoreinfo.",
    "vmgenid": "Give the target -device vmgenid.",
    "audio": "Give the target the source's sound device.",
}


def on_missing_section(name: str, kind: str, instance: int, elsewhere: list[str]) -> str | None:
    """On a section that the target does not have; `elsewhere` has its sections of that kind."""
    path = name.rpartition("/")[0]
    if not path:
        return _ENGINES.get(name)
    if kind == "eeprom":
        return (
            f"Give the target the source's i8255x network card (i82550 to i82562, i82801) at {_place(path)}."
        )
    if kind.startswith(("usb-", "hub", "scsi-")) or "/" in path:
        return _on_bus(path, kind)
    if elsewhere:
        there = _place(elsewhere[0].rpartition("/")[0])
        return f"Give the target's device the source's address: {_place(path)} (it has {there})."
    return f"Give the target the source's device {kind} at {_place(path)}."


def _on_bus(path: str, kind: str) -> str:
    """On a device of a bus that is not PCI: the controller's address, and where on the bus it is."""
    controller, _, last = path.partition("/")
    at = f" of the controller at {_place(controller)}" if last else ""
    if kind.startswith("scsi-") and last.count(":") == 2:
        channel, target, lun = last.split(":")
        return (
            f"Give the target the source's device {kind} on the bus{at}, with channel={channel},"
            f" scsi-id={target}"
            f" and lun={lun}."
        )
    port = f", with port={last}" if last else ""
    return f"Give the target the source's device {kind} on the bus{at}{port}."


def _place(path: str) -> str:
    """A device path as the options of `-device` say it: the address, and the port that it is behind."""
    above, _, last = path.rpartition(":")
    slot, _, function = last.partition(".")
    if not above or not slot or slot.strip("0123456789abcdef"):
        return path
    address = f"addr={int(slot, 16):#x}" + (f".{function}" if function not in ("", "0") else "")
    return f"{address} behind {above}" if above.count(":") > 1 else address
