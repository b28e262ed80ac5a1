"""Loading the second field of virtio-gpu: resources with their pixels, then the scanouts.

Source: QEMU hw/display/virtio-gpu.c, virtio_gpu_save and virtio_gpu_load.
"""

from __future__ import annotations

from msixtool.tasks.compat.load_base import Load
from msixtool.tasks.finding import Code

_RESOURCE_SIZE = 20
"""Bytes of a resource before its backing: id, width, height, format, number of pages."""
_BACKING_SIZE = 12
MAX_RESOURCES = 1 << 16
"""The most resources that are passed over; guests have some dozens."""
_PIXEL_SIZE = 4


def load(owner: Load, at: int, local: int, size: int) -> int:
    """Load the field at `at`; `size` bytes is what a fresh target has, without a resource. The offset
    behind it."""
    end = owner.item.data_offset + owner.item.data_length
    for _ in range(MAX_RESOURCES):
        if not owner.number(at, 4) or at >= end:
            break
        width, height, pages = (owner.number(at + offset, 4) for offset in (4, 8, 16))
        at += _RESOURCE_SIZE + _BACKING_SIZE * pages + _PIXEL_SIZE * width * height
    at += 4
    theirs, ours = owner.number(at + 4, 4), owner.own_number(local + 8, 4)
    if theirs != ours:
        owner.refuse(
            Code.FIELD_MISMATCH,
            f"outputs: {theirs}, the target has {ours}, and they must be equal",
            field="max_outputs",
            source=theirs,
            target=ours,
        )
    return at + size - 4
