"""A libvirt domain as the target of a comparison: its command line, with harmless backends.

`virsh domxml-to-native` makes the command; what cannot be started beside the real VM is taken out or
replaced, and said. Source: libvirt src/qemu/qemu_command.c (what a command has), QEMU qemu-options.hx.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from typing import Any

from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.tasks.cmdline.words import joined, parsed
from msixtool.tasks.compat.domain_networks import network_words, without_networks
from msixtool.tasks.fresh import ask_program

VIRSH_TIMEOUT = 300.0
"""Seconds within which virsh has to answer. A libvirt that has just been installed asks every emulator of the
host what it can do before it does: 6 s where there are 19, minutes on a busy host."""
_MIB = 1 << 20
_MOST_XML = 16 << 20
_TAKEN_OUT = frozenset(
    {
        "-name", "-mon", "-qmp", "-monitor", "-serial", "-parallel", "-display", "-vnc", "-spice", "-pidfile",
        "-runas", "-sandbox", "-incoming", "-msg", "-D", "-d", "-add-fd", "-chroot", "-tpmdev", "-run-with",
        "-loadvm",
    }
)  # fmt: skip
_FLAGS = frozenset(["-S", "-daemonize", "-no-shutdown", "-nographic", "-no-user-config"])
_NOT_TAKEN = "the domain's XML is not taken"
_NO_DEVICES = ("vfio-", "tpm-", "usb-host", "vhost-", "scsi-block", "scsi-generic", "ccid-card-emulated")
_NO_OBJECTS = (
    "secret",
    "tls-creds",
    "input-linux",
    "pr-manager",
    "tls-cipher",
    "authz",
    "sev-guest",
    "rng-egd",
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DomainCommand:
    """The words, and what was taken out or replaced, a line each."""

    words: tuple[str, ...]
    changed: tuple[str, ...]


def domain_command(xml: str, source: OpenDump, *, connect: str = "qemu:///system") -> DomainCommand:
    """The command of a domain with harmless backends.

    Raises InputError where virsh is not there, does not answer, or does not take the XML.
    """
    plain, cards, root = without_networks(xml)
    words = _native(plain, connect)
    made = _Harmless(_flash(source)).made(words)
    if root is None or not cards:
        return made
    try:
        more, said = network_words(cards, root, taps=os.geteuid() == 0)
    except ValueError as error:
        raise InputError(_NOT_TAKEN, path="interface", found=error) from None
    return DomainCommand((*made.words, *more), (*made.changed, *said))


class DomainCommands:
    """Commands of domains. virsh is asked once for each XML: where that has no UUID it makes one up."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], DomainCommand] = {}

    def of(self, xml: str, source: OpenDump) -> DomainCommand:
        """As `domain_command`, and the same for the same domain."""
        key = xml, *_flash(source).items()
        if key not in self._made:
            self._made[key] = domain_command(xml, source)
        return self._made[key]


def _flash(source: OpenDump) -> dict[str, int]:
    """Bytes of each flash by the name of its RAM block."""
    return {b.idstr: b.used_length for b in source.index.blocks if b.idstr.startswith("system.flash")}


def xml_of(path: str, source: OpenDump) -> str:
    """The XML in a file, or for "-" that in the libvirt save image that the source is.

    Raises InputError for a file that cannot be read, UsageError for a source that is no such image.
    """
    if path == "-":
        xml = source.domain_xml()
        if xml is None:
            raise UsageError("no domain in it", path=source.path, expected="a libvirt save image")
        return xml
    try:
        with open(path, errors="replace") as file:
            return file.read(_MOST_XML)
    except OSError as error:
        raise InputError("cannot be read", path=path, found=error.strerror) from None


def _native(xml: str, connect: str) -> list[str]:
    with NamedTemporaryFile("w", suffix=".xml", prefix="msixtool-") as file:
        file.write(xml)
        file.flush()
        try:
            run = ask_program(
                ["virsh", "-q", "-c", connect, "domxml-to-native", "qemu-argv", "--xml", file.name],
                VIRSH_TIMEOUT,
            )
        except OSError as error:
            raise InputError("cannot be started", path="virsh", found=error.strerror) from None
        except subprocess.TimeoutExpired:
            raise InputError(
                "libvirt does not answer", path=connect, expected=f"within {VIRSH_TIMEOUT:.0f} s"
            ) from None
    if run.returncode:
        said = " ".join(run.stderr.split())
        raise InputError(_NOT_TAKEN, path="virsh", found=said[:300])
    words = shlex.split(run.stdout.replace("\\\n", " "))
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if not words:
        raise InputError("virsh gave no command", path="virsh", expected="a QEMU and its arguments")
    return words


