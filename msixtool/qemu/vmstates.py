"""Which vmstate subsections and versions QEMU's releases know, as data.

Source: what QEMU 5.2, 7.2, 10.0 and 11.1 said (qemu/recorded), their streams, and for virtio
hw/virtio/virtio.c and virtio-pci.c. Where a change came between two of those releases the ones
between them are open.
"""

from __future__ import annotations

from msixtool.formats.virtio import RING_PACKED, VERSION_1
from msixtool.qemu.kinds import kind_of, kinds
from msixtool.qemu.recorded import minimum_versions, releases, subsections
from msixtool.qemu.versions import Lifetime, Version

_ASKED = """
cpu/amd_tsc_scale_msr cpu/apx cpu/arch_lbr cpu/async_pf_int_msr cpu/async_pf_msr cpu/async_pv_eoi_msr
cpu/avx512 cpu/cet cpu/error_code cpu/exception_info cpu/fpop_ip_dp cpu/fred
cpu/intel_amx_xtile cpu/intel_pt cpu/intel_sgx cpu/mcg_ext_ctl cpu/mpx
cpu/msr_architectural_pmu cpu/msr_hwcr cpu/msr_hyperv_crash cpu/msr_hyperv_hypercall
cpu/msr_hyperv_reenlightenment cpu/msr_hyperv_runtime cpu/msr_hyperv_stimer cpu/msr_hyperv_synic
cpu/msr_hyperv_time cpu/msr_hyperv_vapic cpu/msr_ia32_feature_control cpu/msr_ia32_misc_enable
cpu/msr_pl0_ssp cpu/msr_smi_count cpu/msr_tsc_adjust cpu/msr_tscdeadline cpu/msr_tsx_ctrl cpu/msr_xfd
cpu/nested_state cpu/pdptrs cpu/pkrs cpu/pkru cpu/poll_control_msr cpu/spec_ctrl cpu/steal_time_msr
cpu/svm_guest cpu/svn_npt cpu/triple_fault cpu/tsc_khz cpu/umwait cpu/virt_ssbd cpu/xen_vcpu cpu/xss
cpu_common/crash_occurred cpu_common/exception_index virtio/128bit_features virtio/64bit_features
virtio/broken virtio/device_endian virtio/disabled virtio/extra_state virtio/packed_virtqueues
virtio/ringsize virtio/started virtio/virtqueues virtio_pci/modern_state ps2kbd/ledstate
ps2kbd/need_high_bit
"""
ASKED = (*_ASKED.split(), *(name for kind in kinds() for name in kind.subsections))
"""Those of CPUs and of virtio, which no -dump-vmstate shows: a QEMU that is recorded is asked for each."""

_UNASKED = """
cpu/kvm_nested_state cpu/kvm_nested_state/svm cpu/kvm_nested_state/vmx cpu/kvm_nested_state/vmx/shadow_vmcs12
cpu/kvm_nested_state/vmx/vmcs12
"""
"""Those inside of a subsection that a machine at rest does not send: no QEMU can be asked for them so."""
_CLOSER = {
    "cpu/cet_shstk": Lifetime((10, 0), (11, 1)),
    "virtio/128bit_features": Lifetime((10, 1), (10, 2)),
    "virtio_pci/modern_state/features128": Lifetime((10, 1), (10, 2)),
}
"""The same of those with a beginning, and of a change between two recorded releases what the source of those
between them says."""


def _recorded() -> dict[str, Lifetime]:
    """By name, of those that the newest release that is recorded still has."""
    known = list(releases())
    found = {}
    for name in subsections(known[-1]):
        without = [release for release in known if name not in subsections(release)]
        later = [release for release in known if not without or release > without[-1]]
        found[name] = Lifetime(without[-1], later[0]) if without else Lifetime()
    return found


SUBSECTION_LIFETIMES: dict[str, Lifetime] = {
    **_recorded(),
    **{name: Lifetime() for name in (*_UNASKED.split(), "ide bmdma/status", "ide bmdma_current")},
    **_CLOSER,
}
"""By name."""


def minimum_version(vmsd: str, version: Version | None) -> int | None:
    """The oldest version_id of a vmsd that a release reads; None where that is not recorded.

    Between two recorded releases it is what both say, after the newest what that one says.
    """
    known = releases()
    if version is None or version < next(iter(known)):
        return None
    before = [release for release in known if release <= version][-1:]
    after = [release for release in known if release >= version][:1]
    said = [minimum_versions(release, vmsd) for release in before + after]
    found = frozenset().union(*said)
    return next(iter(found)) if len(found) == 1 and all(said) else None


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

PER_CPU_SUBSECTIONS: dict[str, tuple[int, int]] = {"ich9_pm/cpuhp": (5, 10), "piix4_pm/cpuhp": (5, 10)}
"""Subsections with an element for each possible CPU: bytes before the elements, bytes of one."""

FEATURE_LIFETIMES: dict[int, Lifetime] = {
    35: Lifetime((7, 2), (10, 0)),  # IN_ORDER
    40: Lifetime((7, 1), (7, 2)),  # RING_RESET
    54: Lifetime((7, 2), (10, 0)),  # GUEST_USO4
    55: Lifetime((7, 2), (10, 0)),  # GUEST_USO6
    56: Lifetime((7, 2), (10, 0)),  # HOST_USO
}
"""virtio feature bits that QEMU offers only since a release, by whether its devices have the property."""

FEATURE_SUBSECTIONS: dict[int, str] = {
    VERSION_1: "virtio/virtqueues",
    RING_PACKED: "virtio/packed_virtqueues",
}
"""Feature bits that a device offers just where it saves this subsection."""

FIELDS_BY_STATE = frozenset({("PCIE_AER_ERROR_LOG", "log"), ("ide_drive", "identify_data")})
"""(vmsd, field) that are there or not by what was loaded before them: no matter for compatibility."""

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
