"""Domains of a real libvirt: the XML that cmdline writes, and compat with a domain as the target."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest

from msixtool import Dump
from msixtool.cli import run
from msixtool.tasks.compat import qemu_target
from tests.live.saved import save_fresh
from tests.live.test_capture_libvirt import virsh

MACHINES = {
    "pc": "-M pc -netdev user,id=n -device e1000,netdev=n,addr=9,romfile="
    " -device virtio-rng-pci,addr=7,vectors=0",
    "q35": "-M q35 -device pcie-root-port,id=p,port=16,chassis=1,addr=4,x-speed=8 -netdev user,id=n"
    " -device virtio-net-pci,netdev=n,bus=p,mac=52:54:00:12:34:99,vectors=5,rx_queue_size=512"
    " -device qemu-xhci,id=u,addr=6 -device usb-tablet,bus=u.0,port=2"
    " -device virtio-serial-pci,id=s,addr=7 -chardev null,id=c -device virtserialport,bus=s.0,nr=3,chardev=c",
    "main memory of another name": "-M q35,memory-backend=mem -m 24M"
    " -object memory-backend-ram,id=mem,size=24M -device virtio-rng-pci,addr=5",
    "firmware in flash, and a network without a card": "-M q35 -netdev user,id=n"
    " -drive if=pflash,unit=0,driver=null-co,size=128K,read-zeroes=on",
    "NUMA nodes": "-M pc -m 24M -smp 2 -object memory-backend-ram,id=ram-node0,size=8M"
    " -object memory-backend-ram,id=ram-node1,size=16M -numa node,cpus=0,memdev=ram-node0"
    " -numa node,cpus=1,memdev=ram-node1",
    "what libvirt has no words for": "-M q35,sata=off -device tpci200,addr=5 -device vmcoreinfo"
    " -device pcie-pci-bridge,id=b,addr=6 -device ES1370,bus=b,addr=2",
}


@pytest.fixture
def libvirt() -> None:
    if shutil.which("virsh") is None or virsh("list").returncode:
        pytest.skip("no libvirt answers here (.ci/run starts one)")


@pytest.mark.usefixtures("libvirt")
@pytest.mark.parametrize("words", MACHINES.values(), ids=list(MACHINES))
def test_libvirt_takes_the_domain_and_makes_the_same_machine_of_it(
    qemu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Defined, turned into a command by virsh, started, and loaded."""
    saved, domain = tmp_path / f"{uuid4()}.mig", tmp_path / "vm.xml"
    save_fresh(qemu, words, saved)
    assert run(["cmdline", str(saved), "--libvirt"]) == 0
    domain.write_text(capsys.readouterr().out.replace("/usr/bin/qemu-system-x86_64", qemu))
    defined = virsh("define", str(domain))
    assert defined.returncode == 0, defined.stderr
    assert virsh("undefine", saved.name).returncode == 0
    status = run(["compat", str(saved), "--domain", str(domain), "--try", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["tried"]["loaded"], document["tried"]["stderr"]
    assert status == 0, document["findings"]


@pytest.mark.usefixtures("libvirt")
def test_streams_of_one_domain_share_its_target(
    qemu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []

    def counted(command: Sequence[str]) -> AbstractContextManager[qemu_target.FreshTarget]:
        started.append(tuple(command))
        return made(command)

    made = qemu_target.fresh_target
    monkeypatch.setattr(qemu_target, "fresh_target", counted)
    streams = tmp_path / "streams"
    streams.mkdir()
    save_fresh(qemu, "-M pc -device virtio-rng-pci,addr=5", streams / "a.mig")
    shutil.copy(streams / "a.mig", streams / "b.mig")
    assert run(["cmdline", str(streams / "a.mig"), "--libvirt"]) == 0
    domain = tmp_path / "vm.xml"
    domain.write_text(capsys.readouterr().out.replace("/usr/bin/qemu-system-x86_64", qemu))
    assert run(["compat", str(streams), "--domain", str(domain), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert len(started) == 1


def test_a_name_in_the_xml_is_one_that_libvirt_takes(tmp_path: Path, qemu: str) -> None:
    saved = tmp_path / "a <b>&'\"\n$(x).mig"
    save_fresh(qemu, "-M pc", saved)
    with Dump.open(saved) as dump:
        assert "<name>a-b-x-.mig</name>" in (dump.cmdline(libvirt=True).domain or "")
