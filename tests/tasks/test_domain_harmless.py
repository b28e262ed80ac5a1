"""A domain's XML as the target of `compat`: what it may start, and what of its command stays.

The XML of a save image is whatever its writer chose.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool.dump import OpenDump
from msixtool.errors import InputError
from msixtool.tasks.compat.domain import domain_command
from msixtool.tasks.compat.domain_harmless import harmless
from tests.conftest import REPOSITORY

SAMPLE = REPOSITORY / "samples" / "q35-net-3-vectors-7.2.mig.xz"
Virsh = Callable[[str], Path]


@pytest.fixture
def virsh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Virsh:
    """A virsh that answers with a command, and leaves a file where it was asked."""

    def answering(command: str) -> Path:
        asked = tmp_path / "asked"
        program = tmp_path / "bin" / "virsh"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n: > '{asked}'\ncat <<'END'\n{command}\nEND\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        return asked

    return answering


def emulator(folder: Path, name: str = "qemu-system-x86_64", mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def domain(program: object) -> str:
    return f"<domain type='kvm'><name>x</name><devices><emulator>{program}</emulator></devices></domain>"


def made(xml: str) -> tuple[str, ...]:
    with OpenDump.open(SAMPLE) as dump:
        return domain_command(xml, dump).words


def test_a_qemu_of_the_users_own_is_started(virsh: Virsh, tmp_path: Path) -> None:
    program = emulator(tmp_path)
    asked = virsh(f"LC_ALL=C {program} -S -machine q35 -daemonize -device xhci")
    assert made(domain(program)) == (str(program), "-machine", "q35", "-device", "xhci", "-display", "none")
    assert asked.exists()


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("innocent.sh", 0o755, "expected the path of a QEMU that root or you own"),
        ("qemu-system-x86_64", 0o777, "found owner"),
        ("qemu-system-x86_64", 0o775, "mode 0775"),
    ],
)
def test_another_program_is_not_started_and_libvirt_is_not_asked(
    virsh: Virsh, tmp_path: Path, name: str, mode: int, says: str
) -> None:
    """libvirt starts an emulator itself to see what it can do."""
    program = emulator(tmp_path, name, mode)
    asked = virsh(f"{program} -machine q35")
    with pytest.raises(InputError, match=f"emulator is not started: .*{says}"):
        made(domain(program))
    assert not asked.exists()


def test_what_libvirt_gives_is_looked_at_too(virsh: Virsh, tmp_path: Path) -> None:
    virsh("qemu-system-x86_64 -machine q35")
    with pytest.raises(InputError, match="emulator is not started"):
        made("<domain/>")


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("no XML", "no XML: syntax error: line 1, column 0"),
        ('<!DOCTYPE d [<!ENTITY a "aaaa">]><domain>&a;</domain>', "a document type"),
    ],
)
def test_what_is_no_domain_is_said_without_libvirt(virsh: Virsh, xml: str, says: str) -> None:
    asked = virsh("x")
    with pytest.raises(InputError, match=f"the domain's XML is not taken: found {says}"):
        made(xml)
    assert not asked.exists()


def test_an_interface_that_makes_no_sense_is_named_with_the_file_that_it_is_in(
    virsh: Virsh, tmp_path: Path
) -> None:
    program = emulator(tmp_path)
    virsh(f"{program} -machine q35")
    card = "<interface type='user'><address type='pci' bus='a bus'/></interface></devices>"
    xml = domain(program).replace("</devices>", card)
    says = "^vm.xml: the domain's XML is not taken: found an interface: .*'a bus'"
    with OpenDump.open(SAMPLE) as dump, pytest.raises(InputError, match=says):
        domain_command(xml, dump, path="vm.xml")


@pytest.mark.parametrize(
    "words",
    [
        ["-incoming", "exec:touch mark"],
        ["-net", "tap,script=./mark"],
        ["-nic", "tap,script=./mark"],
        ["-plugin", "file=mark.so"],
        ["-readconfig", "mark"],
        ["-writeconfig", "mark"],
        ["-debugcon", "file:mark"],
        ["-trace", "file=mark"],
        ["-gdb", "tcp::1"],
        ["-hda", "mark"],
        ["-mem-path", "mark"],
        ["-virtfs", "local,path=/,mount_tag=m,security_model=none"],
        ["-object", "filter-dump,id=f,netdev=n,file=mark"],
        ["-object", "dbus-vmstate,id=d,addr=unix:path=mark"],
        ["-set", "chardev.c.path=mark"],
        ["--incoming", "exec:touch mark"],
        ["-no-such-option"],
        ["mark"],
    ],
    ids=" ".join,
)
def test_what_touches_the_host_is_taken_out_and_said(words: list[str]) -> None:
    kept, said = harmless(["-nodefaults", *words, "-device", "xhci"], {})
    assert kept == ["-nodefaults", "-device", "xhci", "-display", "none"]
    assert len(said) == 1
    assert "taken out" in said[0]


def test_a_value_is_what_qemu_takes_for_one_whatever_it_begins_with() -> None:
    """No word becomes an option, or a disk, that was none."""
    words = ["-append", "-incoming", "-smbios", "type=1", "-usb", "disk.img", "-fw_cfg"]
    kept, said = harmless(words, {})
    assert kept == ["-append", "-incoming", "-smbios", "type=1", "-usb", "-display", "none"]
    assert said == ("disk.img: taken out", "-fw_cfg: taken out")


def test_what_says_what_the_machine_is_stays() -> None:
    words = [
        *("-machine", "q35,dumpdtb=mark,vmport=off", "-m", "1024", "-set", "device.d.addr=5"),
        *("-object", "memory-backend-ram,id=ram,size=1G", "-object", '{"qom-type":"iothread","id":"i"}'),
    ]
    kept, _ = harmless(words, {})
    assert kept == [words[0], "q35,vmport=off", *words[2:], "-display", "none"]


@pytest.mark.parametrize(
    ("word", "value", "stays"),
    [
        ("-M", "virt,dumpdtb=mark,gic-version=3", ["-M", "virt,gic-version=3"]),
        ("-icount", "shift=7,rr=record,rrfile=mark,rrsnapshot=s", ["-icount", "shift=7"]),
        ("-icount", "rr=record,rrfile=mark", []),
    ],
)
def test_an_option_that_describes_the_machine_writes_no_file(word: str, value: str, stays: list[str]) -> None:
    assert harmless([word, value], {})[0] == [*stays, "-display", "none"]


def test_what_virsh_says_is_one_line_without_its_own_beginnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "virsh").write_text("#!/bin/sh\nprintf 'error: no\\nerror: such thing\\n' >&2\nexit 1\n")
    (tmp_path / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match=r"^virsh: the domain's XML is not taken: found no; such thing$"):
        made("<domain/>")
