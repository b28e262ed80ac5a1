"""The severities of `validate`, tried: what is an error a real QEMU refuses, and the rest it loads."""

from __future__ import annotations

import pytest

from msixtool.tasks.finding import Severity
from msixtool.tasks.rules.catalogue import RULES
from tests.tasks.rule_streams import CASES, Editor, sample

from .guest import Guest
from .rare import CLOCK, version_of

MACHINE = (
    *("-machine", "pc-q35-7.2", *CLOCK, "-drive", "if=none,id=d0,driver=null-co,size=1M"),
    *("-device", "virtio-net-pci,id=net,romfile=,addr=2", "-device", "virtio-blk-pci,drive=d0,addr=3"),
    *("-device", "e1000e,romfile=,addr=4", "-device", "qemu-xhci,addr=5"),
)
"""The machine of the first sample (samples/README.md)."""

UNSEEN = {"vmdesc"}
"""An error because the reader has nothing to go by: QEMU itself does not look at the vmdesc."""
OF_THE_SAMPLE = [rule for rule, case in CASES.items() if case.base is sample and rule != "skipped"]


@pytest.mark.parametrize("rule", OF_THE_SAMPLE)
def test_what_is_an_error_is_refused_and_the_rest_loads(qemu: str, rule: str) -> None:
    if version_of(qemu) < (7, 2):
        pytest.skip("the sample is of machine type 7.2")
    with Guest(MACHINE, binary=qemu, memory=4, incoming=True) as guest:
        result = guest.load(CASES[rule].edit(Editor(sample())))
    refused = RULES[rule].severity is Severity.ERROR and rule not in UNSEEN
    if rule == "ram-fill":
        refused = version_of(qemu) >= (8, 2)
    assert result.ok is not refused, result.stderr
