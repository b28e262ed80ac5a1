"""The JSON documents of the contract, made from the values of the library.

Field names are part of the contract: none is renamed, removed or given another meaning
without a new schema number; fields may be added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from msixtool.devices.config_space import BarPlace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.dump import OpenDump
from msixtool.errors import shortened
from msixtool.kept import NamedTuple
from msixtool.msix.state import MsixState
from msixtool.qemu.versions import format_version
from msixtool.stream.items import DamageRule, Item

if TYPE_CHECKING:
    from msixtool.tasks.capture import Captured
    from msixtool.tasks.finding import Finding
    from msixtool.tasks.load import Loaded
    from msixtool.tasks.rules.catalogue import RuleFinding

Document = dict[str, Any]


class Origin(NamedTuple):
    """An input as it was read: what `source` of a document says of it, and what is wrong with it.

    `size` is in bytes, `layers` are the containers from the outside in; what is no stream (a SPEC, a saved
    state, a log) has none. `warnings` are oddities of a container in which the stream can be read all the
    same, `base_offset` is what documents add to offsets in the stream.
    """

    path: str | None
    size: int | None
    layers: tuple[Document, ...] = ()
    damage: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    base_offset: int = 0

    def __repr__(self) -> str:
        return f"<Origin {shortened(self.path or '')!r}: {self.size} bytes>"

    @classmethod
    def of(cls, dump: OpenDump, *, told: Collection[DamageRule] = ()) -> Origin:
        """An opened stream. What is of a rule in `told` the answer itself tells: it is no damage there.

        Raises InputError where the file has changed since it was opened.
        """
        damage = tuple(str(each) for each in dump.damage if each.rule not in told)
        layers, warnings = tuple(dump.layers), tuple(dump.warnings)
        return cls(dump.path, dump.size, layers, damage, warnings, dump.base_offset)

    @property
    def domain(self) -> str | None:
        """libvirt's name of the VM, where a save image tells it."""
        return next((layer["domain"] for layer in self.layers if "domain" in layer), None)

    def document(self) -> Document:
        """`source`: the path, the size, the layers."""
        return {"path": self.path, "size": self.size, "layers": list(self.layers)}


def inspect_document(origin: Origin, dump: OpenDump) -> Document:
    """`msixtool.inspect/1`: the stream, its sections, its devices."""
    return {
        "schema": "msixtool.inspect/1",
        "source": origin.document(),
        "stream": stream_document(dump),
        "sections": [section_document(dump, item) for item in dump.index.items],
        "devices": [device_document(device, dump.base_offset) for device in dump.devices],
        "damage": list(origin.damage),
    }


def show_document(origin: Origin, devices: Sequence[MsixDevice]) -> Document:
    """`msixtool.show/1`: each device with its table entries and its pending bits."""
    return {
        "schema": "msixtool.show/1",
        "source": origin.document(),
        "devices": [_shown(device, origin.base_offset) for device in devices],
        "damage": list(origin.damage),
    }


def _shown(device: MsixDevice, base_offset: int) -> Document:
    """DEVICE with its table entries and its pending bits."""
    return device_document(device, base_offset) | {
        "entries": entries_document(device.state),
        "pba": device.state.pba.hex(),
    }


def stream_document(dump: OpenDump) -> Document:
    """`stream`: what the stream says of itself, and what its style says of its writer."""
    index = dump.index
    return {
        "version": index.version,
        "machine": index.machine,
        "page_size": index.page_size,
        "capabilities": list(index.capabilities),
        "uuid": None if index.uuid is None else index.uuid.hex(),
        "vmdesc": index.description is not None,
        "footers": index.footers,
        "size": index.end,
        "writer": {"min": format_version(dump.writer.min), "max": format_version(dump.writer.max)},
        "ram": [{"name": block.idstr, "size": block.used_length} for block in index.blocks],
    }


def section_document(dump: OpenDump, item: Item) -> Document:
    """One item of the stream; offset and length in bytes, header and footer included."""
    return {
        "offset": item.offset + dump.base_offset,
        "length": item.length,
        "type": item.type.word,
        "id": item.section_id,
        "name": item.idstr,
        "instance": item.instance_id,
        "version": item.version_id,
    }


def device_document(device: MsixDevice, base_offset: int = 0) -> Document:
    """DEVICE of the contract; `base_offset` is added to its offset."""
    return {
        "name": device.name,
        "instance": device.instance,
        "section": device.item.section_id,
        "kind": device.kind,
        "offset": device.offset + base_offset,
        "length": device.length,
        "vectors": device.vectors,
        "capability": capability_document(device.capability),
        "bus_master": device.bus_master,
        "function_masked": device.function_masked,
        "masked": device.masked,
        "pending": len(device.state.pending),
        "config_vector": device.config_vector,
        "queue_vectors": list(device.queue_vectors),
    }


def capability_document(capability: MsixCapability | None) -> Document | None:
    """The MSI-X capability: `offset` in configuration space, `control` the Message Control word."""
    if capability is None:
        return None
    return {
        "offset": capability.offset,
        "control": capability.control,
        "enabled": capability.enabled,
        "function_mask": capability.function_mask,
        "table": _place(capability.table),
        "pba": _place(capability.pba),
    }


def _place(place: BarPlace) -> Document:
    return {"bar": place.bar, "offset": place.offset}


def entries_document(state: MsixState, vectors: Iterable[int] | None = None) -> list[Document]:
    """ENTRY of the contract, of all vectors or of some."""
    chosen = range(state.vectors) if vectors is None else vectors
    return [
        {
            "vector": vector,
            "address": state.entries[vector].address,
            "data": state.entries[vector].data,
            "control": state.entries[vector].control,
            "masked": state.entries[vector].masked,
            "pending": state.is_pending(vector),
        }
        for vector in chosen
    ]


def load_document(origin: Origin, refusals: Sequence[Finding], devices: Sequence[Loaded]) -> Document:
    """`msixtool.load/1`: why QEMU would refuse the stream, and what the load sets off in each device."""
    return {
        "schema": "msixtool.load/1",
        "source": origin.document(),
        "ok": not any(finding.severity == "error" for finding in refusals),
        "refusals": [finding.to_json() for finding in refusals],
        "devices": [_loaded_document(device) for device in devices],
        "damage": list(origin.damage),
    }


def _loaded_document(device: Loaded) -> Document:
    return {
        "name": device.name,
        "instance": device.instance,
        "events": [event.to_json() for event in device.events],
        "messages": [asdict(message) for message in device.messages],
        "after": {
            "entries": entries_document(device.after),
            "pba": device.after.pba.hex(),
            "function_masked": device.function_masked,
        },
        "lost": list(device.lost),
        "recovery": device.recovery,
    }


def validate_document(origin: Origin, findings: Sequence[RuleFinding]) -> Document:
    """`msixtool.validate/1`: what is wrong; `ok` where no finding is an error."""
    return {
        "schema": "msixtool.validate/1",
        "source": origin.document(),
        "ok": not any(finding.severity.value == "error" for finding in findings),
        "findings": [finding.to_json(origin.base_offset) for finding in findings],
    }


def capture_document(captured: Captured, path: str, size: int) -> Document:
    """`msixtool.capture/1`: the file, its size in bytes, the VM that it is of, for how long it stood."""
    return {
        "schema": "msixtool.capture/1",
        "path": path,
        "size": size,
        "qemu": captured.qemu,
        "machine": captured.machine,
        "seconds": round(captured.seconds, 3),
        "paused_ms": captured.paused_ms,
        "devices_only": captured.devices_only,
        "notes": list(captured.notes),
    }
