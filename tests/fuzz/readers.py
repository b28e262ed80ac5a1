"""All readers by name, each with the way to make inputs for it."""

from __future__ import annotations

from math import ceil

from tests.fuzz import (
    container_readers as containers,
    disks,
    logs,
    lzops,
    qmp_reader,
    stream_inputs,
    stream_readers as streams,
    text_readers as texts,
    trace_readers as traces,
    virtio_readers as devices,
)
from tests.fuzz.outcome import Reader

_ALL = (
    Reader("stream", "a stream from its end", stream_inputs.any_stream, streams.read, stream_inputs.names, 6),
    Reader(
        "forward", "a stream from its start", stream_inputs.any_stream, streams.walk, stream_inputs.names, 4
    ),
    Reader(
        "resync",
        "a stream without vmdesc",
        stream_inputs.without_vmdesc,
        streams.walk,
        stream_inputs.names,
        6,
    ),
    Reader("vmdesc", "the JSON of a vmdesc", stream_inputs.description, streams.read, stream_inputs.names, 4),
    Reader("device", "a section with MSI-X", stream_inputs.device, streams.read, stream_inputs.names, 8),
    Reader("ram", "RAM records", stream_inputs.ram, streams.walk, stream_inputs.names, 10),
    Reader(
        "mapped-ram", "RAM in a file of its own", stream_inputs.mapped, streams.mapped, stream_inputs.names, 3
    ),
    Reader("virtio", "the virtio blob", devices.blob, devices.read_blob, devices.blob_names, 25),
    Reader("pci", "PCI configuration space", devices.space, devices.read_space, devices.space_names, 40),
    Reader("saved", "a raw MSI-X vmstate", devices.saved, devices.read_saved_state, devices.saved_names, 0.7),
    Reader("fields", "all fields", stream_inputs.any_stream, streams.fields, stream_inputs.names, 1.5),
    Reader("load", "the load path", stream_inputs.with_device, streams.load, stream_inputs.names, 1.5),
    Reader("compat", "compat, as the source", stream_inputs.pair, streams.compat, stream_inputs.names, 1),
    Reader(
        "compat-target",
        "compat, as the target",
        stream_inputs.pair,
        streams.compat_target,
        stream_inputs.names,
        1,
    ),
    Reader("diff", "diff with fields and RAM", stream_inputs.pair, streams.diff, stream_inputs.names, 0.7),
    Reader("forge", "forge", stream_inputs.with_device, streams.forged, stream_inputs.names, 1),
    Reader("trace", "rings and routes", traces.guest, traces.read, traces.names, 0.7),
    Reader("compressed", "gzip to lzop", containers.packed, containers.read, containers.packed_names, 1.5),
    Reader(
        "unpacked",
        "gzip to lzop, bytes",
        containers.packed,
        containers.read_bytes,
        containers.packed_names,
        1.5,
    ),
    Reader("lzop", "lzop", lzops.file, containers.read, lzops.names, 3, lzops.mutate),
    Reader("libvirt", "libvirt's save image", containers.image, containers.read, containers.image_names, 4),
    Reader("qcow2", "qcow2 and its snapshots", disks.image, containers.read, disks.names, 8, disks.mutate),
    Reader(
        "layers", "containers in containers", containers.layers, containers.read, containers.inner_names, 1.2
    ),
    Reader("spec", "SPEC", texts.spec, texts.read_spec, texts.spec_names, 20, texts.mutate_spec),
    Reader("replay", "scripts", texts.script, texts.read_script, texts.script_names, 25, texts.mutate_script),
    Reader("log", "logs, for explain", logs.log, logs.read, logs.names, 5, logs.mutate),
    Reader("wrapped", "logs packed, quoted, folded", logs.wrapped, logs.read, logs.names, 3, logs.mutate),
    Reader(
        "vmstate",
        "-dump-vmstate",
        texts.vmstate,
        texts.read_vmstate,
        texts.vmstate_names,
        3,
        texts.mutate_state,
    ),
    Reader("qmp", "answers of a QMP monitor", qmp_reader.make, qmp_reader.read, qmp_reader.names, 0.15),
)

READERS: dict[str, Reader] = {reader.name: reader for reader in _ALL}


def shares(names: list[str], count: int) -> dict[str, int]:
    """How many inputs each reader gets, by its weight, so that they are `count` or a few more."""
    total = sum(READERS[name].weight for name in names)
    return {name: ceil(count * READERS[name].weight / total) for name in names}
