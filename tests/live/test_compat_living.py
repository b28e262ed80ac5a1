"""compat of a running VM: its devices are taken, and it runs on; what RAM would decide is undecided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.test_capture import vm

pytest.importorskip("qemu.qmp")

Tool = Callable[..., Result]


def test_a_running_vm_is_compared_with_a_program_and_with_a_stream(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    with vm(qemu) as machine:
        on = msixtool("compat", "--qmp", machine.socket, "--on", qemu, "--json")
        tried = msixtool("compat", "--qmp", machine.socket, "--on", qemu, "--try", "--json")
        other = tmp_path / "other.mig"
        command = ("--run", "--", qemu, "-M", "q35", "-m", "16", "-nodefaults", "-display", "none")
        assert msixtool("capture", "-o", other, *command).status == 0
        refused = msixtool("compat", "--qmp", machine.socket, other, "--json")
        assert machine.running
    assert on.status == 0
    assert on.json["source"]["path"] == str(machine.socket)
    assert "the source has no RAM" in on.json["findings"][0]["message"]
    assert on.json["findings"][0]["code"] == "undecided"
    assert tried.json["tried"]["loaded"] is True
    assert not any("no RAM" in each["message"] for each in tried.json["findings"])
    assert (refused.status, refused.json["compatible"]) == (1, False)
    missing = {each["section"].rsplit("/", 1)[-1] for each in refused.json["findings"] if each["section"]}
    assert {"e1000e", "virtio-net"} <= missing
