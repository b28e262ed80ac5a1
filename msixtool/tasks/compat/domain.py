"""A libvirt domain as the target of a comparison: its command line, with harmless backends.

`virsh domxml-to-native` makes the command; domain_harmless.py takes out of it what touches the host.
Source: libvirt src/qemu/qemu_driver.c (qemuConnectDomainXMLToNative).
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from tempfile import NamedTemporaryFile

from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.tasks.capture.virsh import said_by_virsh
from msixtool.tasks.compat.domain_harmless import harmless
from msixtool.tasks.compat.domain_networks import network_words, without_networks
from msixtool.tasks.compat.qemu_target import TargetCommand
from msixtool.tasks.fresh import ask_program

VIRSH_TIMEOUT = 300.0
"""Seconds within which virsh has to answer. A libvirt that has just been installed asks every emulator of the
host what it can do before it does: 6 s where there are 19, minutes on a busy host."""
_MOST_XML = 16 << 20
_NOT_TAKEN = "the domain's XML is not taken"
_NOT_STARTED = "the domain's emulator is not started"
_QEMU = re.compile(r"qemu|kvm")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def domain_command(
    xml: str, source: OpenDump, *, path: str | None = None, connect: str = "qemu:///system"
) -> TargetCommand:
    """The command of a domain with harmless backends; `path` is where its XML stands.

    Raises InputError where virsh is not there, does not answer, or does not take the XML.
    """
    try:
        plain, cards, root = without_networks(xml)
    except ValueError as error:
        raise InputError(_NOT_TAKEN, path=path, found=error) from None
    for emulator in root.iterfind("devices/emulator"):
        _check_emulator((emulator.text or "").strip())
    words = _native(plain, connect)
    _check_emulator(words[0])
    made, changed = harmless(words[1:], _flash(source))
    if not cards:
        return TargetCommand((words[0], *made), tuple(made), changed)
    try:
        more, said = network_words(cards, root, taps=os.geteuid() == 0)
    except ValueError as error:
        raise InputError(_NOT_TAKEN, path=path, found=f"an interface: {error}") from None
    return TargetCommand((words[0], *made, *more), (*made, *more), (*changed, *said))


def _check_emulator(path: str) -> None:
    """Raises InputError for what is no QEMU, or what others than root and the user may have put there.

    The XML of a save image names the program to start, and whoever wrote the image wrote that too.
    """
    expected = "the path of a QEMU that root or you own, and nobody else may write to"
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(_NOT_STARTED, path=path, found=getattr(error, "strerror", error)) from None
    if not _QEMU.search(os.path.basename(path)) or not os.path.isabs(path):
        raise InputError(_NOT_STARTED, path=path, expected=expected)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        found = f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}"
        raise InputError(_NOT_STARTED, path=path, expected=expected, found=found)


class DomainCommands:
    """Commands of domains. virsh is asked once for each XML: where that has no UUID it makes one up."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], TargetCommand] = {}

    def of(self, path: str, source: OpenDump) -> TargetCommand:
        """As `domain_command` of the XML that `xml_of` has, and the same for the same domain."""
        xml = xml_of(path, source)
        key = xml, *_flash(source).items()
        if key not in self._made:
            self._made[key] = domain_command(xml, source, path=source.path if path == "-" else path)
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
        raise InputError(_NOT_TAKEN, path="virsh", found=said_by_virsh(run.stderr))
    words = shlex.split(run.stdout.replace("\\\n", " "))
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if not words:
        raise InputError("virsh gave no command", path="virsh", expected="a QEMU and its arguments")
    return words
