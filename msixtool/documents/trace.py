"""The document of `trace`. Field names are part of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msixtool.devices.cpus import Cpu
from msixtool.devices.device import MsixDevice
from msixtool.devices.interrupt_route import Route
from msixtool.devices.rings import Ring
from msixtool.documents import Document, Origin
from msixtool.tasks.trace import Interrupt, Trace, Traced


def trace_document(
    origin: Origin,
    traced: Trace,
    damage: Sequence[str],
    later: Origin | None = None,
    paused_ms: Sequence[float | None] | None = None,
) -> Document:
    """`msixtool.trace/1`: CPUs, devices with their interrupts, the lost ones and the suspects.

    `paused_ms` is for how long a running VM stood at each look, None for a stream.
    """
    return {
        "schema": "msixtool.trace/1",
        "source": origin.document(),
        "later": None if later is None else later.document(),
        "paused_ms": None if paused_ms is None else list(paused_ms),
        "cpus": [_cpu(cpu) for cpu in traced.cpus],
        "devices": [_device(each) for each in traced.devices],
        "lost": [_named(device, row) for device, row in traced.lost],
        "suspects": [_named(device, row) for device, row in traced.suspects],
        "missing": list(traced.missing),
        "damage": list(damage),
    }


def _cpu(cpu: Cpu) -> Document:
    apic = cpu.apic
    return {
        "index": cpu.index,
        "apic_id": None if apic is None else apic.id,
        "halted": cpu.halted,
        "interrupts": cpu.interrupts,
        "apic_enabled": None if apic is None else apic.enabled,
        "x2apic": None if apic is None else apic.x2apic,
        "logical_id": None if apic is None else apic.logical_id,
        "tpr": None if apic is None else apic.tpr,
        "requested": [] if apic is None else list(apic.requested),
        "in_service": [] if apic is None else list(apic.in_service),
    }


def _device(traced: Traced) -> Document:
    device = traced.device
    return {
        "name": device.name,
        "instance": device.instance,
        "kind": device.kind,
        "vectors": device.vectors,
        "function_masked": device.function_masked,
        "bus_master": device.bus_master,
        "interrupts": [_interrupt(row) for row in traced.interrupts],
    }


def _interrupt(row: Interrupt) -> Document:
    return {
        "vector": row.vector,
        "use": _word(row.use),
        "queue": row.queue,
        "masked": row.masked,
        "pending": row.pending,
        "address": row.address,
        "data": row.data,
        "route": _route(row.route),
        "ring": None if row.ring is None else _ring(row.ring, row.still_waiting),
        "cause": None if row.cause is None else dict(row.cause.shown),
        "owed": row.owed,
        "where": _word(row.where),
        "verdict": str(row.verdict),
    }


def _route(route: Route) -> Document:
    return {
        "kind": str(route.kind),
        "irte": route.irte,
        "cpus": list(route.cpus),
        "cpu_vector": route.cpu_vector,
        "note": _word(route.note),
    }


def _ring(ring: Ring, still_waiting: bool | None) -> Document:
    return {
        "layout": ring.layout,
        "size": ring.size,
        "available": ring.available,
        "taken": ring.taken,
        "used": ring.used,
        "event": ring.event,
        "suppressed": ring.suppressed,
        "waiting": ring.waiting,
        "still_waiting": still_waiting,
    }


def _named(device: MsixDevice, row: Interrupt) -> Document:
    return {
        "device": device.name,
        "instance": device.instance,
        "queue": row.queue,
        "vector": row.vector,
        "verdict": str(row.verdict),
    }


def _word(value: Any) -> str | None:
    return None if value is None else str(value)
