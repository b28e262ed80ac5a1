"""A VM behind libvirt, where virsh is missing, silent, or answers oddly."""

from __future__ import annotations

from pathlib import Path

import pytest

from msixtool.errors import InputError, UsageError
from msixtool.output.files import create
from msixtool.tasks.capture import Domain, capture, managed_address, monitor, virsh


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH but for the shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def refusal(out: Path) -> str:
    with pytest.raises(InputError) as raised, create(str(out)) as file:
        capture(Domain("vm"), file, devices=True)
    assert not out.exists()
    return str(raised.value)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "virsh cannot be started: expected libvirt's clients installed"),
        ("echo 'error: failed to get domain' >&2; exit 1", "domain vm: libvirt refuses: found failed to get"),
        ('echo \'{"error": {"desc": "no such command"}}\'', "QEMU refuses query-status: found no such"),
        ("echo nonsense", "virsh answers query-status with no JSON: found nonsense"),
        ("echo '[]'", "the monitor's answer to query-status makes no sense"),
        ("read -r line < /dev/zero", "libvirt does not answer query-status within 1 seconds"),
    ],
)
def test_each_failure_of_libvirt_is_one_line(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, words: str
) -> None:
    if "does not answer" in words:
        monkeypatch.setattr(monitor, "TIMEOUT", 1.0)
    if script is not None:
        (programs / "virsh").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "virsh").chmod(0o755)
    assert words in refusal(tmp_path / "out")


def test_a_number_is_proxmox_where_its_socket_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virsh, "PROXMOX", str(tmp_path))
    (tmp_path / "101.qmp").touch()
    assert managed_address("101") == f"{tmp_path}/101.qmp"
    assert managed_address("102") == Domain("102")
    assert managed_address("101", "qemu:///system") == Domain("101", "qemu:///system")
    with pytest.raises(UsageError):
        managed_address("")
