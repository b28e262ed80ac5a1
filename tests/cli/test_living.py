"""A running VM in the place of a file: what makes no sense is one line, before any VM is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Result

Tool = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show"], "what to read: expected FILE, --qmp SOCKET or --domain NAME, one of them"),
        (["show", "vm.mig", "--qmp", "vm.qmp"], "what to read"),
        (["show", "--qmp", "vm.qmp", "--domain", "vm"], "which VM: expected a socket or --domain"),
        (["show", "vm.mig", "--connect", "qemu:///system"], "--connect says where a domain is"),
        (["show", "vm.mig", "--watch", "2s"], "--watch is of a running VM"),
        (["show", "--qmp", "vm.qmp", "--watch", "soon"], "'soon' is no time: 2s, 500ms, 1m"),
        (["show", "--qmp", "vm.qmp", "--watch", "1ms"], "'1ms' is not from 0.1 s to 86400 s"),
        (["show", "--qmp", "no-such.qmp", "--watch", "2s"], "no QMP monitor answers"),
        (["trace", "vm.mig", "--twice", "1s"], "--ram and --twice are of a running VM"),
        (["trace", "vm.mig", "--ram"], "--ram and --twice are of a running VM"),
        (["trace", "--qmp", "vm.qmp", "--later", "vm.mig"], "--later is of a stream"),
        (["trace", "--qmp", "no-such.qmp"], "no-such.qmp: no QMP monitor answers"),
    ],
)
def test_what_makes_no_sense_is_one_line(msixtool: Tool, words: list[str], line: str) -> None:
    if "no QMP" in line:
        pytest.importorskip("qemu.qmp")
    result = msixtool(*words)
    assert (result.status, result.out) == (2, "")
    assert line in result.error_line
