"""Loading the own state of a virtio device type: what it reads, and what it refuses of it.

Source: QEMU hw/net/virtio-net.c (vmstate_virtio_net_device and the post_load of its parts),
hw/block/virtio-blk.c (virtio_blk_load_device), hw/char/virtio-serial-bus.c (virtio_serial_load_device),
hw/virtio/virtio-mem.c (virtio_mem_mig_sanity_checks_post_load).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from msixtool.devices import virtio_layout
from msixtool.devices.virtio_layout import VirtioLayout
from msixtool.formats import sizeof, virtio as fmt, virtio_types
from msixtool.qemu import refusals
from msixtool.tasks.compat.load_base import MAX_FIELD, LoadBase, LoadStoppedError, Misfit
from msixtool.words import plural

_BEYOND = 1 << 19
"""How many bytes behind the section are read where the target's layout is longer than the source's."""


def load_device_state(
    owner: LoadBase, at: int, own: VirtioLayout, source: VirtioLayout | None, features: int
) -> int:
    """Load the state at `at` as a target whose own blob is `own`; the offset behind it.

    `source` is the source's blob by its own layout, None where that is not told, and `features` the low 32
    bits that its driver accepted.
    """
    schema = virtio_types.OWN.get(owner.kind)
    if schema is None:
        return _unknown(owner, at, own, source)
    if own.own is None or own.own.value is None:
        _not_told_apart(owner)
    parameters: dict[str, Any] = {**own.parameters, "features": features}
    data = _rest(owner, at)
    if owner.kind == "virtio-console":
        return at + _serial(owner, data, own)
    theirs, length = _measured(owner, schema, data, 0, parameters)
    check = _CHECKS.get(owner.kind)
    if check is not None:
        check(owner, theirs, own, source)
    return at + length


def _measured(
    owner: LoadBase, schema: Any, data: bytes, at: int, parameters: dict[str, Any]
) -> tuple[Any, int]:
    """What the target reads at `at` of `data`, and the offset behind it."""
    made = virtio_layout.measure(schema, data, at, parameters)
    if made is None:
        owner.undecided("the state of the device type cannot be read as the target would", field="device")
        raise LoadStoppedError
    return made


def subsection(owner: LoadBase, name: str, version: int, body: int) -> int:
    """The offset behind a subsection of a virtio device whose fields begin at `body`."""
    schema = fmt.FIELDS_BY_SUBSECTION.get(name)
    if schema is not None:
        return body + sizeof(schema)
    schema = virtio_types.SUBSECTIONS.get(name)
    made = virtio_layout.measure(schema, _rest(owner, body), 0, {"version": version}) if schema else None
    if made is None:
        owner.undecided(f"subsection {name} is not known: its length is not told", field=name)
        raise LoadStoppedError
    return body + made[1]


def _rest(owner: LoadBase, at: int) -> bytes:
    """The source from `at` to the section's end, and some bytes more."""
    end = owner.item.data_offset + owner.item.data_length
    return owner.read(at, min(MAX_FIELD, max(0, end - at) + _BEYOND))


def _not_told_apart(owner: LoadBase) -> NoReturn:
    owner.undecided("the state of the device type is not told apart from what follows", field="device")
    raise LoadStoppedError


def _unknown(owner: LoadBase, at: int, own: VirtioLayout, source: VirtioLayout | None) -> int:
    """A device type that is not known here: as long as it is on the source."""
    if source is None:
        _not_told_apart(owner)
    theirs, ours = (layout.own.end - layout.own.body if layout.own else 0 for layout in (source, own))
    if theirs != ours:
        owner.undecided(
            f"the state of the device type: {theirs} bytes, the target has {ours}", field="device"
        )
    return at + theirs


