"""What to change where a load is refused: the property, or the setting of the machine, that likely did it.

By what was compared and the kind of device. What is so of one kind stands in its declaration (qemu/kinds),
what counts for all of them here. Sources: the properties of QEMU's devices, what hw/core/machine.c and
hw/i386/pc.c make of them for older machine types, and real loads of QEMU 5.2 to 11.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from msixtool.formats.idstr import Idstr
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import BARS, CAPABILITY_LIST, MACHINE, MSIX_PLACEMENT, give_same


def advise(code: str, section: str, field: str | None) -> str | None:
    """On a finding in a section of this kind, but for configuration space."""
    last, own = (field or "").rpartition(".")[2], kind_of(section).advice
    if code == "section-layout":
        return own.sizes.get(last) or own.layout
    if code == "field-mismatch":
        return give_same("aer_log_max") if last == "log_max" else own.fields.get(last)
    if code == "vector-range":
        return give_same(own.vectors)
    if code == "subsection-unknown":
        return "Use a target of the source's QEMU version, or save the source with an older machine type."
    if code == "other" and field == "msix":
        return own.fields.get(field)
    if code in ("undecided", "features") and field == "guest_features":
        return _FEATURES
    return None


_FEATURES = (
    "Give the target's device the same properties, and use " + MACHINE + ": then it offers the same features."
)


def on_features(kind: str, missing: Iterable[int]) -> str | None:
    """On virtio features that the target does not offer, by their bits: the device's properties and, for
    what the host serves, its kernel or back-end."""
    own = kind_of(kind)
    properties = sorted({name for bit in missing if (name := own.feature(bit).prop)})
    told = f"Give the target's device the source's {', '.join(properties)}." if properties else ""
    if own.host_features:
        off = ", ".join(f"{name}=off" for name in properties)
        instead = f"; or start the source with {off} and restart its guest" if off else ""
        told += (
            " What vhost or a tap device offers comes from the host's kernel (of vhost-user, from its"
            f" back-end): use one on the target at least as new as the source's{instead}."
        )
    return told.strip() or None


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
    properties = kind_of(kind).advice.queues
    if properties:
        return give_same(*properties)
    return "Give the target's device queues of the source's number and size."


_PORT_NUMBER = 0xFF000000
_GROUPS = {
    "MSI-X table": MSIX_PLACEMENT,
    "MSI-X PBA": MSIX_PLACEMENT,
    **dict.fromkeys(("capabilities pointer", "capability ID", "next pointer", "Status"), CAPABILITY_LIST),
    **{f"BAR {number}": BARS for number in range(6)},
}


def on_register(register: str, kind: str, source: int, target: int) -> str | None:
    """On a register of configuration space, named as in config_masks, with both its values."""
    if register == "Link Capabilities" and (source ^ target) & _PORT_NUMBER:
        return give_same("port") + " Each port of one bus has a number of its own (libvirt: <target port=/>)."
    own = kind_of(kind).advice.registers
    return own.get(register) or own.get(_GROUPS.get(register, "")) or _COMMON.get(register)


_MAC = "Give the target's device the source's mac=: its serial number is made of it."

_COMMON = {
    "vendor ID": "Use the same -device.",
    "device ID": "Use the same -device.",
    "class code": "Use the same -device, with the source's class= if it has one.",
    "header type": give_same("multifunction"),
    "device serial number": _MAC,
    "Uncorrectable Error Mask": "Use " + MACHINE + ": x-pcie-err-unc-mask is off for those up to 7.2.",
    "AER Capabilities and Control": give_same("aer_log_max"),
    "ACS Capability": give_same("disable-acs"),
    "ARI capability": "Use " + MACHINE + ": x-pcie-ari-nextfn-1 is on for those up to 8.0.",
    "Device Capabilities": "Use "
    + MACHINE
    + ": extended tags came with 9.2 (x-pcie-ext-tag) and, of virtio devices, function level reset with 4.2"
    " (x-pcie-flr-init).",
    "Power Management Control/Status": give_same("x-pcie-pm-no-soft-reset")
    + " It is a property of virtio devices, and off unless it is set.",
    "Link Capabilities": give_same("x-speed", "x-width") + " They are 2_5 and 1 for machine types up to 3.1.",
    "Link Capabilities 2": give_same("x-speed") + " It is 2_5 for machine types up to 3.1.",
    "Link Control 2": give_same("x-speed") + " It is 2_5 for machine types up to 3.1.",
    "Slot Capabilities": give_same("slot", "hotplug", "power_controller_present")
    + " Of machine types q35-6.1 and later, ACPI hot-plug takes the port's own away.",
    "Slot Status": "Give the target's port the same device behind it, plugged in at start. Where it has:"
    " releases before 8.1 compare the presence detect state, which ACPI hot-plug clears in a running guest"
    " (machine types up to 6.0); load it in QEMU 8.1 or newer, which does not.",
    "Slot Control": give_same("power_controller_present"),
    "bridge subsystem IDs": "Use the same -device.",
    "slot ID expansion": give_same("chassis_nr"),
    "SR-IOV VF layout": give_same("sriov_max_vfs"),
    "ROM BAR": "Give the target's device the source's romfile= and rombar=: the ROM's size, rounded up to a"
    " power of two, is what differs. romsize= (from QEMU 6.0) sets it, whatever the file; for a source with"
    " an older or smaller ROM give the size that it had.",
}


_MACHINE_RAM = ("pc.ram", "ram", "mach-virt.ram", "ppc_spapr.ram", "s390.ram", "riscv_virt_board.ram")
_BY_ITS_PATH = (
    " Its RAM may be there under another name: with -machine memory-backend= it has the backend's, which"
    " x-use-canonical-path-for-ramblock-id=on of the backend makes a path (/objects/…), as machine types up"
    " to 3.1 do, and off the id alone."
)
_OF_DEVICES = {
    "tpm-crb-cmd": "-device tpm-crb (the buffer of its commands), with the same QEMU version",
    "tpm-ppi": "TPM device with its ppi= setting",
    "vmcoreinfo": "-device vmcoreinfo",
    "ivshmem.bar2": "ivshmem device",
}


def on_ram(block: str, code: str) -> str | None:
    """On a RAM block, by its name, that is missing or of another size."""
    owner, name = Idstr(block).path, Idstr(block).kind
    if owner and name.endswith(".rom"):
        device = name.removesuffix(".rom")
        if code == "ram-missing":
            return (
                f"Give the target the device {device} at {owner} with the source's romfile=: the block is its"
                " option ROM."
            )
        return (
            f"Give {device} the source's ROM file (romfile=): the sizes of the two differ. romsize= (from"
            " QEMU 6.0) sets the size whatever the file."
        )
    if "vram" in name or name.endswith("vgamem"):
        if code == "ram-missing":
            return f"Give the target the source's display at {owner or 'the same place'}."
        return "Give the target's display the source's video memory (vgamem_mb=, vram_size=)."
    if block in _MACHINE_RAM:
        return f"Give the target the source's -m.{_BY_ITS_PATH if code == 'ram-missing' else ''}"
    if block in _OF_DEVICES:
        return f"Give the target the source's {_OF_DEVICES[block]}."
    if block in ("pc.bios", "pc.rom", "isa-bios") or block.startswith("system.flash"):
        return "Start the target with the source's firmware (-bios, pflash)."
    if block.startswith("/rom@"):
        return "Start the target with the source's devices and firmware: QEMU makes this of them."
    if block.startswith("/objects/"):
        return (
            f"Give the target the source's memory backend of the id {name}. Where it has it, but names the"
            f" block {name}: x-use-canonical-path-for-ramblock-id=on of the backend (as -object, or -machine"
            " for memory-backend=) names it by its path, as machine types up to 4.0 and the source's libvirt"
            " do."
        )
    if block.startswith("mem") or "/" not in block:
        return (
            f"Give the target the source's memory backend of the id {block}, in its size. Where the target"
            f" calls it /objects/{block}: x-use-canonical-path-for-ramblock-id=off of the backend gives the"
            " short name, on the long one."
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
    "pcspk": "Use " + MACHINE + ".",
    "vmcoreinfo": "Give the target -device vmcoreinfo.",
    "vmgenid": "Give the target -device vmgenid.",
    "audio": "Give the target the source's sound device.",
    "icp/server": "Give the target the source's -smp with its maxcpus=.",
    "serial": "Give the target the source's serial ports (-serial, -device isa-serial), as many as it had.",
    "parallel": "Give the target the source's parallel ports.",
    "slirp": "Give the target the source's -netdev user.",
    "tpm-emulator": "Give the target the source's TPM (-tpmdev emulator).",
    "spapr/htab": "Run the target with the source's accelerator and -machine max-cpu-compat=, ic-mode="
    " settings.",
}


_OF_MACHINE = (
    "It is a part of the machine, or of a device without an address: use "
    + MACHINE
    + ", with the source's accelerator and the same devices and options, in a QEMU at least as new."
)


def device_path(name: str) -> str:
    """The part of an idstr that says where its device is; empty for sections of the machine (icp/server)."""
    path = Idstr(name).path
    return path if any(character.isdigit() for character in path) else ""


def on_missing_section(name: str, kind: str, instance: int, elsewhere: list[str]) -> str | None:
    """On a section that the target does not have; `elsewhere` has its sections of that kind."""
    path = device_path(name)
    if not path:
        return _ENGINES.get(name, _OF_MACHINE)
    if kind == "eeprom":
        return (
            f"Give the target the source's i8255x network card (i82550 to i82562, i82801) at {_place(path)}."
        )
    if kind.startswith(("usb-", "hub", "scsi-")) or "/" in path:
        return _on_bus(path, kind)
    if elsewhere:
        there = _place(Idstr(elsewhere[0]).path)
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
            f" scsi-id={target} and lun={lun}."
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
