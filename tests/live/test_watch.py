"""`show --watch` of a running VM: look after look, what has changed, and an end without traces."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .guest import Guest

pytest.importorskip("qemu.qmp")

PATIENCE = 120.0
ENTER, LEAVE, CHANGED = "\x1b[?1049h", "\x1b[?1049l", "\x1b[1;32m"


@contextmanager
def guest(qemu: str, folder: Path) -> Iterator[tuple[Guest, list[str]]]:
    """A guest whose table this test writes, and the command that watches it."""
    socket = folder / "qmp"
    arguments = ["-machine", "q35", "-device", "e1000e,romfile=,addr=2"]
    arguments += ["-qmp", f"unix:{socket},server=on,wait=off"]
    with Guest(arguments, binary=qemu) as made:
        made.place()
        yield made, [sys.executable, "-m", "msixtool", "show", "--qmp", str(socket), "--watch", "0.2s"]


def move(made: Guest) -> None:
    """Write the entry of vector 2, as a driver does."""
    (msix,) = made.msix().values()
    msix.set_entry(2, 0xFEE01000, 0x4321, 0)


def read_until(descriptor: int, word: str) -> str:
    """What comes out up to this word."""
    text, end = "", time.monotonic() + PATIENCE
    while word not in text:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        data = os.read(descriptor, 1 << 16) if ready else b""
        assert data, f"{word!r} did not come: {text}"
        text += data.decode()
    return text


def test_a_pipe_gets_all_once_and_then_what_has_changed(qemu: str, tmp_path: Path) -> None:
    with guest(qemu, tmp_path) as (made, command):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None
            first = read_until(watching.stdout.fileno(), "4  ")
            move(made)
            line = read_until(watching.stdout.fileno(), "\n")
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=PATIENCE)
        assert not made.qmp.execute("query-status")["running"]
    assert "0000:00:02.0/e1000e" in first
    assert "e1000e: vector 2" in line
    assert "0x4321" in line or "4321" in line
    assert (watching.returncode, errors) == (0, b"")


def test_programs_get_a_document_for_each_look(qemu: str, tmp_path: Path) -> None:
    with (
        guest(qemu, tmp_path) as (made, command),
        subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        move(made)
        while not (then := json.loads(watching.stdout.readline()))["changed"]:
            assert then["schema"] == "msixtool.show/1"
        watching.terminate()
    assert first["changed"] is None
    assert first["paused_ms"] == 0
    assert {(each["field"], each["vector"]) for each in then["changed"]} >= {("data", 2), ("address", 2)}
    assert then["devices"][0]["entries"][2]["data"] == 0x4321


@contextmanager
def on_a_terminal(command: list[str]) -> Iterator[tuple[int, int]]:
    """The command on a terminal of its own: its process and the terminal's other end."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        os.execv(command[0], command)
    try:
        yield process, terminal
    finally:
        os.close(terminal)


def rest(terminal: int) -> str:
    """What comes out until the command has ended."""
    text = b""
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # How Linux tells that nobody has the terminal open any more.
            return text.decode()
        if not data:
            return text.decode()
        text += data


def test_on_a_terminal_what_has_changed_is_in_colour_and_control_c_ends_it(qemu: str, tmp_path: Path) -> None:
    with guest(qemu, tmp_path) as (made, command), on_a_terminal(command) as (process, terminal):
        first = read_until(terminal, "look 2")
        assert first.startswith(ENTER)
        assert CHANGED not in first
        move(made)
        read_until(terminal, CHANGED)
        os.write(terminal, b"\x03")
        end = rest(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert LEAVE in end
    assert "00004321" in end.partition(LEAVE)[2]


def test_the_vm_goes_and_the_terminal_is_as_it_was(qemu: str, tmp_path: Path) -> None:
    with guest(qemu, tmp_path) as (made, command), on_a_terminal(command) as (process, terminal):
        read_until(terminal, "look 2")
        made.close()
        end = rest(terminal).partition(LEAVE)[2]
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 2
    assert "Traceback" not in end
    (line,) = [line for line in end.splitlines() if line.startswith("msixtool: ")]
    assert "no QMP monitor answers" in line or "QEMU has ended" in line or "lost" in line
