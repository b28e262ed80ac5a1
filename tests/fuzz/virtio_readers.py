"""Readers of one piece of device state by itself: the virtio blob, PCI configuration, the MSI-X vmstate."""

from __future__ import annotations

import io
import os
import tempfile
from functools import cache
from random import Random

from msixtool import Dump
from msixtool.devices import virtio, virtio_layout
from msixtool.devices.config_space import ConfigSpace
from msixtool.errors import FormatError
from msixtool.formats import msix, virtio_types
from msixtool.msix.state import MsixState
from msixtool.spec.saved import SavedFile
from msixtool.tasks.load_file import load_saved
from tests.fuzz import bases, octets
from tests.fuzz.octets import Place
from tests.fuzz.outcome import Input, MisreadError, Outcome


@cache
def _blobs() -> list[tuple[str, bytes, tuple[Place, ...]]]:
    """The virtio blobs of all streams at hand, each kind and transport once in a while."""
    found: dict[bytes, tuple[str, bytes, tuple[Place, ...]]] = {}
    for base in bases.excerpts():
        if "virtio" not in base.name:
            continue
        for start, end in base.devices:
            data = base.data[start:end]
            if data in found:
                continue
            places = tuple((at - start, width) for at, width in base.places if start <= at < end - width)
            found[data] = (base.name, data, places)
    return list(found.values())


def blob_names() -> list[str]:
    return [name for name, _, _ in _blobs()]


def blob(rng: Random) -> Input:
    """A virtio blob: registers, lengths and counts changed, or moved by bytes put in."""
    name, data, places = rng.choice(_blobs())
    return Input(name, octets.mutate(rng, data, places, resize=rng.random() < 0.3))


def read_blob(made: Input) -> Outcome:
    """The state, and a description of the whole blob, whose fields lie one behind the other inside of it."""
    state = virtio.read_virtio(made.data)
    if not 0 <= state.core_offset <= state.queues_offset <= state.end:
        raise MisreadError("the parts of the blob are out of order")
    kind = next((name for name in virtio_types.OWN if name in made.base), "")
    layout = virtio_layout.read_blob(made.data, kind, state.capability)
    if layout is None:
        return Outcome.PARTLY
    end = 0
    for placed in layout.layout().walk():
        if placed.offset < 0 or placed.size < 0:
            raise MisreadError(f"{placed.path} stands at {placed.offset}")
        end = max(end, placed.offset + placed.size)
    if end > len(made.data):
        raise MisreadError(f"fields reach to {end} in {len(made.data)} bytes")
    return Outcome.WHOLE


@cache
def _spaces() -> list[tuple[str, bytes]]:
    found: dict[bytes, str] = {}
    for base in bases.excerpts():
        for device in Dump.open(io.BytesIO(base.data)).devices:
            if device.config is not None:
                found.setdefault(bytes(device.config.data), base.name)
    return [(name, data) for data, name in found.items()]


def space_names() -> list[str]:
    return [name for name, _ in _spaces()]


def space(rng: Random) -> Input:
    """A configuration space with other registers, capabilities and pointers."""
    name, data = rng.choice(_spaces())
    pointers: list[Place] = [(0x06, 2), (0x0E, 1), (0x34, 1)]
    at, seen = data[0x34], 0
    while at >= 0x40 and at < len(data) - 12 and seen < 48:
        pointers += [(at, 1), (at + 1, 1), (at + 2, 2), (at + 4, 4), (at + 8, 4)]
        at, seen = data[at + 1], seen + 1
    pointers += [(offset, 4) for offset in range(0x10, 0x28, 4)]
    if len(data) > 0x100:
        pointers += [(0x100, 4), (0x100, 2), (0x102, 2)]
    return Input(name, octets.mutate(rng, data, pointers, resize=False))


def read_space(made: Input) -> Outcome:
    """The capability list, MSI-X and whatever else is asked of a configuration space."""
    config = ConfigSpace(made.data)
    found = config.capabilities
    for listed in found:
        if not 0x40 <= listed.offset < 256:
            raise MisreadError(f"a capability at {listed.offset:#x}")
    capability = config.msix
    _ = config.bus_master
    if capability is None:
        return Outcome.PARTLY if len(found) else Outcome.REFUSED
    if not 1 <= capability.vectors <= msix.MAX_VECTORS:
        raise MisreadError(f"{capability.vectors} vectors")
    return Outcome.WHOLE


def saved_names() -> list[str]:
    return ["made: tables of 1 to 2048 vectors"]


def saved(rng: Random) -> Input:
    """A raw MSI-X vmstate, mostly of a right size."""
    vectors = (
        rng.choice((1, 2, 3, 5, 8, 9, 17, 33, 64, 65)) if rng.random() < 0.97 else rng.randrange(1, 2049)
    )
    data = rng.randbytes(msix.vmstate_size(vectors))
    if rng.random() < 0.4:
        data = octets.mutate(rng, data)
    return Input(f"{vectors} vectors", data)


def read_saved_state(made: Input) -> Outcome:
    """A saved state is read, loaded, and written back byte for byte."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
        file.write(made.data)
        file.flush()
        device = SavedFile.read(file.name).devices[0]
        if device.state.to_vmstate() != made.data:
            raise MisreadError("another vmstate comes back")
        kind = ("e1000e", "nvme", "virtio-net", "stranger")[len(made.data) % 4]
        _, loaded = load_saved(SavedFile.read(file.name, kind=kind))
    after = loaded[0].after
    if after.vectors != device.vectors:
        raise MisreadError("the number of vectors changed")
    return Outcome.WHOLE


def read_vmstate(made: Input) -> Outcome:
    """A table with any number of vectors given: what does not fit is refused."""
    for vectors in (1, 3, 2048):
        try:
            MsixState.from_vmstate(made.data, vectors)
        except FormatError:
            continue
        return Outcome.WHOLE
    return Outcome.REFUSED
