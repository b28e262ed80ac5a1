"""A domain of libvirt is captured through libvirt's own monitor, and runs on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from msixtool import Dump
from tests.cli.conftest import Result, msixtool  # noqa: F401

Tool = Callable[..., Result]
URI = "qemu:///system"


def virsh(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["virsh", "-q", "-c", URI, *words], capture_output=True, text=True, timeout=60)


@pytest.fixture
def domain(qemu: str, tmp_path: Path) -> Iterator[str]:
    """The name of a running domain that is there for one test."""
    if shutil.which("virsh") is None or virsh("list").returncode:
        pytest.skip("no libvirt answers here (.ci/run starts one)")
    name = f"msixtool-{tmp_path.name.replace('_', '-')}"
    (tmp_path / "xml").write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices><emulator>{qemu}</emulator><interface type='user'><model type='virtio'/></interface>"
        "</devices></domain>"
    )
    made = virsh("create", str(tmp_path / "xml"))
    if made.returncode:
        pytest.skip(f"libvirt starts no domain here: {made.stderr.strip()}")
    try:
        yield name
    finally:
        virsh("destroy", name)


def test_a_domain_is_captured_and_runs_on(msixtool: Tool, tmp_path: Path, domain: str) -> None:  # noqa: F811
    common = ("capture", "--domain", domain, "--connect", URI, "--json", "-o")
    devices = msixtool(*common, tmp_path / "devices", "--devices").json
    assert virsh("domstate", domain).stdout.strip() == "running"
    assert devices["devices_only"] is True
    assert devices["paused_ms"] is None or 0 < devices["paused_ms"] < 100
    whole = msixtool(*common, tmp_path / "whole").json
    assert virsh("domstate", domain).stdout.strip() == "running"
    assert whole["machine"] == devices["machine"]
    with Dump.open(tmp_path / "devices") as dump, Dump.open(tmp_path / "whole") as other:
        assert dump.damage == other.damage == []
        assert [device.name for device in dump.devices] == [device.name for device in other.devices]


def test_a_paused_domain_stays_paused(msixtool: Tool, domain: str) -> None:  # noqa: F811
    virsh("suspend", domain)
    shown = msixtool("show", "--domain", domain, "--connect", URI, "--json")
    assert shown.status == 0
    assert "virtio-net" in [device["kind"] for device in shown.json["devices"]]
    assert virsh("domstate", domain).stdout.strip() == "paused"
    assert msixtool("validate", "--domain", domain, "--connect", URI).status in (0, 1)
    assert virsh("resume", domain).returncode == 0


def test_a_domain_that_is_not_there_is_one_line(msixtool: Tool, tmp_path: Path, domain: str) -> None:  # noqa: F811
    result = msixtool("capture", "--domain", "no-such", "--connect", URI, "-o", tmp_path / "out")
    assert result.status == 2
    assert "failed to get domain 'no-such'" in result.error_line
    assert not (tmp_path / "out").exists()
