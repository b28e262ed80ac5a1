"""CPUs, KVM, interrupt controllers, firmware devices and other parts of a machine.

Source: QEMU target/, accel/kvm/, hw/intc/, hw/ide/, hw/ppc/, hw/s390x/, backends/tpm/.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import family
from msixtool.tasks.finding import Code

_HOST = (
    "Load it on a host whose kernel (KVM) and processor are those of the source or newer, with the same"
    " settings of the kvm module, and with the source's -cpu and machine type."
)

MACHINES = (
    family(
        "arm-registers",
        "The CPU registers in the stream are not those that the target's kernel (KVM) has: one is missing"
        " in the stream, or is one that the target's kernel does not know. The list of registers comes"
        " from the host's kernel and processor, and differs between kernel versions.",
        "Use hosts with the same kernel version (or a target with a newer one) and the same processor. Up"
        " to QEMU 10.2 every register has to be known on both sides; a named -cpu model does not change"
        " what the kernel lists.",
        "Missing register in input stream", "Unexpected register in input stream",
        "kvm_arm_cpu_post_load*register", "Could not set register {register}", "failed to set register*",
        "Failed to write register*", "Invalid value for register*",
        section="cpu", field="register",
    ),
    family(
        "arm-cpreg",
        "A coprocessor register in the stream does not fit the target's CPU: it has another value there,"
        " or none, because the -cpu or the host's kernel is another.",
        "Give the target the source's -cpu and a host with the same kernel and processor.",
        "cpreg_vmstate*", "Unknown CPU register*", "error: kvm_put_one_reg*", "KVM_REG_ARM_TIMER_CNT",
        "failed to put vcpu events", "failed to get vcpu events", "KVM_REG_ARM64_SVE_VLS",
        "SVE enabled*scratch", "failed to init PVTIME IPA", "kvm-steal-time*", "failed to init PMU",
        "failed to set irq for PMU", "failed to create scratch VCPU*",
        "KVM supports vector lengths larger than QEMU can enable", "KVM_CAP_ARM_MTE", "KVM_HAS_DEVICE_ATTR:",
        "KVM_SET_DEVICE_ATTR:", "PVTIME: KVM_SET_DEVICE_ATTR*", "Fail to set pv feature*",
        "guest single-step while debugging unsupported", "unhandled debug exit",
        "Data abort exception triggered by guest memory access*",
        section="cpu",
    ),
    family(
        "device-attribute",
        "The target's kernel (KVM) refused a part of the state of a device that it emulates: an interrupt"
        " controller, or a register group of the machine, that this kernel or processor does not have in"
        " that form.",
        "Load it on a host whose kernel is that of the source or newer and whose processor is the same;"
        " where an interrupt controller can be chosen (-machine kernel-irqchip=, ic-mode=, gic-version=),"
        " choose it alike on both sides.",
        "KVM_SET_DEVICE_ATTR failed", "KVM_GET_DEVICE_ATTR failed", "_DEVICE_ATTR failed: Group*",
        field="device attribute",
    ),
    family(
        "interrupt-controller",
        "The in-kernel interrupt controller (GIC, vGIC, ITS, XIVE or XICS of KVM) could not be created,"
        " saved or set on this host: its kernel does not offer what the machine asks for.",
        "Use a host with a kernel as new as the source's, and the same -machine gic-version= (or ic-mode=,"
        " kernel-irqchip=) on both sides.",
        "in-kernel VGIC*", "This operating system kernel does not support*migration", "the in-kernel VGICv3*",
        "in-kernel ITS", "ITS KVM: full reset*", "Model requests*IRQs, but kernel supports max",
        "unsupported GIC revision*", "NMI is not supported with the in-kernel GIC",
        "Multiple VGICv3 redistributor regions*", "Capacity of the redist regions*",
        "VGICv3 setting maintenance IRQ*", "Failed to set VGIC maintenance IRQ", "Non-zero first-cpu-idx*",
        "XIVE: could not*KVM state*", "XIVE: *", "XICS*", "KVM interrupt controller state*",
        "failed to set lpic int", "Setting interrupt state failed", "Migration of interrupt state failed",
        "flic: *", "kvm flic ais states", "KVM_SET_IRQCHIP*", "KVM_GET_IRQCHIP*", "KVM_SET_LAPIC*",
        "KVM_SET_PIT*", "kvm_get_irqchip*", "kvm_set_irqchip*", "kvm_set_pit*",
    ),
    family(
        "cpu-state",
        "KVM on the target refused the state of the virtual CPU: its registers (XSAVE, MSRs, control or debug"
        " registers, events, clock) hold what this host's processor, kernel or kvm module does not take.",
        _HOST
        + " A named -cpu model instead of host lets both hosts agree; features that only the source has"
        " (AMX, MPX, AVX-512, nested virtualisation) are switched off in it.",
        "Failed to put msrs", "failed to set MSR*", "failed to setup msrs", "error: failed to set MSR*",
        "MSR entries exceed*", "Failed to put registers*", "Failed to set XSAVE*", "XSAVE*",
        "failed to set cpuid", "failed to set cpu state", "failed to configure vcpu", "KVM_SET_MSRS*",
        "KVM_SET_XSAVE*", "KVM_SET_SREGS*", "KVM_SET_CPUID2*", "KVM_SET_VCPU_EVENTS*", "kvm_put_*",
        "kvm_arch_put_registers*", "Putting registers after*", "KVM_SET_CLOCK failed*",
        "KVM_GET_CLOCK failed*", "Failed to set MSR*", "kvm_vcpu_ioctl*",
        "Unsupported old non-softfloat CPU state", "KVM_SET_TSC_KHZ*", "Failed to set special registers*",
        "Failed to get registers*", "KVM_PUT_FULL_STATE*", "re-enlightenment notifications*",
        "Requested CPU state is not a valid S390 CPU state*", "Failed to set KVM_REG*",
        "Failed to set floating point*", "Failed to set vector registers*", "Failed to get vector registers*",
        section="cpu",
    ),
    family(
        "nested",
        "The guest has nested virtualisation in use (it runs, or can run, guests of its own), and the"
        " state of that cannot be saved or set with this kernel.",
        "Shut the inner guests down, or start the VM without vmx/svm in its -cpu; or use kernels with"
        " nested state (4.20 or newer) and the same nested setting of kvm_intel or kvm_amd on both hosts.",
        "Received nested state*", "Received unsupported nested state size*",
        "Received invalid nested state format*", "*nested virtualization but kernel does not support*",
        "vCPU set in guest-mode inconsistent*", "Live migration disabled because KVM nested virt is enabled",
        "Nested virtualization*migrat*", "nested VMX*migrat*", "HPT not supported in nested guests",
        section="cpu", field="nested_state",
    ),
    family(
        "ahci-engine",
        "An AHCI port in the stream is started while the guest has bus mastering of the controller off, so"
        " that the memory of its buffers cannot be mapped: releases before 8.0 refuse that. Firmware and some"
        " systems leave a port like this, as a rule when the VM was saved while it booted or shut down.",
        "Save the VM again once its guest's driver runs (bus master on), or load it in QEMU 10.0 or newer,"
        " which takes it. A disk on another controller avoids it.",
        "AHCI: Failed to start FIS receive engine*", "AHCI: Failed to start DMA engine*",
        "AHCI: DMA engine should be off*", "AHCI: FIS RX engine should be off*",
        "bad FIS receive buffer address", "bad command list buffer address",
        field="PxCMD",
    ),
    family(
        "run-state-unread",
        "The run state in the section globalstate is none that QEMU knows (it is empty, or a state of"
        " another build): the source wrote it so, as a rule a patched QEMU or a VM that was saved before"
        " it was started.",
        "Save the VM again while it runs or is paused, with an unmodified QEMU on both sides; or turn the"
        " section off on both sides with -global migration.store-global-state=off.",
        "invalid parameter value:*", "runstate name too big*", "Error saving global state",
        section="globalstate", field="runstate",
    ),
    family(
        "run-state-change",
        "QEMU aborted: it was to go from the run state {source} to {target}, which it has no way for. That is"
        " a fault of this QEMU, or of what it was told in that state; no stream was refused.",
        "Let the VM run once (cont) before it is saved or migrated, give the command again when it is running"
        " or paused, or use a newer QEMU.",
        "invalid runstate transition: '{source}' -> '{target}'",
        field="runstate",
    ),
    family(
        "vtpm",
        "The emulated TPM (swtpm) could not give or take its state: swtpm refused the state blob, went"
        " away, or is of another version or with another encryption key than on the source.",
        "Look into swtpm's own log on that host (libvirt: /var/log/swtpm/libvirt/qemu/NAME-swtpm.log). Use"
        " a swtpm and libtpms on the target at least as new as the source's, with the same TPM version and"
        " key file; and with shared storage, see that only one swtpm has the state locked.",
        "tpm-emulator: *", "TPM result for CMD_*", "tpm_spapr*", "swtpm*failed*", "tpm-emulator*stateblob*",
        "* DMA write failure", "* Error sending response",
        section="tpm-emulator", field="state blob",
    ),
    family(
        "serial-state",
        "The serial port's transmitter is in a state in the stream that contradicts itself (tsr_retry).",
        "Save the VM again a moment later, when the serial port is not busy; a chardev that nothing reads"
        " keeps it busy.",
        "inconsistent state in serial device*",
        field="tsr_retry",
    ),
    family(
        "spapr-caps",
        "The capability cap-{cap} of the pseries machine is not the same on both sides: the source has"
        " level {source}, the target {target}.",
        "Give the target's -machine the source's cap-{cap}= (and the source's machine version), on a host"
        " whose firmware and kernel offer it; cap-xive and cap-xics go by ic-mode=.",
        "cap-{cap} higher level ({source}) in incoming stream than on destination ({target})",
        "cap-{cap} lower level ({source}) in incoming stream than on destination ({target})",
        code=Code.FIELD_MISMATCH, field="cap-{cap}",
    ),
    family(
        "spapr",
        "The hash table, timebase, compatibility mode or memory of the pseries (PPC) machine cannot be set"
        " on the target as it was on the source.",
        "Give the target the source's machine version, -cpu with its compatibility mode, maxmem and cap-"
        " options, on a host with the same processor generation and kernel.",
        "Failed to allocate KVM HPT*", "Requested order*HPT*", "Process table config unsupported*",
        "A machine check is being handled during migration*", "htab_load() bad*", "Invalid value*for cap-*",
        "trying to enable already enabled TCE table", "Unknown compatibility PVR*",
        "Compatibility PVR*not valid for CPU", "Unable to set CPU compatibility mode in KVM",
        "Bad page size encoding in SLB*", "Invalid bits*set in SDR1", "Invalid HTABSIZE*",
        "No timebase object", "Unable to close fd*HPT*", "KVM_PPC_*", "kvm_spapr*",
    ),
    family(
        "spapr-nvdimm",
        "A spapr-nvdimm device has another kind of backend than on the source (pmem or file).",
        "Give the target's device pmem-override=on or off as the message says, or a backend like the"
        " source's.",
        "*spapr-nvdimm device*",
    ),
    family(
        "s390-keys",
        "The storage keys or storage attributes of the s390x guest could not be saved, or do not fit on"
        " the target: the stream is damaged there, or the host's kernel does not take them.",
        "Use hosts with the same kernel and facilities (-cpu), and save again; skeys and cmma need memory"
        " and a kernel with migration mode.",
        "storage key*", "S390_GET_KEYS error*", "S390_SET_KEYS error*", "Storage key data*",
        "Unexpected storage key*", "Unexpected storage attribute*", "Storage attributes data*", "cmma_load*",
        "setting storage attributes", "to save storage attributes", "Could not allocate memory to save*",
        "Error*storage attributes*", "KVM_S390_*",
    ),
    family(
        "s390-clock",
        "The s390x guest's clock did not come along: the source did not write it, and the guest may hang.",
        "Use QEMU and kernels on both sides that migrate the TOD clock (KVM_S390_VM_TOD), and the same"
        " machine version.",
        "Guest clock was not migrated*",
        section="s390-tod", field="tod",
    ),
    family(
        "ipmi",
        "The IPMI interface in the stream holds indices that do not go together: the state is damaged, or"
        " was saved in the middle of a transfer.",
        "Save the VM again a moment later.",
        "ipmi:bt: *", "ipmi:kcs: *",
    ),
    family(
        "chipset-reserved",
        "A register of the chipset holds a value in the stream that is reserved.",
        "Save the VM again once its firmware has run; the same machine type on both sides.",
        "ICH9 LPC: SCI IRQ SEL*", "Q35: Reserved PCIEXBAR LENGTH", "pc87312: unsupported device*",
        "SEL index*out of range", "FIMD:*", "UNDEFINED: *",
    ),
    family(
        "uefi-vars",
        "The UEFI variables in the stream cannot be taken over: there are too many for the target's store,"
        " or one is not valid.",
        "Give the target's uefi-vars device the source's settings, and a file that can be written.",
        "invalid uefi variable*", "out of variable memory*", "uefi_vars_*",
    ),
    family(
        "dbus-vmstate",
        "A helper process whose state travels with the VM over D-Bus (dbus-vmstate) could not save or load"
        " it: it is not there on the target under the source's Id, or refused.",
        "Start the same helpers on the target before the migration, with the same ids (id-list=), and look"
        " into their logs.",
        "DBus vmstate*", "*VMState Id property is missing*", "*Failed to find proxy Id*",
        "*Failed to create proxy*", "*Failed to get proxies*", "*Failed to restore Id*",
        "*Not enough data available to load for Id*", "*Invalid vmstate size*", "*Invalid DBus vmstate*",
        "*Failed to read from stream:*", "*Failed to write to stream:*", "*Failed to close stream:*",
        "*Failed to Load:*", "*: Short read",
    ),
    family(
        "usb-redirection",
        "The USB redirection channel (usb-redir, SPICE) could not save or take over the state of the"
        " redirected device.",
        "Disconnect the redirected USB device before the migration, or use the same QEMU and libusbredir"
        " on both sides.",
        "usbredirparser_*", "usbredir*",
    ),
    family(
        "scsi-requests",
        "A SCSI or IDE request that was in flight does not fit the device on the target.",
        "Give the target the source's disks on the same controller, channel, scsi-id and lun.",
        "*in-flight request*", "vmxnet3: Bad*", "invalid SCSI*request*", "failed to set up SINT route",
        "Failed to unbind kernel port*",
    ),
    family(
        "xen",
        "The state of a Xen device could not be saved or loaded.",
        "Use the same Xen and QEMU on both sides.",
        "*Xen device state failed*", "RAM loading not allowed on Xen",
    ),
)  # fmt: skip
"""By the part of the machine."""
