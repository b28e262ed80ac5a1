"""The reader of QMP: `capture` against a monitor whose answers are mutated JSON."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from random import Random
from typing import Any

from msixtool.output.files import OutputFile, create
from msixtool.ram.looked_at import Span
from msixtool.tasks.capture import capture, moments, monitor as wire, state, written_file
from tests.fuzz import json_text
from tests.fuzz.outcome import Input, MisreadError, Outcome
from tests.tasks.capture_monitor import commands

GREETING = (
    '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}'
)
ANSWERS: dict[str, str] = {
    "qmp_capabilities": '{"return": {}}',
    "query-version": '{"return": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": "Debian"}}',
    "qom-get": '{"return": "pc-q35-7.2-machine"}',
    "query-status": '{"return": {"status": "running", "singlestep": false, "running": true}}',
    "query-migrate": '{"return": {"status": "completed", "ram": {"total": 4096, "remaining": 0}}}',
    "query-migrate-capabilities": (
        '{"return": [{"state": false, "capability": "xbzrle"}, {"state": true, "capability": "multifd"},'
        ' {"state": false, "capability": "mapped-ram"}]}'
    ),
    "query-migrate-parameters": '{"return": {"max-bandwidth": 134217728, "downtime-limit": 300}}',
    "stop": '{"return": {}}',
    "cont": '{"return": {}}',
    "migrate-set-capabilities": '{"return": {}}',
    "migrate-set-parameters": '{"return": {}}',
    "getfd": '{"return": {}}',
    "closefd": '{"return": {}}',
    "migrate": '{"return": {}}',
    "migrate_cancel": '{"return": {}}',
    "add-fd": '{"return": {"fdset-id": 3, "fd": 21}}',
    "remove-fd": '{"return": {}}',
    "xen-save-devices-state": '{"return": {}}',
    "query-chardev": '{"return": [{"label": "qmp", "filename": "unix:/nowhere/qmp,server=on"}]}',
    "human-monitor-command": '{"return": "0000000000001000: 0x00 0x01 0x02 0x03\\r\\n"}',
}
"""What a QEMU 7.2 answers, by command; the first query-migrate says that none is under way."""

PATIENCE = 20
"""How often it is asked for a migration that goes on and on before the monitor hangs up."""

_ERROR = '{"error": {"class": "GenericError", "desc": "no"}}'
_EVENT = '{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}'
_WORDS = (
    "return",
    "error",
    "class",
    "desc",
    "GenericError",
    "status",
    "none",
    "active",
    "failed",
    "id",
    "QMP",
)

_HOW = "how"
_WAYS = ("whole", "devices", "look")
"""What is asked of the VM: all of it (by older findings, too), its devices, or its devices and a few
bytes of its memory."""

STREAM = b"QEVM\0\0\0\3\0"


def names() -> list[str]:
    return sorted(ANSWERS)


def make(rng: Random) -> Input:
    """A conversation: the greeting, and the answers by command, some of them mutated; and what is asked."""
    talk = {"": GREETING, **ANSWERS}
    chosen = [rng.choice(list(talk)) for _ in range(rng.choice((1, 1, 2, 3)))]
    for name in chosen:
        how = rng.random()
        if how < 0.75:
            talk[name] = json_text.mutate(rng, talk[name], words=_WORDS)
        elif how < 0.9:
            talk[name] = rng.choice(
                (_ERROR, "", "null", "[]", "{}", '{"return": null}', '{"return": []}', "\x00")
            )
        else:
            talk[name] = _EVENT + "\r\n" + talk[name]
    talk[_HOW] = rng.choice(_WAYS)
    return Input(", ".join(chosen), json.dumps(talk).encode("utf-8", "replace"))


def read(made: Input) -> Outcome:
    """A capture of the VM behind such a monitor: it ends, and a file is there whole or not at all."""
    talk: dict[str, str] = json.loads(made.data)
    ours, theirs = socket.socketpair()
    monitor = _Monitor(theirs, talk)
    monitor.start()
    before = wire.TIMEOUT, state.POLL, state.AT_WORK, written_file.FOLDERS
    wire.TIMEOUT, state.POLL, state.AT_WORK, written_file.FOLDERS = 0.1, 0.001, 0.01, ()
    with tempfile.TemporaryDirectory(prefix="msixtool-fuzz-") as folder:
        try:
            with create(f"{folder}/out") as out:
                _ask(ours, out, talk.get(_HOW, _WAYS[0]))
        except BaseException:
            if os.listdir(folder):
                raise MisreadError(f"left behind: {os.listdir(folder)}") from None
            raise
        finally:
            wire.TIMEOUT, state.POLL, state.AT_WORK, written_file.FOLDERS = before
            with contextlib.suppress(OSError):
                ours.close()
            monitor.join(1)
    return Outcome.WHOLE


def _ask(vm: socket.socket, out: OutputFile, how: str) -> None:
    if how == "look":
        for each in moments(vm, lambda _: [Span(0x1000, 4)]):
            each.stream.close()
    else:
        capture(vm, out, devices=how == "devices")


class _Monitor(threading.Thread):
    """Plays QEMU: a line for each command, and a stream into the pipe that it is handed."""

    def __init__(self, channel: socket.socket, talk: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._channel = channel
        self._talk = talk
        self._asked = 0

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._channel:
            self._say(self._talk[""])
            pipe = -1
            for command, handed in commands(self._channel):
                pipe = self._answer(command, pipe if handed is None else handed)

    def _answer(self, command: dict[str, Any], pipe: int) -> int:
        name = command.get("execute", "")
        text = self._talk.get(name, '{"error": {"class": "CommandNotFound", "desc": "what?"}}')
        if name == "query-migrate":
            self._asked += 1
            if self._asked == 1 and text == ANSWERS[name]:
                text = '{"return": {}}'
            if self._asked > PATIENCE:
                raise OSError("nobody waits for ever for a migration that does not end")
        if name in ("migrate", "xen-save-devices-state") and pipe >= 0:
            os.write(pipe, STREAM + b"\0")
            os.close(pipe)
            pipe = -1
        at = text.rfind("}")
        if "id" in command and at > 0:
            text = f'{text[:at]}, "id": {json.dumps(command["id"])}{text[at:]}'
        self._say(text)
        return pipe

    def _say(self, text: str) -> None:
        self._channel.sendall(text.encode("utf-8", "surrogatepass") + b"\r\n")
