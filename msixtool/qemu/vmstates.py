"""Which vmstate subsections and versions QEMU's releases know, as data.

Source: the -dump-vmstate of QEMU 5.2, 7.2, 10.0 and 11.1 (x86_64), their streams, and for virtio
hw/virtio/virtio.c and virtio-pci.c. Where a change came between two of those releases the ones
between them are open.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.qemu.kinds import kind_of, kinds
from msixtool.qemu.versions import Version


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`absent` is the last release without it, `present` the first that has it; None for older than 5.2."""

    absent: Version | None = None
    present: Version | None = None

    def covers(self, version: Version) -> bool | None:
        """Whether a release has it; None between the two."""
        if self.present is None or version >= self.present:
            return True
        return False if self.absent is None or version <= self.absent else None


_ALWAYS = """
ICH9LPC/rst_cnt ICH9LPC/smi_feat PIIX3/rcr SCSIDevice/sense acpi-ged/ghes acpi-ged/memhp
cpu/async_pf_int_msr cpu/async_pf_msr cpu/async_pv_eoi_msr cpu/avx512 cpu/exception_info
cpu/fpop_ip_dp cpu/intel_pt cpu/kvm_nested_state cpu/kvm_nested_state/svm cpu/kvm_nested_state/vmx
cpu/kvm_nested_state/vmx/shadow_vmcs12 cpu/kvm_nested_state/vmx/vmcs12 cpu/mcg_ext_ctl cpu/mpx
cpu/msr_architectural_pmu cpu/msr_hyperv_crash cpu/msr_hyperv_hypercall
cpu/msr_hyperv_reenlightenment cpu/msr_hyperv_runtime cpu/msr_hyperv_stimer cpu/msr_hyperv_synic
cpu/msr_hyperv_time cpu/msr_hyperv_vapic cpu/msr_ia32_feature_control cpu/msr_ia32_misc_enable
cpu/msr_smi_count cpu/msr_tsc_adjust cpu/msr_tscdeadline cpu/msr_tsx_ctrl cpu/nested_state cpu/pkru
cpu/poll_control_msr cpu/spec_ctrl cpu/steal_time_msr cpu/svn_npt cpu/tsc_khz cpu/umwait
cpu/virt_ssbd cpu/xss cpu_common/crash_occurred cpu_common/exception_index e1000/full_mac_state
e1000/mit_state e1000/tx_tso_state fdc/phase fdc/reset_sensei fdc/result_timer fdrive/media_changed
fdrive/media_rate fdrive/perpendicular fw_cfg/acpi_mr fw_cfg/dma hda-audio-stream/buffer hpet/offset
hpet/rtc_irq_level ich9_pm/cpuhp ich9_pm/memhp ich9_pm/tco ide_bus/error ide_drive/atapi/gesn_state
ide_drive/pio_state ide_drive/tray_state kvmclock/clock_is_reliable
mc146818rtc/irq_reinject_on_ack_count ohci-core/eof-timer pckbd_outport piix4_pm/cpuhp
piix4_pm/memhp pvscsi/pcie rtl8139/hotplug_ready sd-card/ocr-state sdhci/pending-insert
serial/fifo_timeout_timer serial/poll serial/recv_fifo serial/thr_ipending serial/timeout_ipending
serial/tsr serial/xmit_fifo usb-hub/port-timer usb-redir-ep/bulk-receiving usb-redir-ep/stream-state
vga.endian virtio-balloon-device/free-page-report virtio-net-device/rss virtio/64bit_features
virtio/broken virtio/device_endian virtio/disabled virtio/extra_state virtio/packed_virtqueues
virtio/ringsize virtio/started virtio/virtqueues virtio_pci/modern_state vmbus/rx_queue
vmxnet3/mcast_list ps2kbd/ledstate ps2kbd/need_high_bit
"""

