"""What is at risk between a stream and a QEMU release, without a target."""

from __future__ import annotations

import pytest

from msixtool import Dump
from msixtool.errors import UsageError
from msixtool.qemu import history
from msixtool.qemu.vendors import build_of
from msixtool.qemu.versions import Version, machine_version
from msixtool.tasks.compat.risks import risks
from msixtool.tasks.finding import Code, Finding, Severity
from tests.conftest import REPOSITORY, SAMPLES
from tests.tasks.compat_build import Field, Machine, section


def of_sample(name: str, to: Version) -> list[Finding]:
    with Dump.open(REPOSITORY / "samples" / f"{name}.mig.xz") as dump:
        return risks(dump, to)


def settings(findings: list[Finding], section: str) -> set[str | None]:
    return {finding.field for finding in findings if finding.section == section}


def test_all_of_it_is_warnings_but_for_a_machine_type_that_is_not_there() -> None:
    for path in SAMPLES:
        with Dump.open(path) as dump:
            for to in ((5, 2), (8, 0), (11, 1)):
                errors = {f.code for f in risks(dump, to) if f.severity is Severity.ERROR}
                too_new = (machine_version(dump.index.machine) or (0, 0)) > to
                assert errors == ({Code.MACHINE_TYPE} if too_new else set())


@pytest.mark.parametrize(
    ("machine", "to", "loads"),
    [
        ("pc-q35-noble", "11.1", False),
        ("pc-i440fx-jammy-hpb", "debian-13", False),
        ("pc-q35-noble-v2", "ubuntu-24.04", True),
        ("pc-q35-rhel9.2.0", "11.1", False),
        ("pc-q35-rhel9.2.0", "rhel-9.4", True),
        ("pc-q35-7.2", "debian-12", True),
        ("pc-q35-10.0", "debian-12", False),
    ],
)
def test_a_vendors_machine_type_is_in_its_own_qemu_alone(machine: str, to: str, loads: bool) -> None:
    aim = build_of(to)
    with Machine(
        [section("0000:00:02.0/virtio-net", Field("virtio", "buffer", bytes(8)))], name=machine
    ).dump() as dump:
        found = [f for f in risks(dump, aim.release, aim.vendor) if f.field == "machine"]
    assert [f.severity for f in found] == ([] if loads else [Severity.ERROR])
    assert all(f.advice for f in found)


@pytest.mark.parametrize("text", ["99.0", "11.9", "slackware-15", "debian-99", ""])
def test_a_target_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        build_of(text)


def test_nothing_is_at_risk_in_the_release_of_the_machine_type() -> None:
    assert of_sample("q35-virtio-e1000e-7.2", (7, 2)) == []


def test_a_machine_type_that_an_older_qemu_cannot_have() -> None:
    (found,) = (f for f in of_sample("q35-nvme-igb-11.1", (10, 0)) if f.field == "machine")
    assert (found.code, found.source) == (Code.MACHINE_TYPE, "pc-q35-11.1")


def test_a_machine_type_that_is_gone() -> None:
    assert history.newest_removed((11, 1)) == (5, 2)
    assert history.newest_removed((11, 2)) == (5, 2)
    assert history.newest_removed((4, 0)) is None
    assert history.oldest_machine((6, 0)) == (1, 4)
    assert not [f for f in of_sample("pc-megasas-vmxnet3-5.2", (11, 1)) if f.field == "machine"]


def test_what_newer_machine_types_change_about_the_devices_that_are_there() -> None:
    found = of_sample("pc-megasas-vmxnet3-5.2", (11, 1))
    assert "e1000e,migrate-timadj=off" in settings(found, "0000:00:04.0/e1000e")
    # Off is its default in newer ones too.
    assert "virtio-pci,x-pcie-pm-no-soft-reset=off" not in settings(found, "0000:00:05.0/virtio-input")
    assert not any("virtio-net" in str(finding.field) for finding in found)
    found = of_sample("q35-net-3-vectors-7.2", (6, 0))
    assert "virtio-net-pci-base,vectors=3" not in settings(found, "0000:00:02.0/virtio-net")


def test_a_change_counts_from_the_machine_type_after_the_last_that_has_the_old_value() -> None:
    def fields(machine: str, to: Version) -> set[str | None]:
        nic = section("0000:00:02.0/virtio-net", Field("virtio", "buffer", bytes(8)))
        with Machine([nic], name=machine).dump() as dump:
            return settings(risks(dump, to), "0000:00:02.0/virtio-net")

    vectors = "virtio-net-pci-base,vectors=3"
    assert vectors in fields("pc-q35-5.2", (6, 0))
    assert vectors in fields("pc-q35-5.1", (7, 2))
    assert vectors not in fields("pc-q35-6.0", (7, 2))
    assert vectors not in fields("pc-q35-5.1", (5, 2))


def test_devices_that_an_older_release_cannot_load() -> None:
    found = [f for f in of_sample("q35-nvme-igb-11.1", (7, 2)) if f.code is Code.SECTION_UNKNOWN]
    assert {f.section for f in found} == {"0000:00:02.0/igb", "0000:00:03.0/nvme"}
    found = [f for f in of_sample("q35-nvme-igb-11.1", (10, 0)) if f.code is Code.SECTION_UNKNOWN]
    assert {f.section for f in found} == {"0000:00:03.0/nvme"}


def test_queues_that_a_newer_release_refuses() -> None:
    found = of_sample("q35-root-ports-10.0", (11, 1))
    sizes = [f for f in found if f.code is Code.QUEUE_SIZE]
    assert "0000:00:03.0:00.0/virtio-balloon" in {f.section for f in sizes}
    assert not [f for f in of_sample("q35-root-ports-10.0", (10, 0)) if f.code is Code.QUEUE_SIZE]
