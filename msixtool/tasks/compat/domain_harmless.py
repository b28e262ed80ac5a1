"""What of a QEMU command may stay that is started only to be looked at, beside the real VM or without it.

A domain's XML may hold any option of QEMU's, and whoever wrote a save image wrote the one in it. So what
describes the machine is kept, and all else is taken out: what runs a program, listens, or writes a file.
Source: libvirt src/qemu/qemu_command.c (what a command has), QEMU qemu-options.hx (what takes a value).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msixtool.tasks.cmdline.words import joined, parsed

VALUED = frozenset(
    {
        "-M", "-accel", "-acpitable", "-action", "-append", "-audiodev", "-bios", "-blockdev", "-boot",
        "-chardev", "-compat", "-cpu", "-device", "-drive", "-dtb", "-fsdev", "-fw_cfg", "-global", "-icount",
        "-initrd", "-k", "-kernel", "-m", "-machine", "-netdev", "-numa", "-object", "-rtc", "-set",
        "-smbios", "-smp", "-uuid", "-vga", "-watchdog", "-watchdog-action",
    }
)  # fmt: skip
"""Options with a value that say what the machine is; some are changed before they stay."""
BARE = frozenset(
    {
        "-S", "-enable-kvm", "-no-acpi", "-no-fd-bootchk", "-no-hpet", "-no-reboot", "-no-shutdown",
        "-no-user-config", "-nodefaults", "-usb",
    }
)  # fmt: skip
"""Those without a value."""
_UNSAID = frozenset(["-S", "-name", "-no-user-config", "-no-shutdown", "-display"])
"""What a command started here has of its own, or needs not: not a word is said of it."""
_WRITES = ("dumpdtb=", "rr=", "rrfile=", "rrsnapshot=")
"""Properties of -machine and -icount that write a file."""
_MIB = 1 << 20
_NO_DEVICES = ("vfio-", "tpm-", "usb-host", "vhost-", "scsi-block", "scsi-generic", "ccid-card-emulated")
_OBJECTS = (
    "acpi-generic", "can-bus", "cryptodev-backend", "iothread", "main-loop", "memory-backend-", "rng-builtin",
    "rng-random", "s390-pv-guest", "thread-context", "throttle-group",
)  # fmt: skip
"""Objects that stay: none that talks to another process, or writes what it sees."""


def harmless(words: Sequence[str], flash: Mapping[str, int]) -> tuple[list[str], tuple[str, ...]]:
    """The options of a command as they may stay, and what was taken out or replaced, a line each.

    `flash` has the bytes of each flash by the name of its RAM block.
    """
    made = _Harmless(flash)
    return made.made(words), tuple(made.changed)


@dataclass
class _Harmless:
    flash: Mapping[str, int]
    changed: list[str] = field(default_factory=list)

    def made(self, words: Sequence[str]) -> list[str]:
        """Every option as it may stay."""
        kept = []
        for option, value in _options(words):
            if option in BARE and option not in _UNSAID:
                kept.append(option)
            elif option in VALUED and value is not None:
                change: Callable[[str], str | None] | None = getattr(self, option.replace("-", "_"), None)
                new = value if change is None else change(value)
                kept += [] if new is None else [option, new]
            elif option not in _UNSAID:
                self._say(f"{option}: taken out")
        return [*kept, "-display", "none"]

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
        if not kind.startswith(_OBJECTS):
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

    def _set(self, value: str) -> str | None:
        if value.startswith("device."):
            return value
        self._say(f"-set {value.partition('.')[0]}: taken out")
        return None

    def _machine(self, value: str) -> str | None:
        return ",".join(each for each in value.split(",") if not each.startswith(_WRITES)) or None

    _M = _icount = _machine

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


def _options(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each option with the value that QEMU takes for it, whatever that begins with; None for one without.

    What follows an option that is not known is its value unless it looks like an option.
    """
    at = 0
    while at < len(words):
        option, at = words[at].replace("--", "-", 1) if words[at].startswith("--") else words[at], at + 1
        value = None
        if option not in BARE and at < len(words) and (option in VALUED or not words[at].startswith("-")):
            value, at = words[at], at + 1
        yield option, value


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
