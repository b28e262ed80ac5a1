"""The vmstate fields that always move: clocks, timers, ticks.

They differ between any two saves of one VM that ran in between, whatever its guest did. Found by
saving VMs of QEMU 5.2, 7.2, 10.0 and 11.1 whose guests do nothing but wait, and, for devices whose
clocks only a guest starts, in the QEMU source files that are named below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

TIMER_TYPE = "timer"
"""The type of fields that hold when a timer is due. Armed timers move with their clock."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A field by the kind of its section and its own name in the vmdesc, both as globs.

    Of a buffer `bytes` are the offsets that move; the others do not.
    """

    kind: str
    field: str
    bytes: frozenset[int] | None = None


_RTC_REGISTERS = frozenset({0, 2, 4, 6, 7, 8, 9, 0x0A, 0x0C, 0x32})
"""Of the CMOS: time and date, update in progress, interrupt flags, century."""

MOVING = (
    # system/cpu-timers.c
    Moving("timer", "cpu_ticks_offset"),
    Moving("timer", "cpu_clock_offset"),
    Moving("timer", "qemu_icount*"),
    Moving("timer", "vm_clock_warp_start"),
    Moving("timer", "last_delta"),
    # target/i386/machine.c
    Moving("cpu", "env.tsc"),
    Moving("cpu", "env.tsc_deadline"),
    Moving("cpu", "env.msr_hv_runtime"),
    # hw/i386/kvm/clock.c
    Moving("kvmclock", "clock"),
    # hw/intc/apic_common.c
    Moving("apic", "initial_count_load_time"),
    Moving("apic", "next_time"),
    Moving("apic", "timer_expiry"),
    # hw/timer/i8254_common.c: up to 5.2 with the channel in the name of the first
    Moving("i8254", "count_load_time"),
    Moving("i8254", "*next_transition_time"),
    # hw/timer/hpet.c
    Moving("hpet", "hpet_counter"),
    Moving("hpet", "hpet_offset"),
    # hw/rtc/mc146818rtc.c
    Moving("mc146818rtc", "cmos_data", _RTC_REGISTERS),
    Moving("mc146818rtc", "next_periodic_time"),
    Moving("mc146818rtc", "base_rtc"),
    Moving("mc146818rtc", "last_update"),
    Moving("mc146818rtc", "next_alarm_time"),
    # hw/acpi/piix4.c, ich9.c, ich9_tco.c
    Moving("*", "*tmr.overflow_time"),
    Moving("ICH9LPC", "expire_time"),
    # hw/usb/hcd-uhci.c, hcd-ehci.c, hcd-ohci.c, hcd-xhci.c
    Moving("*uhci*", "expire_time"),
    Moving("*uhci*", "frnum"),
    Moving("*ehci*", "last_run_ns"),
    Moving("*ehci*", "frindex"),
    Moving("*ohci*", "sof_time"),
    Moving("*ohci*", "frame_number"),
    # hw/net/rtl8139.c, hw/net/pcnet.c
    Moving("rtl8139", "TCTR"),
    Moving("pcnet", "timer"),
    # hw/audio/intel-hda.c, hda-codec.c
    Moving("*", "wall_clk"),
    Moving("*", "buft_start"),
    # hw/core/ptimer.c
    Moving("*", "next_event"),
    Moving("*", "last_event"),
    # hw/ppc/ppc.c
    Moving("*", "guest_timebase"),
    Moving("*", "time_of_the_day_ns"),
)

_INDEX = re.compile(r"\[[0-9]+\]\Z")


def moving_bytes(kind: str, path: str) -> frozenset[int] | None:
    """Of a buffer that moves in part: the offsets that do. None for every other field."""
    found = _find(kind, path)
    return None if found is None else found.bytes


def is_moving(kind: str, path: str, type_name: str) -> bool:
    """Whether a field of a section of `kind` always moves, as a whole; `path` is its vmdesc path."""
    found = _find(kind, path)
    return type_name == TIMER_TYPE or (found is not None and found.bytes is None)


def _find(kind: str, path: str) -> Moving | None:
    name = _INDEX.sub("", path.rpartition("/")[2])
    return next((row for row in MOVING if fnmatchcase(kind, row.kind) and fnmatchcase(name, row.field)), None)
