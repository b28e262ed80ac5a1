"""Fields whose inside no vmdesc describes, by their type in it: a virtio-gpu's drawings, a disk's requests.

Source: QEMU hw/display/virtio-gpu.c (virtio_gpu_save), hw/scsi/scsi-bus.c (put_scsi_requests),
hw/scsi/scsi-disk.c (scsi_disk_save_request), hw/scsi/virtio-scsi.c (virtio_scsi_save_request), of 5.2 to
10.2. What nothing in the field tells is a parameter, of which all values are tried: right is the one whose
end is the field's.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from construct import Array, Bytes, If, Int8ub, Int32sb, Int32ub, Int64ub, RepeatUntil, Struct, this

from msixtool.formats.virtio_types import ELEMENT, GPU

_PIXEL_SIZE = 4
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
_GPU = Struct(
    "resources" / RepeatUntil(lambda resource, *_: not resource.resource_id, _RESOURCE),
    "enable" / Int32sb,
    "max_outputs" / Int32ub,
    "scanouts" / Array(this.max_outputs, _SCANOUT),
)
"""The last resource has id 0 and nothing else. Framebuffers are saved since 8.2."""

_SECTOR = 512
_CDB_SIZE = 16
_TO_DEVICE = frozenset(
    bytes.fromhex("04 0a 15 1d 2a 2e 2f 3b 3f 41 42 53 55 83 89 8a 8b 8e 93 a3 a4 aa ae bf")
)
"""Operation codes of commands that send data to the device (scsi_cmd_xfer_mode)."""
_RETRIED = 1


def _sends(request: Any) -> bool:
    return bool(request.buflen and request.cdb[0] in _TO_DEVICE)


def _received(request: Any) -> bool:
    return bool(request.buflen and request.cdb[0] not in _TO_DEVICE and request.more != _RETRIED)


def _disk(inside: Any) -> Any:
    return If(lambda request: request.more and request._params.disk, inside)


_REQUEST = Struct(
    "more" / Int8ub,
    "cdb" / If(this.more, Bytes(_CDB_SIZE)),
    "tag" / If(this.more, Int32ub),
    "lun" / If(this.more, Int32ub),
    "queue" / If(lambda request: request.more and request._params.virtio, Int32ub),
    "element" / If(lambda request: request.more and request._params.virtio, ELEMENT),
    "sector" / _disk(Int64ub),
    "sector_count" / _disk(Int32ub),
    "buflen" / _disk(Int32ub),
    "sent" / If(_sends, Bytes(lambda request: min(_SECTOR * request.sector_count, request.buflen))),
    "received_len" / If(_received, Int32ub),
    "received" / If(_received, Bytes(this.received_len)),
)
_REQUESTS = Struct("requests" / RepeatUntil(lambda request, *_: not request.more, _REQUEST))
"""more is 1 for a request to be tried again, 2 for another, 0 behind the last. A virtio-scsi adds the queue
and what it took of it, a disk what it transfers."""

SCSI_REQUESTS = "scsi-requests"

OPAQUE: dict[str, tuple[Any, list[dict[str, int]]]] = {
    GPU: (_GPU, [{"framebuffers": each} for each in (1, 0)]),
    SCSI_REQUESTS: (
        _REQUESTS,
        [
            {"virtio": virtio, "packed": packed, "disk": disk}
            for disk, virtio, packed in product((1, 0), (1, 0), (0, 1))
        ],
    ),
}
"""By the type that a vmdesc gives a field: its schema, and the parameters to try."""
