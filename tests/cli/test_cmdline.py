"""`msixtool cmdline`, from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.tasks.cmdline import command_line
from msixtool.tasks.cmdline.machine import topology
from msixtool.tasks.cmdline.words import shell_text
from msixtool.tasks.compat.domain import domain_command
from tests.cli.conftest import Result
from tests.cli.examples import check_examples
from tests.conftest import REPOSITORY
from tests.stream.build import Stream

Tool = Callable[..., Result]

DATA = REPOSITORY / "tests" / "data" / "cmdline"
RECORDED = sorted(DATA.glob("*/source.mig.xz"))
_CALLERS = {"-incoming", "-S", "-display", "-monitor", "-serial", "-qmp", "-name", "-daemonize", "-accel"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_the_document_is_as_the_contract_says(msixtool: Tool, path: Path) -> None:
    result = msixtool("cmdline", path, "--json")
    document = result.json
    assert result.status == 0
    assert document["schema"] == "msixtool.cmdline/1"
    assert document["program"] == "qemu-system-x86_64"
    assert document["args"][0] == "-nodefaults"
    assert not _CALLERS & set(document["args"])
    assert all(note["certain"] is False and note["option"].startswith("-") for note in document["notes"])
    # The blank firmware of 64 KiB is not QEMU's own.
    assert any(note["option"] == "-bios" and "65536" in note["message"] for note in document["notes"])
    assert "-bios" not in document["args"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_a_shell_gives_the_program_the_words_of_the_document(msixtool: Tool, path: Path) -> None:
    words = msixtool("cmdline", path, "--json").json["args"]
    text = msixtool("cmdline", path, "--program", "/bin/echo me").out
    assert heard(text.replace("'/bin/echo me'", ECHO)) == words


ECHO = f"{sys.executable} -c 'import sys; print(*sys.argv[1:], sep=chr(0), end=\"\")'"


def heard(text: str) -> list[str]:
    """What a program that a shell runs hears."""
    run = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    return run.stdout.split("\0")


def test_no_word_is_more_than_a_word_to_a_shell() -> None:
    words = ["-a", "$(touch x)", "`x`", "-b", 'it\'s "here"', "a;b|c&d", "*", "~", "", "-c'd", "\\"]
    assert heard(shell_text("PROGRAM", words).replace("PROGRAM", ECHO)) == words


def test_the_devices_are_at_their_places(msixtool: Tool) -> None:
    words = msixtool("cmdline", DATA / "7.2-5195" / "source.mig.xz", "--json").json["args"]
    devices = [value for option, value in pairwise(words) if option == "-device"]
    ports = [device for device in devices if device.startswith("pcie-root-port,")]
    assert [re.search(r"addr=(\S+?),", port)[1] for port in ports] == [f"0x{n}" for n in range(2, 8)]  # type: ignore[index]
    assert [re.search(r"port=(0x..)", port)[1] for port in ports] == [f"0x1{n}" for n in range(6)]  # type: ignore[index]
    uhci = [device for device in devices if device.startswith("ich9-usb-uhci")]
    assert [re.search(r"firstport=(\d)", device)[1] for device in uhci] == ["0", "2", "4"]  # type: ignore[index]
    assert sum("num_queues=4" in device for device in devices) == 1


def test_a_firmware_is_put_in_where_it_is_given(msixtool: Tool) -> None:
    words = msixtool("cmdline", RECORDED[0], "--bios", "OVMF.fd", "--json").json["args"]
    assert words[words.index("-bios") + 1] == "OVMF.fd"


def test_a_uuid_that_is_compared_is_on_the_command_line() -> None:
    with Dump.open(RECORDED[0]) as dump:
        dump.index.uuid = bytes(range(16))
        args = command_line(dump).args
    assert args[args.index("-uuid") + 1] == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_a_stream_without_machine_type_is_an_error_of_one_line(msixtool: Tool, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_bytes(b"QEVM\0\0\0\3\0")
    result = msixtool("cmdline", bare)
    assert result.status == 2
    assert result.out == ""
    assert "machine type" in result.err


@pytest.mark.parametrize(
    ("present", "possible", "smp", "plugged"),
    [
        ([0], None, {"": "1", "maxcpus": "1"}, []),
        ([0, 1, 2, 3], 8, {"": "4", "sockets": "8", "maxcpus": "8"}, []),
        ([0, 1, 2, 4, 5, 6], None, {"": "6", "sockets": "2", "cores": "3"}, []),
        ([0, 1, 3], 4, {"": "2", "maxcpus": "4"}, [(3, 0, 0)]),
    ],
)
def test_a_topology_has_the_apic_ids_of_the_stream(
    present: list[int], possible: int | None, smp: dict[str, str], plugged: list[tuple[int, int, int]]
) -> None:
    found = topology(present, possible)
    assert found.fits
    assert smp.items() <= found.smp.items()
    assert found.plugged == plugged


def program(folder: Path, script: str) -> Path:
    made = folder / "qemu-system-x86_64"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return made


def test_a_program_that_is_no_qemu_is_an_error_of_one_line(msixtool: Tool, tmp_path: Path) -> None:
    for script in ("echo hello", "exit 5", "true"):
        result = msixtool("compat", RECORDED[0], "--on", program(tmp_path, script))
        assert result.status == 2
        assert result.out == ""
        assert result.err.count("\n") == 1
        assert "is no QEMU" in result.err


def test_a_program_that_does_not_answer_is_ended(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msixtool.tasks.compat.on_program.VERSION_TIMEOUT", 5.0)
    hanging = program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    result = msixtool("compat", RECORDED[0], "--on", hanging)
    assert result.status == 2
    assert "no answer" in result.err
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_qemu_without_the_machine_type_cannot_load_it(msixtool: Tool, tmp_path: Path) -> None:
    script = """if [ "$1" = --version ]; then echo QEMU emulator version 10.0.0; exit; fi
