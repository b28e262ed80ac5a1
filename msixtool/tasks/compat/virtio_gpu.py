"""Loading the second field of virtio-gpu: resources with their pixels, then the scanouts.

Source: QEMU hw/display/virtio-gpu.c, virtio_gpu_load, and scanout_vmstate_after_v2, which is right for
scanout[0] alone (10.0, 10.2; seen of 11.1); what stands there is formats/opaque.py's.
"""

from __future__ import annotations

from msixtool.devices.virtio_layout import measure
from msixtool.formats import opaque, parse, sizeof
from msixtool.qemu.kinds.virtio import FRAMEBUFFERS
from msixtool.qemu.versions import format_version
from msixtool.tasks.compat.load_base import MAX_FIELD, LoadBase

_HEAD_SIZE = sizeof(opaque.GPU_HEAD)


def load_gpu(owner: LoadBase, at: int, local: int, size: int) -> int:
    """Load the field at `at`; `size` bytes is what a fresh target has, without a resource. The offset
    behind it."""
    end = owner.item.data_offset + owner.item.data_length
    data = owner.read(at, min(MAX_FIELD, max(0, end - at)))
    made = measure(opaque.GPU_RESOURCES, data, 0, {})
    behind = at + (len(data) if made is None else made[1])
    theirs = _outputs(owner.read(behind, _HEAD_SIZE))
    unused = sizeof(opaque.GPU_UNUSED) - _HEAD_SIZE
    ours = _outputs(owner.own_bytes(local + unused, _HEAD_SIZE))
    owner.must_be_equal("max_outputs", theirs, ours)
    if ours > 1 and owner.target.releases.some_since(FRAMEBUFFERS):
        owner.undecided(
            f"{ours} outputs: QEMU since {format_version(FRAMEBUFFERS)} decides by what happens to lie in"
            " its memory whether it reads a framebuffer of each but the first; the load may fail, and succeed"
            " when it is tried again",
            field="max_outputs",
            source=theirs,
            target=ours,
            advice="Start such VMs with max_outputs=1, or a display of its own for each output.",
        )
    return behind + size - unused


def _outputs(head: bytes) -> int:
    outputs: int = parse(opaque.GPU_HEAD, head, what="its outputs").max_outputs
    return outputs
