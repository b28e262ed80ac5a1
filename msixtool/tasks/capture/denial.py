"""Why QEMU may not open a file: its user, AppArmor or SELinux, as far as the system tells.

Source: proc(5) (status, attr/current), Linux security/apparmor, security/selinux; path_resolution(7).
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")
_APPARMOR = re.compile(r"(\S+) \((enforce|complain|kill|unconfined|prompt|mixed)\)")


@dataclass(frozen=True, slots=True)
class Process:
    """The process at the other end of a socket, and the user that it has."""

    pid: int
    user: int

    @property
    def root(self) -> str:
        """What its / is called here: "" where it is our own, or cannot be known."""
        path = f"/proc/{self.pid}/root"
        try:
            return "" if os.path.samestat(os.stat(path), os.stat("/")) else path
        except OSError:
            return ""

    @property
    def groups(self) -> set[int]:
        """The groups that it is in; empty where that cannot be known."""
        lines = dict(
            line.split(":", 1) for line in _read(f"/proc/{self.pid}/status").splitlines() if ":" in line
        )
        words = f"{lines.get('Gid', '')} {lines.get('Groups', '')}".split()
        return {int(word) for word in words if word.isdecimal()}

    @property
    def confinement(self) -> str | None:
        """What confines it in words; None for nothing, or where that cannot be known."""
        label = _read(f"/proc/{self.pid}/attr/current").strip("\0\n ")
        profile = _APPARMOR.fullmatch(label)
        if profile is not None:
            return None if profile[2] in ("complain", "unconfined") else f"AppArmor (profile {profile[1]})"
        return f"SELinux (label {label})" if label.count(":") >= 3 else None


def peer_of(connection: socket.socket) -> Process | None:
    """The process that listens at a UNIX socket; None where the system does not tell."""
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    pid, user, _ = _CREDENTIALS.unpack(data)
    return Process(pid, user) if pid > 0 else None


def why_denied(process: Process | None, path: str, said: str) -> str:
    """Why a process may not open a file that its user may write: QEMU's own words for all but denials."""
    if "ermission denied" not in said:
        return said
    if process is None:
        return "permission denied, by its user, AppArmor or SELinux"
    closed = _closed_folder(process, path)
    if closed is not None:
        return f"QEMU's user {process.user} may not pass {closed}"
    return f"{process.confinement or 'a security module'} keeps QEMU from it"


def _closed_folder(process: Process, path: str) -> str | None:
    """The first folder on the way that the process's user may not pass; None for none."""
    if process.user == 0:
        return None
    folder = ""
    for name in path.split("/")[1:-1]:
        folder += f"/{name}"
        try:
            status = os.stat(folder)
        except OSError:
            return None
        if status.st_uid == process.user:
            passes = status.st_mode & stat.S_IXUSR
        elif status.st_gid in process.groups:
            passes = status.st_mode & stat.S_IXGRP
        else:
            passes = status.st_mode & stat.S_IXOTH
        if not passes:
            return folder
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