echo 'qemu-system-x86_64: unsupported machine type' >&2; exit 1"""
    result = msixtool("compat", RECORDED[0], "--on", program(tmp_path, script), "--json")
    assert result.status == 1
    assert result.json["compatible"] is False
    assert [finding["code"] for finding in result.json["findings"]] == ["machine-type"]
    assert result.json["cmdline"][0] == "-nodefaults"


def test_a_tpm_is_swtpms_and_that_has_to_be_there(msixtool: Tool, tmp_path: Path) -> None:
    path = tmp_path / "tpm.mig"
    stream = Stream()
    stream.ram().full(10, "apic", b"x").full(11, "tpm-emulator", b"x").full(12, "tpm-crb", b"x")
    path.write_bytes(bytes(stream))
    document = msixtool("cmdline", path, "--json").json
    words = dict(pairwise(document["args"]))
    assert words["-tpmdev"] == "emulator,id=tpm0,chardev=chr0"
    assert words["-chardev"].startswith("socket,id=chr0,")
    assert "tpm-crb,tpmdev=tpm0" in document["args"]
    assert any(note["option"] == "-tpmdev" and "swtpm" in note["message"] for note in document["notes"])
    assert '<tpm model="tpm-crb">' in msixtool("cmdline", path, "--libvirt").out


VIRSH = """#!/bin/sh
cat <<'END'
LC_ALL=C \\
XDG_CACHE_HOME=/x/.cache \\
/usr/bin/qemu-system-x86_64 -name guest=vm,debug-threads=on -S \\
-object '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/x/master-key.aes"}' \\
-machine pc-q35-7.2,usb=off,memory-backend=pc.ram,pflash0=libvirt-pflash0-format -accel tcg -cpu qemu64 \\
-object '{"qom-type":"memory-backend-memfd","id":"pc.ram","size":16777216}' -m 16 \\
-no-user-config -nodefaults -chardev socket,id=charmonitor,fd=22,server=on,wait=off \\
-mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc -no-shutdown \\
-blockdev '{"driver":"file","filename":"/x/a,b.img","node-name":"libvirt-1-storage","read-only":false}' \\
-netdev tap,fd=24,vhost=on,vhostfd=26,id=hostnet0 \\
-device '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","bus":"pcie.0","addr":"0x3"}' \\
-device vfio-pci,host=0000:01:00.0,id=hostdev0 -sandbox on,obsolete=deny -msg timestamp=on
END
"""


def test_a_domain_keeps_its_devices_and_loses_what_is_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\n")
    (tmp_path / "virsh").write_text(VIRSH.replace("/usr/bin/qemu-system-x86_64", str(qemu)))
    (tmp_path / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Dump.open(RECORDED[0]) as source:
        made = domain_command("<domain/>", source)
    assert made.words[0] == str(qemu)
    text = " ".join(made.words[1:])
    assert "memory-backend-ram,id=pc.ram,size=16777216" in text
    assert "user,id=hostnet0" in text
    assert "virtio-net-pci" in text
    assert "null,id=charmonitor" in text
    assert '"driver": "null-co", "node-name": "libvirt-1-storage"' in text
    for gone in ("secret", "vfio", "tap", "/x/", "-sandbox", "-mon ", "guest=vm"):
        assert gone not in text
    said = "\n".join(made.changed)
    for word in ("vfio-pci", "hostnet0: tap", "secret", "memfd", "disks"):
        assert word in said


def test_a_domain_that_is_not_in_the_source_is_an_error_of_one_line(msixtool: Tool) -> None:
    result = msixtool("compat", RECORDED[0], "--domain", "-")
    assert result.status == 2
    assert "a libvirt save image" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("like", "machine"), [("5.2", "pc-q35-5.2"), ("7.2", "pc-q35-7.1"), ("11.1", "pc-q35-7.1")]
)
def test_the_machine_type_is_the_nearest_that_a_target_has(msixtool: Tool, like: str, machine: str) -> None:
    words = msixtool("cmdline", DATA / "7.2-1212" / "source.mig.xz", "--like-target", like, "--json").json[
        "args"
    ]
    assert words[2].partition(",")[0] == machine


def test_the_examples_of_its_page_hold(tmp_path: Path) -> None:
    check_examples("cmdline.md", tmp_path, 1, errors=True)


@pytest.mark.parametrize("command", [("compat", "--on"), ("cmdline", "--check")])
def test_of_a_program_that_hangs_nothing_is_left_running(
    msixtool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, str]
) -> None:
    """It says its version, starts a process of its own, and never opens the monitor."""
    monkeypatch.setattr("msixtool.tasks.fresh.START_TIMEOUT", 0.5)
    monkeypatch.setattr("msixtool.tasks.compat.qemu_target.DESCRIBE_TIMEOUT", 0.5)
    script = f"""if [ "$1" = --version ]; then echo QEMU emulator version 7.2.0; exit; fi
echo $$ >> {tmp_path}/pids
exec sleep 1000"""
    result = msixtool(command[0], RECORDED[0], command[1], program(tmp_path, script))
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "does not start" in result.err
    pids = (tmp_path / "pids").read_text().split()
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
