"""Fields whose inside no vmdesc describes, by their type in it: a virtio-gpu's drawings, a disk's requests.

Source: QEMU hw/display/virtio-gpu.c (virtio_gpu_save, virtio_gpu_blob_save), hw/scsi/scsi-bus.c
(put_scsi_requests), hw/scsi/scsi-disk.c (scsi_disk_save_request, scsi_disk_emulate_save_request),
hw/scsi/virtio-scsi.c (virtio_scsi_save_request), hw/scsi/mptsas.c (mptsas_save_request), hw/scsi/mpi.h, of
5.2 to 10.2. What nothing in the field tells is a parameter, of which all values are tried: right is the one
whose end is the field's.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    If,
    Int8ub,
    Int32sb,
    Int32ub,
    Int32ul,
    Int64ub,
    RepeatUntil,
    Struct,
    this,
)

from msixtool.formats.scsi import CDB_SIZE, READS_AND_WRITES, sends
from msixtool.formats.virtio_types import ELEMENT, GPU

_PIXEL_SIZE = 4
MAX_RESOURCES = 1 << 16
"""The most resources that are looked at; guests have some dozens."""
_PAGE = Struct("addr" / Int64ub, "length" / Int32ub)
_THERE = this.resource_id

_RESOURCE = Struct(
    "resource_id" / Int32ub,
    "width" / If(_THERE, Int32ub),
    "height" / If(_THERE, Int32ub),
    "format" / If(_THERE, Int32ub),
    "iov_cnt" / If(_THERE, Int32ub),
    "pages" / If(_THERE, Array(this.iov_cnt, _PAGE)),
    "pixels" / If(_THERE, Bytes(lambda context: _PIXEL_SIZE * context.width * context.height)),
)
_BLOBS = Struct(
    "resources"
    / RepeatUntil(
        lambda resource, *_: not resource.resource_id,
        Struct(
            "resource_id" / Int32ub,
            "blob_size" / If(_THERE, Int32ub),
            "iov_cnt" / If(_THERE, Int32ub),
            "pages" / If(_THERE, Array(this.iov_cnt, _PAGE)),
        ),
    )
)
_FRAMEBUFFER = Struct(
    "format" / Int32ub,
    "bytes_pp" / Int32ub,
    "width" / Int32ub,
    "height" / Int32ub,
    "stride" / Int32ub,
    "offset" / Int32ub,
)
_SCANOUT = Struct(
    "resource_id" / Int32ub,
    "width" / Int32ub,
    "height" / Int32ub,
    "x" / Int32sb,
    "y" / Int32sb,
    "cursor.resource_id" / Int32ub,
    "cursor.hot_x" / Int32ub,
    "cursor.hot_y" / Int32ub,
    "cursor.pos.x" / Int32ub,
    "cursor.pos.y" / Int32ub,
    "fb" / If(this._params.framebuffers, _FRAMEBUFFER),
)
GPU_RESOURCES = RepeatUntil(
    lambda resource, found, _: not resource.resource_id or len(found) >= MAX_RESOURCES, _RESOURCE
)
GPU_HEAD = Struct("enable" / Int32sb, "max_outputs" / Int32ub)
GPU_UNUSED = Struct("resource_id" / Const(0, Int32ub), *GPU_HEAD.subcons)
"""How that of a guest that has made no resource begins."""
_GPU = Struct(
    "resources" / GPU_RESOURCES,
    *GPU_HEAD.subcons,
    "scanouts" / Array(this.max_outputs, _SCANOUT),
)
"""The last resource has id 0 and nothing else. Framebuffers are saved since 8.2."""

_SECTOR = 512
_RETRIED = 1
_NO_BUS, _VIRTIO, _VIRTIO_PACKED, _MPTSAS = range(4)
"""What the controller adds to a request."""
_NO_DISK, _READS_AND_WRITES, _ALL = range(3)
"""Of which requests a disk adds what it transfers: all of them since 10.0, where the machine type is new."""


def _sends(request: Any) -> bool:
    return bool(request.buflen and sends(request.cdb))


def _received(request: Any) -> bool:
    return bool(request.buflen and not sends(request.cdb) and request.more != _RETRIED)


def _virtio(inside: Any) -> Any:
    return If(lambda request: request.more and request._params.bus in (_VIRTIO, _VIRTIO_PACKED), inside)


def _mptsas(inside: Any) -> Any:
    return If(lambda request: request.more and request._params.bus == _MPTSAS, inside)


def _saved(request: Any) -> bool:
    disk = request._params.disk
    return bool(
        request.more and (disk == _ALL or (disk == _READS_AND_WRITES and request.cdb[0] in READS_AND_WRITES))
    )


_SCSI_IO = Struct(
    "TargetID" / Int8ub,
    "Bus" / Int8ub,
    "ChainOffset" / Int8ub,
    "Function" / Int8ub,
    "CDBLength" / Int8ub,
    "SenseBufferLength" / Int8ub,
    "Reserved" / Int8ub,
    "MsgFlags" / Int8ub,
    "MsgContext" / Int32ul,
    "LUN" / Bytes(8),
    "Control" / Int32ul,
    "CDB" / Bytes(CDB_SIZE),
    "DataLength" / Int32ul,
    "SenseBufferLowAddr" / Int32ul,
)
"""MPIMsgSCSIIORequest, as the host that wrote it has it."""

_REQUEST = Struct(
    "more" / Int8ub,
    "cdb" / If(this.more, Bytes(CDB_SIZE)),
    "tag" / If(this.more, Int32ub),
    "lun" / If(this.more, Int32ub),
    "queue" / _virtio(Int32ub),
    "element" / _virtio(ELEMENT),
    "scsi_io" / _mptsas(_SCSI_IO),
    "nsg" / _mptsas(Int32ub),
    "sg" / _mptsas(Array(this.nsg, Struct("base" / Int64ub, "len" / Int64ub))),
    "sector" / If(_saved, Int64ub),
    "sector_count" / If(_saved, Int32ub),
    "buflen" / If(_saved, Int32ub),
    "sent" / If(_sends, Bytes(lambda request: min(_SECTOR * request.sector_count, request.buflen))),
    "received_len" / If(_received, Int32ub),
    "received" / If(_received, Bytes(this.received_len)),
)
_REQUESTS = Struct("requests" / RepeatUntil(lambda request, *_: not request.more, _REQUEST))
"""more is 1 for a request to be tried again, 2 for another, 0 behind the last. A virtio-scsi adds the queue
and what it took of it, an mptsas1068 its own request, a disk what it transfers."""

BLOBS = "blob"
"""Of virtio-gpu/blob (blob=on): drawings that lie in guest memory."""
SCSI_REQUESTS = "scsi-requests"

OPAQUE: dict[str, tuple[Any, list[dict[str, int]]]] = {
    GPU: (_GPU, [{"framebuffers": each} for each in (1, 0)]),
    BLOBS: (_BLOBS, [{}]),
    SCSI_REQUESTS: (
        _REQUESTS,
        [
            {"bus": bus, "packed": int(bus == _VIRTIO_PACKED), "disk": disk}
            for disk, bus in product(
                (_ALL, _READS_AND_WRITES, _NO_DISK), (_VIRTIO, _VIRTIO_PACKED, _MPTSAS, _NO_BUS)
            )
        ],
    ),
}
"""By the type that a vmdesc gives a field: its schema, and the parameters to try."""
