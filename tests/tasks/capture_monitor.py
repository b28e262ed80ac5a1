"""A monitor that plays QEMU: it keeps what it was set to, and can be made slow, odd or endless."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

STREAM = b"QEVM\0\0\0\3\0"
VERSION = {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}


def commands(channel: socket.socket) -> Iterator[tuple[dict[str, Any], int | None]]:
    """What a monitor is asked, each command with the descriptor that came along; None where none did."""
    rest, handed = "", None
    while True:
        data, ancillary, _, _ = channel.recvmsg(65536, 4096)
        if not data:
            return
        for _level, _kind, raw in ancillary:
            handed = array.array("i", raw[: len(raw) // 4 * 4])[0]
        rest += data.decode()
        while rest := rest.lstrip():
            try:
                command, end = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                break  # the rest of the command is still to come
            rest = rest[end:]
            yield command, handed
            handed = None


class PlayedVm(threading.Thread):
    """A VM behind `socket`, a connected one. `answers` overrule what it says to a command.

    An override is called with the command's arguments; what it returns is the answer, None for silence.
    """

    def __init__(self, **answers: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(daemon=True)
        self.socket, self._channel = socket.socketpair()
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.running = True
        self.bandwidth = 1 << 27
        self.capabilities = {"multifd": False, "return-path": True, "mapped-ram": False}
        self.asked: list[str] = []
        self.last_id = ""
        self._pipe = -1
        self._migration: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._channel:
            self._say({"QMP": {"version": VERSION, "capabilities": []}})
            for command, handed in commands(self._channel):
                if handed is not None:
                    self._pipe = handed
                self._take(command)

    def _take(self, command: dict[str, Any]) -> None:
        name, arguments = command["execute"], command.get("arguments", {})
        self.asked.append(name)
        self.last_id = command.get("id")
        own = self.answers.get(name) or getattr(self, "_" + name.replace("-", "_"), lambda _: {})
        answer = own(arguments)
        if answer is not None:
            self._say({"return": answer} | {key: command[key] for key in ("id",) if key in command})

    def _say(self, message: dict[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\r\n")

    def refuse(self, words: str) -> None:
        """Answer the command that is being answered with an error."""
        self._say({"error": {"class": "GenericError", "desc": words}, "id": self.last_id})

    def event(self, name: str, seconds: int = 1, microseconds: int = 0) -> None:
        """Something happens in the VM."""
        stamp = {"seconds": seconds, "microseconds": microseconds}
        self._say({"event": name, "timestamp": stamp})

    def _query_version(self, _: dict[str, Any]) -> Any:
        return VERSION

    def _qom_get(self, _: dict[str, Any]) -> Any:
        return "pc-q35-7.2-machine"

    def _query_status(self, _: dict[str, Any]) -> Any:
        return {"status": "running" if self.running else "paused", "running": self.running}

    def _query_migrate(self, _: dict[str, Any]) -> Any:
        return self._migration

    def _query_migrate_capabilities(self, _: dict[str, Any]) -> Any:
        return [{"capability": name, "state": state} for name, state in self.capabilities.items()]

    def _query_migrate_parameters(self, _: dict[str, Any]) -> Any:
        return {"max-bandwidth": self.bandwidth}

    def _migrate_set_parameters(self, arguments: dict[str, Any]) -> Any:
        self.bandwidth = arguments["max-bandwidth"]
        return {}

    def _migrate_set_capabilities(self, arguments: dict[str, Any]) -> Any:
        for each in arguments["capabilities"]:
            self.capabilities[each["capability"]] = each["state"]
        return {}

    def _stop(self, _: dict[str, Any]) -> Any:
        self.running = False
        self.event("STOP", 5, 999_000)
        return {}

    def _cont(self, _: dict[str, Any]) -> Any:
        self.running = True
        self.event("RESUME", 6, 1_500)
        return {}

    def _migrate(self, _: dict[str, Any]) -> Any:
        os.write(self._pipe, STREAM)
        os.close(self._pipe)
        self._migration = {"status": "completed"}
        return {}

    def _migrate_cancel(self, _: dict[str, Any]) -> Any:
        self._migration = {"status": "cancelled"}
        return {}
