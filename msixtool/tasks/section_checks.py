"""What a QEMU refuses of a section when it has read it, as far as the stream alone shows it.

The checks that a device makes after the load of its own fields (post_load), whatever the target is. One
list for `load`, `validate` and `compat`; docs/refusals.md has all of them, and those that no stream shows.

Source: QEMU hw/ide/ahci.c (ahci_state_post_load), migration/global_state.c (global_state_post_load),
hw/scsi/scsi-bus.c (get_scsi_requests), hw/virtio/virtio.c (virtio_load, where it looks at the rings, and
qemu_get_virtqueue_element), hw/net/virtio-net.c (virtio_net_rss_post_load), softmmu/physmem.c
(address_space_map) of 5.2, 7.2, 10.0 and 10.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from msixtool.devices import virtio_layout
from msixtool.devices.places import config_space, places_of
from msixtool.devices.virtio import Queue
from msixtool.devices.virtio_layout import PACKED_VIRTQUEUES, RingAddresses, VirtioLayout
from msixtool.dump import OpenDump
from msixtool.formats import parse, qevm, sizeof, virtio as fmt, virtio_types, vring
from msixtool.formats.idstr import Idstr, kind_of_section
from msixtool.formats.opaque import SCSI_REQUESTS
from msixtool.qemu import refusals
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.qemu.versions import Lifetime
from msixtool.stream.items import Item
from msixtool.tasks import field_checks
from msixtool.tasks.fields import MAX_SECTION, read_section
from msixtool.tasks.finding import Refused, finding_of
from msixtool.words import plural

_HEAD_SIZE = sizeof(vring.USED)

_STATES = """
debug inmigrate internal-error io-error paused postmigrate prelaunch finish-migrate restore-vm running save-vm
shutdown suspended watchdog guest-panicked colo preconfig
"""
MAX_RSS_TABLE = 128
RUN_STATES = frozenset(_STATES.split())
"""RunState of qapi/run-state.json; preconfig up to 7.1 or so."""

AHCI_KINDS = frozenset({"ich9_ahci", "ahci", "sysbus-ahci"})
_START, _FIS_RX, _FIS_ON, _LIST_ON = 1 << 0, 1 << 4, 1 << 14, 1 << 15
"""Bits of PxCMD (AHCI 1.3.1, section 3.3.7)."""
_COMMAND_LIST, _RECEIVED_FIS = 1024, 256
"""Bytes that each engine maps."""
_BOUNCE = 4096
"""Bytes that a PCI device of 10.0 can map that are not RAM (x-max-bounce-buffer-size)."""
_MAX_COMMANDS = 32
_IS_NCQ = frozenset({0x60, 0x61, 0x63, 0x64, 0x65})
"""READ, WRITE, NON-DATA, SEND and RECEIVE FPDMA QUEUED."""


def _refused(
    item: Item, refusal: Refusal, value: Any = None, loads: Lifetime | None = None, **values: Any
) -> Refused:
    made = finding_of(refusal, *item.key, source=value, **values)
    return Refused(refusal, made, item.offset, loads=loads or refusal.loads)


_asked: WeakKeyDictionary[OpenDump, tuple[Refused, ...]] = WeakKeyDictionary()


def troubles(dump: OpenDump) -> tuple[Refused, ...]:
    """All of a stream, in stream order; looked for once, as refusals, warnings and rules each ask."""
    found = _asked.get(dump)
    if found is None:
        found = _asked[dump] = tuple(sorted(_troubles(dump), key=lambda refused: refused.offset))
    return found


def _troubles(dump: OpenDump) -> list[Refused]:
    found: list[Refused] = []
    blobs: list[tuple[Item, VirtioLayout]] = []
    for item in dump.index.full_sections():
        kind = kind_of_section(item.idstr or "")
        if item.idstr == "globalstate":
            found += _run_state(dump, item)
        elif kind in AHCI_KINDS or kind in field_checks.KINDS:
            found += _fields(dump, item, kind)
        elif (blob := virtio_blob(dump, item)) is not None:
            blobs.append((item, blob))
            found += _rss(item, blob)
    found += _requests(dump, blobs)
    found += _rings(dump, blobs)
    return found


def virtio_blob(dump: OpenDump, item: Item) -> VirtioLayout | None:
    """The virtio device of a section; None where it has none on a PCI bus."""
    places = places_of(dump.source, item)
    if places.virtio is None or places.config is None or item.data_length > MAX_SECTION:
        return None
    data = dump.source.read(item.data_offset + places.virtio, places.virtio_size)
    return virtio_layout.read_blob(data, item.named.kind)


def _run_state(dump: OpenDump, item: Item) -> Iterator[Refused]:
    data = dump.source.read(item.data_offset, sizeof(qevm.GLOBAL_STATE))
    if len(data) < sizeof(qevm.GLOBAL_STATE):
        return
    name = parse(qevm.GLOBAL_STATE, data, what="run state").runstate.split(b"\0", 1)[0].decode("latin-1")
    if name not in RUN_STATES:
        yield _refused(item, refusals.RUN_STATE, name, state=repr(name) if name else "empty, which")


def _rss(item: Item, blob: VirtioLayout) -> Iterator[Refused]:
    rss = blob.subsection(virtio_types.RSS_SUBSECTION)
    length = 1 if rss is None or rss.value is None else int(rss.value.indirections_len)
    if length.bit_count() != 1 or length > MAX_RSS_TABLE:
        yield _refused(item, refusals.RSS_TABLE, length)


def _fields(dump: OpenDump, item: Item, kind: str) -> Iterator[Refused]:
    """What single fields show, where the vmdesc tells them."""
    if item.layout is None:
        return
    values = read_section(dump, item).values()
    for wrong in field_checks.wrong_fields(item.layout, values):
        yield _refused(item, refusals.DEVICE_STATE, wrong.value, name=wrong.field, why=wrong.why)
    if kind in AHCI_KINDS:
        yield from _ahci(dump, item, values)


def _requests(dump: OpenDump, blobs: list[tuple[Item, VirtioLayout]]) -> Iterator[Refused]:
    """What was in flight at a device that cannot load it: a SCSI controller without a load_request, and
    each virtio device with packed rings."""
    unable = {
        item.named.path: refusals.LOST_REQUESTS
        for item in dump.index.full_sections()
        if not kind_of(item.named.kind).loads_requests
    }
    for item, blob in blobs:
        if blob.subsection(PACKED_VIRTQUEUES) is not None:
            unable[item.named.path] = refusals.PACKED_REQUESTS
            if blob.own is not None and virtio_types.in_flight(blob.own.value):
                yield _refused(item, refusals.PACKED_REQUESTS)
    for item in dump.index.full_sections() if unable else ():
        refusal = unable.get(Idstr(item.named.path).path)
        if refusal is not None and item.layout is not None:
            sizes = (each.size for each in item.layout.walk() if each.type == SCSI_REQUESTS)
            if any(size > 1 for size in sizes):
                yield _refused(item, refusal)


# AHCI


def _ahci(dump: OpenDump, item: Item, values: dict[str, Any]) -> Iterator[Refused]:
    state = values.get("ahci", values)
    ports = state.get("dev") if isinstance(state, dict) else None
    if not isinstance(ports, list) or not all(isinstance(port, dict) for port in ports):
        return
    for number, port in enumerate(ports):
        yield from _port(item, number, port)
    yield from _engines(item, ports, _bus_master(dump, item))


def _bus_master(dump: OpenDump, item: Item) -> bool:
    """Whether the controller may reach memory; one that is on no PCI bus always may."""
    space = config_space(dump.source, item)
    return space is None or space.bus_master


def _number(port: dict[str, Any], name: str) -> int:
    value = port.get(name)
    return value if isinstance(value, int) else 0


def _port(item: Item, number: int, port: dict[str, Any]) -> Iterator[Refused]:
    command = _number(port, "port_regs.cmd")
    for start, running, engine in ((_START, _LIST_ON, "DMA"), (_FIS_RX, _FIS_ON, "FIS receive")):
        if command & running and not command & start:
            yield _refused(item, refusals.AHCI_ENGINE, command, port=number, engine=engine)
    slot = port.get("busy_slot", -1)
    if isinstance(slot, int) and slot != -1 and not 0 <= slot < _MAX_COMMANDS:
        yield _refused(item, refusals.AHCI_SLOT, slot, port=number)
    commands = port.get("ncq_tfs")
    for index, one in enumerate(commands if isinstance(commands, list) else []):
        if isinstance(one, dict):
            yield from _queued(item, f"dev[{number}].ncq_tfs[{index}]", one)


def _queued(item: Item, path: str, command: dict[str, Any]) -> Iterator[Refused]:
    halted = _number(command, "halt")
    if _number(command, "used") != halted:
        name, why = "used", "a queued command that runs was saved"
    elif halted and _number(command, "cmd") not in _IS_NCQ:
        name, why = "cmd", "a queued command that is none"
    elif halted and _number(command, "slot") != _number(command, "tag"):
        name, why = "slot", "slot and tag differ"
    else:
        return
    yield _refused(item, refusals.AHCI_COMMAND, path=path, name=name, why=why)


def _engines(item: Item, ports: list[dict[str, Any]], bus_master: bool) -> Iterator[Refused]:
    """Without bus mastering nothing that an engine maps is RAM, and QEMU has little room for what is not."""
    if bus_master:
        return
    engines = [
        (number, engine, length, command)
        for number, port in enumerate(ports)
        for bit, length, engine in ((_START, _COMMAND_LIST, "DMA"), (_FIS_RX, _RECEIVED_FIS, "FIS receive"))
        if (command := _number(port, "port_regs.cmd")) & bit
    ]
    if len(engines) < 2:
        return
    number, engine, _, command = engines[1]
    beyond = sum(length for _, _, length, _ in engines) > _BOUNCE
    refusal = refusals.AHCI_BOUNCE if beyond else refusals.AHCI_BUS_MASTER
    yield _refused(item, refusal, command, port=number, engine=engine)


# Rings


def _rings(dump: OpenDump, blobs: list[tuple[Item, VirtioLayout]]) -> Iterator[Refused]:
    """The indices of each split queue against those in guest memory, which is walked once."""
    wanted = [
        (item, number, queue, ring)
        for item, layout in blobs
        if not layout.features >> fmt.RING_PACKED & 1
        for number, queue in enumerate(layout.state.queues)
        if (ring := layout.ring(number)) is not None
    ]
    for _, _, queue, ring in wanted:
        dump.memory.want(ring.avail, _HEAD_SIZE)
        dump.memory.want(ring.used, _HEAD_SIZE)
        dump.memory.want(ring.desc, _descriptors(queue))
    absent: list[str] = []
    for item, number, queue, ring in wanted:
        heads = dump.memory.read(ring.avail, _HEAD_SIZE), dump.memory.read(ring.used, _HEAD_SIZE)
        indices = [parse(vring.USED, head, what="ring").idx for head in heads if head is not None]
        if len(indices) < len(heads) or _is_blank(dump, queue, ring, indices):
            absent.append(f"{item.idstr} queue {number}")
            continue
        yield from _ring(item, number, queue, *indices)
    if absent:
        others = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        yield _refused(wanted[0][0], refusals.RING_UNKNOWN, rings=f"{absent[0]}{others}")


def _descriptors(queue: Queue) -> int:
    return 16 * min(queue.num, 1 << 10)


def _is_blank(dump: OpenDump, queue: Queue, ring: RingAddresses, indices: list[int]) -> bool:
    """Whether a queue that was used has neither indices nor descriptors: that memory is not its guest's."""
    if any(indices) or not queue.last_avail_idx:
        return False
    return not any(dump.memory.read(ring.desc, _descriptors(queue)) or b"")


def _ring(item: Item, number: int, queue: Queue, available: int, used: int) -> Iterator[Refused]:
    size, last = queue.num, queue.last_avail_idx
    ahead = (available - last) & 0xFFFF
    in_use = (last - used) & 0xFFFF
    broken = ahead > size
    values: dict[str, Any] = {"queue": number, "size": size, "last": last}
    if in_use > size:
        loads = refusals.CHECKS_AVAILABLE if broken else None
        yield _refused(item, refusals.RING_USED, used, loads, **values)
    if broken:
        yield _refused(item, refusals.RING_AVAILABLE, available, waiting=plural(ahead, "request"), **values)
