"""A domain of libvirt is captured through libvirt's own monitor, and runs on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from msixtool import Dump
from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.test_capture_pause import short

Tool = Callable[..., Result]
URI = "qemu:///system"


def virsh(*words: str, uri: str = URI) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["virsh", "-q", "-c", uri, *words], capture_output=True, text=True, timeout=120)


def xml(name: str, qemu: str) -> str:
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices><emulator>{qemu}</emulator><interface type='user'><model type='virtio'/></interface>"
        "</devices></domain>"
    )


@pytest.fixture
def domain(qemu: str, tmp_path: Path) -> Iterator[str]:
    """The name of a running domain that is there for one test."""
    if shutil.which("virsh") is None or virsh("list").returncode:
        pytest.skip("no libvirt answers here (.ci/run starts one)")
    name = f"msixtool-{tmp_path.name.replace('_', '-')}"
    (tmp_path / "xml").write_text(xml(name, qemu))
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


def test_a_domain_of_the_users_own_libvirt_is_found_without_its_uri(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    session = "qemu:///session"
    if shutil.which("virsh") is None or virsh("list", uri=session).returncode:
        pytest.skip("no libvirt of the user's own answers here")
    name = f"msixtool-session-{os.getpid()}"
    (tmp_path / "xml").write_text(xml(name, qemu))
    if virsh("create", str(tmp_path / "xml"), uri=session).returncode:
        pytest.skip("libvirt starts no domain of the user's here")
    try:
        shown = msixtool("show", "--domain", name, "--json")
        assert (shown.status, shown.json["source"]["path"]) == (0, f"domain {name}")
        assert virsh("domstate", name, uri=session).stdout.strip() == "running"
    finally:
        virsh("destroy", name, uri=session)


def test_a_domain_is_traced_twice_and_runs_on(msixtool: Tool, domain: str) -> None:  # noqa: F811
    def look() -> list[float | None]:
        found = msixtool("trace", "--domain", domain, "--connect", URI, "--twice", "1.2s", "--json")
        assert (found.status, found.json["lost"]) == (0, [])
        assert virsh("domstate", domain).stdout.strip() == "running"
        return list(found.json["paused_ms"])

    assert short(look)


def test_a_virsh_that_can_hand_over_nothing_is_as_good(
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    domain: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = shutil.which("virsh")
    old = tmp_path / "virsh"
    old.write_text(
        "#!/bin/sh\n"
        "case \"$*\" in *--pass-fds*) echo \"error: command 'qemu-monitor-command' doesn't support option"
        ' --pass-fds" >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    old.chmod(0o755)
    before = msixtool("show", "--domain", domain, "--connect", URI, "--json").json["devices"]
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shown = msixtool("show", "--domain", domain, "--connect", URI, "--json")
    assert shown.status == 0
    assert [each["name"] for each in shown.json["devices"]] == [each["name"] for each in before]
    assert virsh("domstate", domain).stdout.strip() == "running"


def test_a_domain_that_is_off_is_one_line_and_stays_off(
    msixtool: Tool,  # noqa: F811
    qemu: str,
    tmp_path: Path,
    domain: str,
) -> None:
    name = f"{domain}-off"
    (tmp_path / "off").write_text(xml(name, qemu))
    assert virsh("define", str(tmp_path / "off")).returncode == 0
    try:
        result = msixtool("show", "--domain", name, "--connect", URI)
        assert (result.status, result.out) == (2, "")
        assert "domain is not running" in result.error_line
        assert virsh("domstate", name).stdout.strip() == "shut off"
    finally:
        virsh("undefine", name)


def test_a_domain_that_is_being_migrated_is_left_to_it(
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    domain: str,
) -> None:
    def ask(command: str) -> str:
        return virsh("qemu-monitor-command", domain, command).stdout

    # A byte a second, and nobody who reads it: this migration does not end by itself.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "target"))
        server.listen()
        ask('{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 1}}')
        ask('{"execute": "migrate", "arguments": {"uri": "unix:%s"}}' % (tmp_path / "target"))
        for words in (["show"], ["trace"], ["capture", "-o", str(tmp_path / "out")]):
            result = msixtool(*words, "--domain", domain, "--connect", URI)
            assert (result.status, result.out) == (2, "")
            assert "a migration is under way already: found active" in result.error_line
        assert '"status":"active"' in ask('{"execute": "query-migrate"}')
        assert virsh("domstate", domain).stdout.strip() == "running"
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["show"], ["validate"], ["load"], ["trace"], ["trace", "--twice", "1s"]])
def test_a_libvirt_that_is_not_there_is_one_line(msixtool: Tool, words: list[str], domain: str) -> None:  # noqa: F811
    nowhere = "qemu+unix:///system?socket=/nonexistent"
    result = msixtool(*words, "--domain", domain, "--connect", nowhere)
    assert (result.status, result.out) == (2, "")
    assert "libvirt refuses" in result.error_line
    assert "No such file or directory" in result.error_line
