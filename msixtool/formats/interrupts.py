"""What of a PC's interrupts a stream holds: local APICs, CPUs, clocks, VT-d's remapping.

Sections are big-endian, structures of guest memory little-endian. Source: QEMU hw/intc/apic_common.c
(vmstate_apic_common), hw/core/cpu-common.c and target/i386/machine.c (vmstate_cpu_common, vmstate_x86_cpu),
softmmu/cpu-timers.c (icount_vmstate_timers), hw/i386/intel_iommu.c (vtd_vmstate); Intel SDM volume 3,
chapter 11 (APIC); Intel VT-d specification, 9.10 (IRTE).
"""

from __future__ import annotations

from construct import Array, Bytes, Flag, Int8ub, Int16ub, Int32ub, Int64sb, Int64ub, Int64ul, Struct

from msixtool.formats import members

REGISTER_WORDS = 8
"""32-bit words of IRR, ISR and TMR: vector v is bit v % 32 of word v // 32."""

APIC = Struct(
    "apicbase" / Int32ub,
    "id" / Int8ub,
    "arb_id" / Int8ub,
    "tpr" / Int8ub,
    "spurious_vec" / Int32ub,
    "log_dest" / Int8ub,
    "dest_mode" / Int8ub,
    "isr" / Array(REGISTER_WORDS, Int32ub),
    "tmr" / Array(REGISTER_WORDS, Int32ub),
    "irr" / Array(REGISTER_WORDS, Int32ub),
)
"""Section `apic`, version 3, as far as messages are concerned."""

IRR_OFFSET = members(APIC)["irr"].offset
"""Bytes in front of `irr`."""
APICBASE_ENABLE, APICBASE_X2APIC = 1 << 11, 1 << 10
SPURIOUS_ENABLE = 1 << 8
FLAT = 0xF
"""`dest_mode` of flat logical destinations; cluster is 0."""

WORD = Int32ub
"""What bits are set in: a word of `irr`, and interrupt_request."""

CPU_COMMON = Struct("halted" / Int32ub, "interrupt_request" / Int32ub)
INTERRUPT_REQUEST_OFFSET = members(CPU_COMMON)["interrupt_request"].offset
"""Bytes in front of `interrupt_request`."""
HARD_INTERRUPT = 2
"""Of interrupt_request: under TCG the APIC has something to deliver (CPU_INTERRUPT_HARD)."""

CPU64_HEAD = Struct("regs" / Array(16, Int64ub), "eip" / Int64ub, "eflags" / Int64ub)
"""How section `cpu` begins in qemu-system-x86_64."""
CPU32_HEAD = Struct("regs" / Array(8, Int32ub), "eip" / Int32ub, "eflags" / Int32ub)
"""How it begins in qemu-system-i386."""
INTERRUPT_FLAG = 1 << 9

TIMER = Struct("cpu_ticks_offset" / Int64sb, "unused" / Bytes(8), "cpu_clock_offset" / Int64sb)
"""Section `timer`: of a stopped VM cpu_clock_offset is its guest time in ns."""

_VTD_REGISTERS = 0x230
INTEL_IOMMU = Struct(
    "root" / Int64ub,
    "intr_root" / Int64ub,
    "iq" / Int64ub,
    "intr_size" / Int32ub,
    "iq_head" / Int16ub,
    "iq_tail" / Int16ub,
    "iq_size" / Int16ub,
    "next_frcd_reg" / Int16ub,
    "csr" / Bytes(_VTD_REGISTERS),
    "iq_last_desc_type" / Int8ub,
    "unused" / Bytes(1),
    "dmar_enabled" / Flag,
    "qi_enabled" / Flag,
    "intr_enabled" / Flag,
    "intr_eime" / Flag,
)
"""Section `iommu-intel`; intr_size counts entries."""

AMD_IOMMU_HEAD = Struct("enabled" / Flag)
"""How section `amd-iommu` begins, where there is one (10.2 and later)."""

IRTE = Struct("low" / Int64ul, "high" / Int64ul)
"""An interrupt remapping table entry, as two words."""
IRTE_PRESENT = 1 << 0
IRTE_LOGICAL = 1 << 2

LOWEST_VECTOR = 16
"""CPU vectors below are illegal in a message."""
FIXED, LOWEST_PRIORITY = 0, 1
"""Delivery modes that carry a vector."""
