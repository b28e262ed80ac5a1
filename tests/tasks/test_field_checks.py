"""Fields that a device refuses when it has read them, each on both sides of its limit."""

from __future__ import annotations

from typing import Any

import pytest

from msixtool import Dump
from msixtool.formats.described import Described
from msixtool.tasks.field_checks import wrong_fields
from msixtool.tasks.section_checks import troubles
from tests.conftest import STREAMS, stream_id
from tests.tasks.rule_streams import Editor, dump_of, field_at, refused


def described(vmsd: str, values: dict[str, Any]) -> dict[str, Any]:
    """The vmdesc of a vmsd with these values, as far as the checks ask for it."""
    subsections = [described(name, value) for name, value in values.items() if "/" in name]
    return {"vmsd_name": vmsd, "fields": [], "subsections": subsections}


def fields(vmsd: str, **values: Any) -> list[str]:
    named = {name.replace("__", "/"): value for name, value in values.items()}
    return [wrong.field for wrong in wrong_fields(Described(described(vmsd, named)), named)]


@pytest.mark.parametrize(
    ("vmsd", "values", "expected"),
    [
        ("serial", {"lsr": 0x60}, []),
        ("serial", {"lsr": 0x20}, ["lsr"]),
        ("serial", {"lsr": 0x20, "serial__tsr": {"tsr_retry": 1}}, []),
        ("serial", {"lsr": 0x60, "serial__tsr": {"tsr_retry": 1}}, ["lsr"]),
        ("ide_drive/pio_state", {"end_transfer_fn_idx": 5}, []),
        ("ide_drive/pio_state", {"end_transfer_fn_idx": 6}, ["end_transfer_fn_idx"]),
        ("hpet", {"num_timers": 3}, []),
        ("hpet", {"num_timers": 33}, ["num_timers"]),
        ("hpet", {"num_timers_save": 2}, ["num_timers_save"]),
        ("lsiscsi", {"msg_len": 8}, []),
        ("lsiscsi", {"msg_len": 9}, ["msg_len"]),
        ("lsiscsi", {"msg_len": -1}, ["msg_len"]),
        ("mptsas", {"doorbell_idx": 3, "doorbell_cnt": 3, "reply_post_head": 129}, []),
        ("mptsas", {"doorbell_idx": 4, "doorbell_cnt": 3}, ["doorbell_idx"]),
        (
            "mptsas",
            {"doorbell_reply_size": 257, "diagnostic_idx": 5},
            ["doorbell_reply_size", "diagnostic_idx"],
        ),
        ("mptsas", {"reply_free_tail": 130}, ["reply_free_tail"]),
        ("vmxnet3", {"txq_num": 8, "rxq_num": 1, "rxq_descr": [{"intr_idx": 24}, {"intr_idx": 25}]}, []),
        ("vmxnet3", {"txq_num": 9}, ["txq_num"]),
        (
            "vmxnet3",
            {"rxq_num": 2, "rxq_descr": [{"intr_idx": 24}, {"intr_idx": 25}]},
            ["rxq_descr[1]/intr_idx"],
        ),
        ("vmxnet3", {"event_int_idx": 25}, ["event_int_idx"]),
        ("PCIE_AER_ERROR_LOG", {"log_num": 8, "log_max": 8}, []),
        ("PCIE_AER_ERROR_LOG", {"log_num": 9, "log_max": 8}, ["log_num"]),
        ("other", {"lsr": 0, "msg_len": 9}, []),
    ],
)
def test_both_sides_of_a_limit(vmsd: str, values: dict[str, Any], expected: list[str]) -> None:
    assert fields(vmsd, **values) == expected


def test_a_vmsd_is_found_where_it_is_nested() -> None:
    inner = {"vmsd_name": "serial", "fields": [{"name": "lsr", "type": "uint8", "size": 1}]}
    outer = {
        "vmsd_name": "pci-serial-multi",
        "fields": [
            {"name": "state", "type": "struct", "struct": inner, "size": 1},
            {"name": "states", "type": "struct", "struct": inner, "size": 1, "array_len": 2},
        ],
    }
    values = {"state": {"lsr": 0x60}, "states": [{"lsr": 0x60}, {"lsr": 0}]}
    assert [wrong.field for wrong in wrong_fields(Described(outer), values)] == ["states[1]/lsr"]


def test_an_ahci_port_of_every_kind_that_is_refused() -> None:

    sound = refused("ahci-fis-target")
    for name, data, message in (
        ("port_regs.cmd", b"\0\0\x80\x06", "port 0: its DMA engine runs and is switched off"),
        ("port_regs.cmd", b"\0\0\x40\x06", "port 0: its FIS receive engine runs and is switched off"),
        ("busy_slot", b"\0\0\0\x20", "port 0: busy slot 32, of 32"),
        ("used", b"\1", "dev[0].ncq_tfs[0]: a queued command that runs was saved"),
    ):
        editor = Editor(sound)
        with dump_of(editor.put(field_at(editor, "ich9_ahci", name), *data)) as dump:
            assert [each.message for each in troubles(dump)] == [message]


@pytest.mark.parametrize("path", STREAMS, ids=stream_id)
def test_no_stream_of_a_sound_qemu_has_one(path: Any) -> None:

    with Dump.open(str(path)) as dump:
        assert [each.message for each in troubles(dump) if each.severity == "error"] == []
