"""A running VM in the place of a file: what makes no sense is one line, before any VM is asked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from msixtool.tasks.capture import monitor
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


@contextmanager
def listening(path: Path, says: bytes | None) -> Iterator[None]:
    """Something at a socket that is no monitor of QEMU's: it says this, None for nothing, and listens on."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        kept = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    kept.append(client)
                    if says == b"":
                        client.close()
                    elif says is not None:
                        client.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


VERSION = b'{"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}'
GREETING = b'{"QMP": {"version": ' + VERSION + b', "capabilities": []}}\r\n'
STRANGERS = {
    "a monitor that somebody holds": (None, "no QMP greeting within 0.3 seconds"),
    "one that closes at once": (b"", "no QMP monitor answers: found the connection has ended"),
    "one that says no word of its greeting to the end": (
        b"x" * (11 << 20),
        "a line longer than any of QMP's",
    ),
    "one that refuses the handshake": (
        GREETING + b'{"error": {"class": "GenericError", "desc": "no"}}\r\n',
        "no QMP monitor answers: found Negotiation failed",
    ),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no QMP monitor answers"),
    "a VNC server": (b"RFB 003.008\n", "no QMP monitor answers"),
    "JSON of another program": (b'{"jsonrpc": "2.0", "result": 1}\r\n', "no QMP monitor answers"),
    "bytes that a terminal obeys": (b"\x1b]0;gone\x07\r\n", "no QMP monitor answers"),
}


@pytest.mark.parametrize(
    "command",
    [["show"], ["validate"], ["load"], ["trace"], ["trace", "--twice", "1s"], ["compat", "--to", "11.1"]],
)
@pytest.mark.parametrize(("says", "line"), STRANGERS.values(), ids=list(STRANGERS))
def test_what_is_no_monitor_is_one_line(
    msixtool: Tool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    says: bytes | None,
    line: str,
) -> None:
    pytest.importorskip("qemu.qmp")
    if says is None:
        monkeypatch.setattr(monitor, "TIMEOUT", 0.3)
    with listening(tmp_path / "qmp", says):
        result = msixtool(*command, "--qmp", tmp_path / "qmp")
    assert (result.status, result.out) == (2, "")
    assert line in result.error_line
    assert not result.error_line.endswith(":")
    assert str(tmp_path / "qmp") in result.error_line
    assert "\x1b" not in result.err


def test_a_socket_that_one_may_not_open_is_one_line(msixtool: Tool, tmp_path: Path) -> None:
    pytest.importorskip("qemu.qmp")
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else for a moment")
    with listening(tmp_path / "qmp", None):
        os.chmod(tmp_path / "qmp", 0o600)
        os.seteuid(65534)
        try:
            result = msixtool("show", "--qmp", tmp_path / "qmp")
        finally:
            os.seteuid(0)
    assert (result.status, result.out) == (2, "")
    assert result.error_line.endswith("no QMP monitor answers: found Permission denied")
