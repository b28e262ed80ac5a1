"""A QEMU that is handed no file and opens its own: in which folder, and what is told where it may in none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from msixtool.errors import InputError
from msixtool.output.files import create
from msixtool.tasks.capture import capture, written_file
from msixtool.tasks.capture.denial import Process, why_denied
from tests.tasks.capture_monitor import STREAM, PlayedVm

pytest.importorskip("qemu.qmp")

NOBODY = 65534
UNHANDED = "No file descriptor supplied via SCM_RIGHTS"


class Alone(PlayedVm):
    """A QEMU that is handed nothing, and may write below `folder` alone."""

    def __init__(self, folder: Path | None, words: str = "Permission denied") -> None:
        super().__init__()
        self.opened: list[str] = []
        self._folder = folder
        self._words = words

    def _add_fd(self, _: dict[str, Any]) -> Any:
        return self.refuse(UNHANDED)

    def _query_chardev(self, _: dict[str, Any]) -> Any:
        return [{"label": "qmp", "filename": f"unix:{self._folder}/qmp,server=on"}] if self._folder else []

    def _xen_save_devices_state(self, arguments: dict[str, Any]) -> Any:
        self.opened.append(arguments["filename"])
        if self._folder is None or not arguments["filename"].startswith(str(self._folder)):
            said = f"Unable to open {arguments['filename']}: {self._words}"
            return self.refuse(self._words if self._words.startswith("Could") else said)
        Path(arguments["filename"]).write_bytes(STREAM + b"\0")
        return {}


def take(vm: PlayedVm, out: Path) -> bytes:
    with create(str(out), private=True) as file:
        capture(vm.socket, file, devices=True)
    return out.read_bytes()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a QEMU may write that tells of no socket: one folder for the test, and one that is not there."""
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(written_file, "FOLDERS", (str(tmp_path / "missing"), str(tmp_path / "there")))
    return tmp_path


def test_the_folder_of_its_own_socket_is_the_first(folders: Path) -> None:
    own = folders / "own"
    own.mkdir()
    vm = Alone(own)
    assert take(vm, folders / "out").startswith(STREAM[:8])
    (opened,) = vm.opened
    assert opened.startswith(f"{own}/msixtool-")
    assert os.listdir(own) == os.listdir(folders / "there") == []
    assert vm.running


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Permission denied", "there: a security module keeps QEMU from it"),
        ("No space left on device", "devices: No space left on device"),
        ("Could not create 'devices': Is a directory", "there: Could not create"),
    ],
)
def test_where_it_may_write_nowhere_each_place_is_told_in_one_line(
    folders: Path, words: str, told: str
) -> None:
    vm = Alone(None, words)
    with pytest.raises(InputError) as raised:
        take(vm, folders / "out")
    line = str(raised.value)
    assert line.startswith("QEMU can write no file: expected one that it can open")
    assert UNHANDED in line
    assert "missing: msixtool: No such file or directory" in line
    assert told in line
    assert os.listdir(folders / "there") == []
    assert not (folders / "out").exists()
    assert vm.running


def test_a_refusal_of_another_kind_is_not_tried_elsewhere(folders: Path) -> None:
    vm = PlayedVm()
    vm.answers["add-fd"] = lambda _: {"fdset-id": 1, "fd": 9}
    vm.answers["xen-save-devices-state"] = lambda _: vm.refuse("State blocked by non-migratable device")
    with pytest.raises(InputError, match="State blocked by non-migratable device"):
        take(vm, folders / "out")
    assert vm.asked.count("xen-save-devices-state") == 1
    assert vm.asked[-1] != "xen-save-devices-state"  # The set of descriptors was taken away.
    assert "remove-fd" in vm.asked


def test_a_denial_is_told_as_what_it_is(tmp_path: Path) -> None:
    said = "Unable to open /x/devices: Permission denied"
    assert why_denied(None, "/x", "Unable to open /x: Is a directory").endswith("Is a directory")
    assert why_denied(None, "/x", said) == "permission denied, by its user, AppArmor or SELinux"
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    if os.geteuid() != NOBODY:
        stranger = why_denied(Process(os.getpid(), NOBODY), str(closed / "file"), said)
        assert stranger.startswith("QEMU's user 65534 may not pass /")
    assert why_denied(Process(os.getpid(), 0), str(closed / "file"), said).endswith("keeps QEMU from it")


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("libvirt-4dea22b3 (enforce)\n", "AppArmor (profile libvirt-4dea22b3)"),
        (
            "system_u:system_r:svirt_t:s0:c383,c392\0",
            "SELinux (label system_u:system_r:svirt_t:s0:c383,c392)",
        ),
        ("unconfined", None),
        ("libvirt-4dea22b3 (complain)", None),
        ("", None),
    ],
)
def test_what_confines_a_process_has_its_name(
    monkeypatch: pytest.MonkeyPatch, label: str, told: str | None
) -> None:
    monkeypatch.setattr("msixtool.tasks.capture.denial._read", lambda _: label)
    assert Process(1, 0).confinement == told
