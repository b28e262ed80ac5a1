"""What a device refuses of single fields when it has read them: its post_load, where fields alone decide.

By the name of the vmsd, wherever it is nested. What a device compares with its own properties is compat's.

Source: the post_load of QEMU hw/char/serial.c, hw/ide/core.c, hw/net/vmxnet3.c, hw/pci/pcie_aer.c,
hw/scsi/lsi53c895a.c, mptsas.c and hw/timer/hpet.c, the same in 5.2, 7.2, 10.0 and 10.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msixtool.formats.layout import Layout
from msixtool.kept import NamedTuple

_TRANSMITTER_EMPTY = 0x40
_TRANSFER_ENDS = 6
_MESSAGE_BYTES = 8
_DOORBELL, _FIFO, _DIAGNOSTIC = 256, 129, 4
_MOST_QUEUES, _VECTORS = 8, 25
_LEAST_TIMERS, _MOST_TIMERS = 3, 32


class Wrong(NamedTuple):
    """A field that is refused: its path in the section, its value, and why."""

    field: str
    value: Any
    why: str


_KINDS = """
serial pci-serial pci-serial-2x pci-serial-4x ide piix3-ide ich9_ahci ahci vmxnet3 lsiscsi mptsas hpet
pcie-root-port ioh3420 xio3130-express-upstream-port xio3130-express-downstream-port
"""
KINDS = frozenset(_KINDS.split())
"""Kinds of sections in which such a vmsd is."""

Values = dict[str, Any]
Found = tuple[str, Any, str]
"""The name of the field, its value, and why it is refused."""


def wrong_fields(layout: Layout, values: Values, path: str = "") -> Iterator[Wrong]:
    """The fields of a section that its devices refuse; `values` is nested as `layout` nests them."""
    check = _CHECKS.get(layout.name)
    if check is not None:
        for name, value, why in check(values):
            yield Wrong(f"{path}{name}", value, why)
    for field in layout.fields:
        if field.inside is not None:
            for at, each in _elements(values.get(field.name)):
                yield from wrong_fields(field.inside, each, f"{path}{field.name}{at}/")
    for subsection in layout.subsections:
        for _, each in _elements(values.get(subsection.name)):
            yield from wrong_fields(subsection, each, f"{path}{subsection.name}/")


def _elements(value: Any) -> Iterator[tuple[str, Values]]:
    if isinstance(value, dict):
        yield "", value
    elif isinstance(value, list):
        yield from ((f"[{at}]", each) for at, each in enumerate(value) if isinstance(each, dict))


def _number(values: Values, name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0


def _serial(values: Values) -> Iterator[Found]:
    """An empty transmitter has nothing to try again, one that is not empty has."""
    tsr = values.get("serial/tsr")
    retry = _number(tsr, "tsr_retry") if isinstance(tsr, dict) else 0
    lsr = values.get("lsr")
    if isinstance(lsr, int) and bool(lsr & _TRANSMITTER_EMPTY) == (retry > 0):
        state = "empty" if retry > 0 else "not empty"
        yield "lsr", lsr, f"the transmitter is {state}, and tsr_retry is {retry}"


def _pio(values: Values) -> Iterator[Found]:
    index = _number(values, "end_transfer_fn_idx")
    if not 0 <= index < _TRANSFER_ENDS:
        yield "end_transfer_fn_idx", index, f"QEMU has {_TRANSFER_ENDS} ways to end a transfer"


def _lsi(values: Values) -> Iterator[Found]:
    length = _number(values, "msg_len")
    if not 0 <= length <= _MESSAGE_BYTES:
        yield "msg_len", length, f"a message has {_MESSAGE_BYTES} bytes at most"


def _mptsas(values: Values) -> Iterator[Found]:
    for index, size in (("doorbell_idx", "doorbell_cnt"), ("doorbell_reply_idx", "doorbell_reply_size")):
        most = _number(values, size)
        if most > _DOORBELL:
            yield size, most, f"at most {_DOORBELL}"
        elif _number(values, index) > most:
            yield index, _number(values, index), f"{size} is {most}"
    for queue in ("request_post", "reply_post", "reply_free"):
        for end in ("head", "tail"):
            at = _number(values, f"{queue}_{end}")
            if at > _FIFO:
                yield f"{queue}_{end}", at, f"at most {_FIFO}"
    if _number(values, "diagnostic_idx") > _DIAGNOSTIC:
        yield "diagnostic_idx", _number(values, "diagnostic_idx"), f"at most {_DIAGNOSTIC}"


def _vmxnet3(values: Values) -> Iterator[Found]:
    for kind in ("txq", "rxq"):
        count = _number(values, f"{kind}_num")
        if count > _MOST_QUEUES:
            yield f"{kind}_num", count, f"at most {_MOST_QUEUES} queues"
            continue
        queues = values.get(f"{kind}_descr")
        for at, queue in enumerate(queues[:count] if isinstance(queues, list) else ()):
            index = _number(queue, "intr_idx") if isinstance(queue, dict) else 0
            if index >= _VECTORS:
                yield f"{kind}_descr[{at}]/intr_idx", index, f"less than {_VECTORS}"
    if _number(values, "event_int_idx") >= _VECTORS:
        yield "event_int_idx", _number(values, "event_int_idx"), f"less than {_VECTORS}"


def _aer(values: Values) -> Iterator[Found]:
    count, most = _number(values, "log_num"), _number(values, "log_max")
    if count > most:
        yield "log_num", count, f"log_max is {most}"


def _hpet(values: Values) -> Iterator[Found]:
    for name in ("num_timers", "num_timers_save"):
        count = values.get(name)
        if isinstance(count, int) and not _LEAST_TIMERS <= count <= _MOST_TIMERS:
            yield name, count, f"an HPET has {_LEAST_TIMERS} to {_MOST_TIMERS} timers"


_CHECKS: dict[str, Callable[[Values], Iterator[Found]]] = {
    "PCIE_AER_ERROR_LOG": _aer,
    "hpet": _hpet,
    "ide_drive/pio_state": _pio,
    "lsiscsi": _lsi,
    "mptsas": _mptsas,
    "serial": _serial,
    "vmxnet3": _vmxnet3,
}
"""By vmsd: what of its fields is refused."""