@dataclass
class _Harmless:
    flash: dict[str, int]
    changed: list[str] = field(default_factory=list)

    def made(self, words: list[str]) -> DomainCommand:
        """Every option as it may stay."""
        kept = [words[0]]
        for option, value in _options(words[1:]):
            if option in _TAKEN_OUT or option in _FLAGS:
                if option not in ("-S", "-name", "-no-user-config", "-no-shutdown", "-display"):
                    self._say(f"{option}: taken out")
                continue
            change: Callable[[str], str | None] | None = getattr(self, option.replace("-", "_"), None)
            new = value if value is None or change is None else change(value)
            if value is not None and new is None:
                continue
            kept += [option] if new is None else [option, new]
        return DomainCommand((*kept, "-display", "none"), tuple(self.changed))

    def _say(self, text: str) -> None:
        if text not in self.changed:
            self.changed.append(text)

    def _chardev(self, value: str) -> str:
        return joined("null", {"id": str(_parsed(value)[1].get("id", ""))})

    def _netdev(self, value: str) -> str:
        kind, options = _parsed(value)
        if kind != "user":
            self._say(f"-netdev {options.get('id')}: {kind}, replaced by user")
        return joined("user", {"id": str(options.get("id", ""))})

    def _audiodev(self, value: str) -> str:
        return joined("none", {"id": str(_parsed(value)[1].get("id", ""))})

    def _blockdev(self, value: str) -> str:
        _, options = _parsed(value)
        name = str(options.get("node-name", ""))
        size = _MIB
        for number in ("0", "1"):
            if f"pflash{number}" in name:
                size = self.flash.get(f"system.flash{number}", size)
        self._say("-blockdev: disks are replaced by empty ones")
        read_only = options.get("read-only") in (True, "on")
        return json.dumps({"driver": "null-co", "node-name": name, "size": size, "read-only": read_only})

    def _drive(self, value: str) -> str:
        _, options = _parsed(value)
        keep = {name: str(options[name]) for name in ("if", "id", "index", "unit", "bus") if name in options}
        self._say("-drive: disks are replaced by empty ones")
        size = self.flash.get(f"system.flash{keep.get('unit', '0')}") if keep.get("if") == "pflash" else None
        return joined("", keep | {"driver": "null-co", "size": str(size or _MIB)})

    def _fsdev(self, value: str) -> str:
        return joined(
            "local", {"id": str(_parsed(value)[1].get("id", "")), "path": "/tmp", "security_model": "none"}
        )

    def _object(self, value: str) -> str | None:
        kind, options = _parsed(value)
        if kind.startswith(_NO_OBJECTS):
            self._say(f"-object {kind}: taken out")
            return None
        if kind in ("memory-backend-file", "memory-backend-memfd"):
            self._say(f"-object {options.get('id')}: {kind}, replaced by memory-backend-ram")
            return joined(
                "memory-backend-ram", {"id": str(options.get("id")), "size": str(options.get("size"))}
            )
        return value

    def _device(self, value: str) -> str | None:
        kind, _ = _parsed(value)
        if kind.startswith(_NO_DEVICES):
            self._say(f"-device {kind}: a device of the host or of another process, taken out")
            return None
        return value

    def _accel(self, value: str) -> str:
        if value.startswith("kvm") and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            self._say("-accel kvm: there is no KVM here, replaced by tcg")
            return "tcg"
        return value

    def _cpu(self, value: str) -> str:
        model = value.partition(",")[0]
        if model == "host" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            self._say("-cpu host: there is no KVM here, replaced by max")
            return "max"
        return value


def _options(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """Each option with its value; None for one that has none."""
    at = 0
    while at < len(words):
        option = words[at].replace("--", "-", 1) if words[at].startswith("--") else words[at]
        value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else None
        yield option, value
        at += 1 if value is None else 2


def _parsed(value: str) -> tuple[str, dict[str, Any]]:
    """Type and properties of a value, which is JSON or name=value pairs with commas doubled."""
    if value.startswith("{"):
        try:
            found = json.loads(value)
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        kind = found.get("driver") or found.get("qom-type") or found.get("type") or ""
        return str(kind), found
    first, options = parsed(value)
    return first or options.get("driver") or options.get("qom-type") or "", options
