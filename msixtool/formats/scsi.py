"""Which way the data of a SCSI command goes, by its command descriptor block, as QEMU tells it.

Source: QEMU hw/scsi/scsi-bus.c (scsi_cmd_xfer_mode, scsi_req_xfer), hw/scsi/scsi-disk.c
(scsi_disk_reqops_dispatch), scsi/utils.c (scsi_cdb_xfer), include/scsi/constants.h: alike in 5.2 to 10.2.
"""

from __future__ import annotations

CDB_SIZE = 16
"""Bytes that QEMU saves of a command, the operation code first."""

READS_AND_WRITES = frozenset(bytes.fromhex("08 0a 28 2a 2e 88 8a 8e a8 aa ae"))
"""The commands that a disk does by DMA; all others it emulates."""

_TO_DEVICE = frozenset(
    bytes.fromhex(
        "04 07 0a 15 18 1d 24 2a 2e 2f 30 31 32 38 39 3a 3b 40 41 42 4c 55 5d 5f"
        "85 8a 8e 8f 93 a1 a4 aa ae af b0 b1 b2 b6 bf"
    )
)
"""What sends data to the device where it moves any. SCAN, UPDATE BLOCK and WRITE LONG are not here: their
codes are START STOP UNIT's of a disk, or QEMU takes them for commands without data."""

_FORMAT_UNIT, _WRITE_6 = 0x04, 0x0A
_VERIFY, _WRITE_SAME, _ATA = frozenset(b"\x2f\x8f\xaf"), frozenset(b"\x41\x93"), frozenset(b"\x85\xa1")
_LENGTHS = {0: slice(4, 5), 1: slice(7, 9), 2: slice(7, 9), 4: slice(10, 14), 5: slice(6, 10)}
"""Where the length stands, by the upper three bits of the operation code."""
_OTHER_LENGTHS = {0x1D: slice(3, 5), 0x3B: slice(6, 9), 0x5D: slice(6, 9), 0x5F: slice(5, 9)}


def sends(cdb: bytes) -> bool:
    """Whether the command sends data to the device (SCSI_XFER_TO_DEV); a length of zero is none."""
    code = cdb[0]
    if code not in _TO_DEVICE or not _has_data(code, cdb[1]):
        return False
    if code in _ATA:
        return not cdb[2] & 0x08 and cdb[2] & 0x03 in (1, 2)
    if code in _WRITE_SAME or code in (_FORMAT_UNIT, _WRITE_6):
        return True
    return any(cdb[_OTHER_LENGTHS.get(code, _LENGTHS[code >> 5])])


def _has_data(code: int, flags: int) -> bool:
    """What the flags in a command's second byte say of its data."""
    if code == _FORMAT_UNIT:
        return bool(flags & 0x10)
    if code in _VERIFY:
        return bool(flags & 0x02)
    return code not in _WRITE_SAME or not flags & 0x01