_SINCE: dict[str, tuple[Version, Version]] = {
    "acpi-ged/cpuhp": ((7, 2), (10, 0)),
    "acpi-ged/hest": ((10, 0), (11, 1)),
    "acpi-ged/pcihp": ((10, 0), (11, 1)),
    "cpu/amd_tsc_scale_msr": ((5, 2), (7, 2)),
    "cpu/apx": ((10, 0), (11, 1)),
    "cpu/arch_lbr": ((5, 2), (7, 2)),
    "cpu/cet": ((10, 0), (11, 1)),
    "cpu/cet_shstk": ((10, 0), (11, 1)),
    "cpu/error_code": ((10, 0), (11, 1)),
    "cpu/fred": ((7, 2), (10, 0)),
    "cpu/intel_amx_xtile": ((5, 2), (7, 2)),
    "cpu/intel_sgx": ((5, 2), (7, 2)),
    "cpu/msr_hwcr": ((7, 2), (10, 0)),
    "cpu/msr_pl0_ssp": ((10, 0), (11, 1)),
    "cpu/msr_xfd": ((5, 2), (7, 2)),
    "cpu/pdptrs": ((5, 2), (7, 2)),
    "cpu/pkrs": ((5, 2), (7, 2)),
    "cpu/svm_guest": ((5, 2), (7, 2)),
    "cpu/triple_fault": ((5, 2), (7, 2)),
    "cpu/xen_vcpu": ((7, 2), (10, 0)),
    "i8259/ltim": ((7, 2), (10, 0)),
    "ich9_pm/pcihp": ((5, 2), (7, 2)),
    "pckbd/extended_state": ((5, 2), (7, 2)),
    "pflash_cfi01_blk_write": ((5, 2), (7, 2)),
    "ps2kbd/command_reply_queue": ((5, 2), (7, 2)),
    "scsi-disk/pr": ((10, 0), (11, 1)),
    "sd-card/ext_csd_modes-state": ((7, 2), (10, 0)),
    "tpm-crb/chunk": ((10, 0), (11, 1)),
    "uefi-variable-digest": ((10, 0), (11, 1)),
    "vhost-inflight-region/buffer": ((10, 0), (11, 1)),
    "vhost-user-blk/inflight": ((10, 0), (11, 1)),
    "vhost-user-fs-backend": ((7, 2), (10, 0)),
    "virtio-balloon-device/page-poison": ((5, 2), (7, 2)),
    "virtio-gpu/blob": ((7, 2), (10, 0)),
    "virtio-net-device/backend": ((7, 2), (10, 0)),
    "virtio/128bit_features": ((10, 1), (10, 2)),
    "virtio_pci/modern_state/features128": ((10, 1), (10, 2)),
}
"""The last release without a subsection and the first that has it."""

SUBSECTIONS: dict[str, Lifetime] = {
    **{name: Lifetime() for name in _ALWAYS.split()},
    **{name: Lifetime() for name in ("ide bmdma/status", "ide bmdma_current")},
    **{name: Lifetime(*lifetime) for name, lifetime in _SINCE.items()},
}
"""By name."""

_MINIMUM: dict[str, list[tuple[Version, int]]] = {
    "hpet": [((5, 2), 1), ((10, 0), 1), ((11, 1), 2)],
    "mc146818rtc": [((5, 2), 1), ((10, 0), 1), ((11, 1), 3)],
    "nvme": [((5, 2), 0), ((10, 0), 0), ((11, 1), 1)],
    "virtio-iommu": [((5, 2), 1), ((7, 2), 2), ((11, 1), 2)],
}
"""minimum_version_id by release, where it has changed: in order, each known for that release."""


def minimum_version(vmsd: str, version: Version | None) -> int | None:
    """The oldest version_id of a vmsd that a release reads; None where that is not recorded."""
    if version is None:
        return None
    before: int | None = None
    for release, minimum in _MINIMUM.get(vmsd, []):
        if release == version:
            return minimum
        if release > version:
            return minimum if before == minimum else None
        before = minimum
    return before


REGISTERED_ALWAYS = frozenset({"dirty-bitmap", "globalstate", "ram"})
"""Sections that every QEMU reads, whether it writes them itself or not."""

REGISTERED_SILENTLY = frozenset({"audio"})
"""Sections that a QEMU reads where it has such a device, and no longer writes since 6.0."""

READ_THOUGH_OFF: dict[str, tuple[str, Lifetime]] = {
    "PCIHost": ("x-config-reg-migration-enabled=off", Lifetime()),
    "pcspk": ("migrate=off", Lifetime()),
    "ramfb-dev": ("x-migrate=off", Lifetime((7, 2), (10, 0))),
    "smbus-eeprom": ("an old machine type", Lifetime()),
}
"""Sections that a QEMU reads where it has the device, even if it writes none (`.needed` of a vmsd that is
registered), what keeps it from it, and since when there is such a section."""

EQUAL_VMSDS = frozenset({"virtio-mem-device/sanity-checks"})
"""Structs of which every field must be the target's."""

PER_CPU_SUBSECTIONS: dict[str, tuple[int, int]] = {"ich9_pm/cpuhp": (5, 10), "piix4_pm/cpuhp": (5, 10)}
"""Subsections with an element for each possible CPU: bytes before the elements, bytes of one."""