def _net(owner: LoadBase, theirs: Any, own: VirtioLayout, source: VirtioLayout | None) -> None:
    """virtio-net: what its network backend must be able to do, and how many queues it must have."""
    ours = _value(own)
    for name, needs in (("has_vnet_hdr", "vnet_hdr=on"), ("has_ufo", "TUN_F_UFO")):
        if theirs[name] and not ours[name]:
            values = {"source": theirs[name], "target": ours[name]}
            owner.refuse_as(refusals.BACKEND_LACKS, name=name, needs=needs, **values)
    at_home = _value(source)
    pairs = int(at_home.max_queue_pairs or 1) if at_home is not None else None
    if ours.max_queue_pairs is None:
        if pairs is not None and pairs > 1:
            reason = f"max_queue_pairs: {pairs} queues of the network backend, the target's has one"
            owner.differ(Misfit("max_queue_pairs", None, pairs, 1, reason))
        return
    found = pairs if pairs is not None else theirs.max_queue_pairs
    if theirs.max_queue_pairs != ours.max_queue_pairs or pairs == 1:
        queues = plural(found, "queue")
        owner.refuse_as(refusals.BACKEND_QUEUES, source=found, target=ours.max_queue_pairs, queues=queues)
    if theirs.curr_queue_pairs > ours.max_queue_pairs:
        pairs_now = {"source": theirs.curr_queue_pairs, "target": ours.max_queue_pairs}
        owner.refuse_as(refusals.QUEUE_PAIRS, **pairs_now)


def _value(layout: VirtioLayout | None) -> Any:
    return layout.own.value if layout is not None and layout.own is not None else None


def _blk(owner: LoadBase, theirs: Any, own: VirtioLayout, source: VirtioLayout | None) -> None:
    """virtio-blk: requests that wait belong to queues that the target has, and say of which they are on both
    sides or on none."""
    queues, at_home = len(own.state.queues), _value(source)
    if source is not None and at_home is not None and len(at_home.requests) > 1:
        others = len(source.state.queues)
        if (others > 1) != (queues > 1):
            owner.refuse_as(refusals.REQUEST_QUEUES, source=others, target=queues)
    for request in theirs.requests:
        if request.queue is not None and request.queue >= queues:
            owner.refuse_as(refusals.REQUEST_QUEUE, source=request.queue, target=queues)


def _serial(owner: LoadBase, data: bytes, own: VirtioLayout) -> int:
    """virtio-serial: which ports there are has to be the same, in a map as long as the target's, and those
    that are active have to be there. The length of the state."""
    ours = _value(own)
    parameters = {**own.parameters, "max_ports": ours.max_nr_ports}
    head, at = _measured(owner, virtio_types.SERIAL_HEAD, data, 0, parameters)
    for word, (ports, local) in enumerate(zip(head.ports_map, ours.ports_map, strict=False)):
        if ports != local:
            values = {"first": 32 * word, "last": 32 * word + 31, "source": ports, "target": local}
            owner.refuse_as(refusals.PORTS, **values)
    for _ in range(head.nr_active_ports):
        port, at = _measured(owner, virtio_types.SERIAL_PORT, data, at, parameters)
        word = port.id // 32
        if word >= len(ours.ports_map) or not ours.ports_map[word] >> port.id % 32 & 1:
            owner.refuse_as(refusals.PORT_MISSING, source=port.id)
    return at


def _mem(owner: LoadBase, theirs: Any, own: VirtioLayout, _: VirtioLayout | None) -> None:
    """virtio-mem: where it is and how it is cut, unless an early section was asked."""
    ours = _value(own)
    if theirs.checks is not None and ours.checks is not None:
        for field in virtio_types.MEM_CHECKS.subcons:
            owner.must_be_equal(str(field.name), theirs.checks[field.name], ours.checks[field.name])


_CHECKS: dict[str, Callable[[LoadBase, Any, VirtioLayout, VirtioLayout | None], None]] = {
    "virtio-blk": _blk,
    "virtio-mem": _mem,
    "virtio-net": _net,
}
"""By the kind of section: what is refused of a state as the target reads it, from the target's own blob and
the source's by its own layout. virtio-serial checks while it reads."""