FEATURES: dict[int, Lifetime] = {
    35: Lifetime((7, 2), (10, 0)),  # IN_ORDER
    40: Lifetime((7, 1), (7, 2)),  # RING_RESET
    54: Lifetime((7, 2), (10, 0)),  # GUEST_USO4
    55: Lifetime((7, 2), (10, 0)),  # GUEST_USO6
    56: Lifetime((7, 2), (10, 0)),  # HOST_USO
}
"""virtio feature bits that QEMU offers only since a release, by whether its devices have the property."""

FEATURE_SUBSECTIONS: dict[int, str] = {32: "virtio/virtqueues", 34: "virtio/packed_virtqueues"}
"""Feature bits (VERSION_1, RING_PACKED) that a device offers just where it saves this subsection."""

FIELDS_BY_STATE = frozenset({("PCIE_AER_ERROR_LOG", "log"), ("ide_drive", "identify_data")})
"""(vmsd, field) that are there or not by what was loaded before them: no matter for compatibility."""

SIZED_BY_STATE: dict[tuple[str, str], str] = {
    ("PCIE_AER_ERROR_LOG", "log"): "log_num",
    ("cbinfoarray", "cbinfo"): "n",
    ("clipboard/content", "data"): "size",
    ("cpu", "cpreg_vmstate_indexes"): "cpreg_vmstate_array_len",
    ("cpu", "cpreg_vmstate_values"): "cpreg_vmstate_array_len",
    ("cpu", "env.regbase"): "env.nwindows",
    ("cpu", "irqstate"): "irqstate_saved_size",
    ("dbus-vmstate", "data"): "data_size",
    ("openpic", "src"): "max_irq",
    ("spapr_dtb", "fdt_blob"): "fdt_size",
    ("spapr_event_log_entry", "extended_log"): "extended_length",
    ("spapr_iommu", "mig_table"): "mig_nb_table",
    ("spapr_nvram", "buf"): "size",
    ("spapr_pci", "msi_devs"): "msi_devs_num",
    ("tpm-emulator", "state_blobs.permanent.buffer"): "state_blobs.permanent.size",
    ("tpm-emulator", "state_blobs.savestate.buffer"): "state_blobs.savestate.size",
    ("tpm-emulator", "state_blobs.volatil.buffer"): "state_blobs.volatil.size",
    ("tpm-spapr", "buffer"): "numbytes",
    ("uefi-var-policy", "entry"): "entry_size",
    ("uefi-variable", "data"): "data_size",
    ("uefi-variable", "name"): "name_size",
    ("uefi-vars", "pio_xfer_buffer"): "buf_size",
    ("vdagent", "msgbuf"): "msgsize",
    ("vdagent", "xbuf"): "xsize",
    ("vdagent/bytearray", "data"): "len",
    ("vmbus-dev", "channels"): "num_channels",
    ("vmbus/gpadl", "gfns"): "num_gfns",
    ("vmbus/vmbus_chan_req", "msg"): "msglen",
    ("vmbus/vmbus_chan_req", "sgl"): "num",
    ("xen_evtchn", "port_table"): "nr_ports",
    ("xen_gnttab", "gnt_frame_gpas"): "nr_frames",
    ("xen_xenstore", "impl_state"): "impl_state_size",
    **{place: length for kind in kinds() for place, length in kind.sized_by.items()},
}
"""(vmsd, field) of each array and buffer whose length is a field of the stream, and that field: the target
goes by it, so that a length that differs is no other layout. From all VMSTATE_*VARRAY* and *VBUFFER* of QEMU
5.2, 7.2, 10.0 and 10.2, without those whose length must be equal on both sides (…_EQUAL) or is the device's
own (ahci's ports, xhci's slots, sdhci's fifo and others: there it is layout); nvme's is of 11.1."""

FIELDS_BY_VERSION = frozenset(
    {
        ("esp", "data_in_ready"),
        ("esp", "data_ready"),
        ("esp", "cmdfifo_cdb_offset"),
        ("esp", "fifo"),
        ("esp", "cmdfifo"),
        ("esp", "ti_cmd"),
        ("esp", "lun"),
        ("esp", "asc_mode"),
    }
)
"""(vmsd, field) inside a struct that are read only from a source that has them: it sends the struct's version
beside it (esp_is_version_5 and others of hw/scsi/esp.c). `drq_state` is read from every source."""

_BY_PROPERTY = frozenset(
    {("PCIDevice", "config[0]"), ("PCIDevice", "config[1]"), ("memory hotplug state", "devs")}
)


def is_by_property(vmsd: str, field: str) -> bool:
    """Whether a field is there or not by a property of the device: both sides must agree."""
    return (vmsd, field) in _BY_PROPERTY or field in kind_of(vmsd).by_property
