"""The records of QEMU releases, and what is made of them."""

from __future__ import annotations

import json

import pytest

from msixtool.formats.pci import CapabilityId
from msixtool.qemu import history
from msixtool.qemu.kinds import kind_of, kinds
from msixtool.qemu.kinds.facts import POWER_ALL, BarShape
from msixtool.qemu.kinds.space import unpacked
from msixtool.qemu.recorded import default_of, releases, subsections, vmsd_of
from msixtool.qemu.versions import Version
from msixtool.qemu.vmstates import ASKED, FIELDS_BY_VERSION, SUBSECTION_LIFETIMES, minimum_version
from tests.record.record import FOLDER, text_of


def test_the_records_are_as_the_script_writes_them() -> None:
    for path in FOLDER.glob("*.json"):
        text = path.read_text("utf-8")
        made = json.loads(text)
        assert text_of(made) == text
        assert made["release"] == path.stem
    assert list(releases()) == [(5, 2), (7, 2), (10, 0), (11, 1)]


@pytest.mark.parametrize(
    ("name", "release", "covers"),
    [
        ("scsi-disk/pr", (10, 0), False),
        ("scsi-disk/pr", (10, 1), None),
        ("scsi-disk/pr", (11, 1), True),
        ("e1000/tx_tso_state", (4, 0), True),
        ("ich9_pm/pcihp", (5, 2), False),
        ("cpu/fred", (7, 2), False),
        ("cpu/fred", (9, 0), None),
        ("cpu/fred", (10, 0), True),
        ("virtio/128bit_features", (10, 1), False),
        ("virtio/128bit_features", (10, 2), True),
        ("virtio-balloon-device/page-poison", (5, 2), False),
        ("virtio-balloon-device/page-poison", (7, 2), True),
    ],
)
def test_a_subsection_is_known_from_the_first_release_on_that_has_it(
    name: str, release: Version, covers: bool | None
) -> None:
    assert SUBSECTION_LIFETIMES[name].covers(release) is covers


@pytest.mark.parametrize("name", ["esp/pdma", "qxl/monitors-config"])
def test_of_a_subsection_that_is_gone_again_nothing_is_said(name: str) -> None:
    assert name in subsections((7, 2))
    assert name not in SUBSECTION_LIFETIMES


@pytest.mark.parametrize("release", releases())
def test_every_vmsd_that_is_named_is_there(release: Version) -> None:
    record = releases()[release]
    rows = record["vmsds"]
    named = [*record["types"].values()]
    for _, _, fields, below in rows.values():
        named += [*below, *(field[5] for field in fields if len(field) > 5)]
    assert set(named) == set(rows)
    assert [name for name in rows if "PCIDevice" in name] == ["PCIDevice"]
    assert rows["PCIDevice"][2][1:3] == [["config", 0, 256, 1], ["config", 0, 4096, 1]]


@pytest.mark.parametrize(
    ("vmsd", "release", "minimum"),
    [
        ("hpet", (10, 0), 1),
        ("hpet", (10, 1), None),
        ("hpet", (11, 1), 2),
        ("hpet", (12, 0), 2),
        ("hpet", (4, 2), None),
        ("e1000e", (8, 0), 1),
        ("of-a-stranger", (11, 1), None),
        ("hpet", None, None),
    ],
)
def test_the_oldest_version_that_a_release_reads(
    vmsd: str, release: Version | None, minimum: int | None
) -> None:
    assert minimum_version(vmsd, release) == minimum


def _asks_a_function(vmsd: str, field: str) -> set[int]:
    """Whether releases ask a function if a field is there, of all that have it."""
    name = field.partition("[")[0]
    known = [item for record in releases().values() for item in record["vmsds"].items()]
    listed = [fields for key, (_, _, fields, _) in known if vmsd_of(key) == vmsd]
    return {entry[3] for fields in listed for entry in fields if entry[0] == name}


@pytest.mark.parametrize(
    ("vmsd", "field"),
    [
        *((kind.section, field) for kind in kinds() for field in sorted(kind.by_property)),
        *sorted(FIELDS_BY_VERSION),
        ("ide_drive", "identify_data"),
        ("PCIDevice", "config[0]"),
        ("PCIDevice", "config[1]"),
    ],
)
def test_a_field_that_is_not_always_there_is_one_that_qemu_asks_a_function_about(
    vmsd: str, field: str
) -> None:
    assert 1 in _asks_a_function(vmsd, field)


@pytest.mark.parametrize(
    ("vmsd", "field"), [(kind.section, field) for kind in kinds() for field in kind.equal_after_load]
)
def test_a_field_that_is_compared_after_the_load_is_always_there(vmsd: str, field: str) -> None:
    assert _asks_a_function(vmsd, field) == {0}


def test_a_kind_has_the_configuration_space_that_was_recorded() -> None:
    kind = kind_of("e1000e")
    assert kind.function is not None
    assert kind.function.bars == {
        0: BarShape(0x20000, 0),
        1: BarShape(0x20000, 0),
        2: BarShape(0x20, 1),
        3: BarShape(0x4000, 0),
    }
    assert kind.function.power_control == POWER_ALL
    (found,) = kind.capabilities
    assert (int(CapabilityId.MSIX), 0xA0) in found.listed
    assert kind_of("pcie-root-port").function == kind_of("pcie-root-port").function
    assert kind_of("pcie-root-port").capabilities[0].header == 1


def test_every_kind_that_can_be_probed_is_recorded() -> None:
    probed = {kind.section for kind in kinds() if kind.probes}
    newest = list(releases().values())[-1]["functions"]
    assert probed == set(newest)
    assert all(kind_of(section).function is not None for section in probed)
    assert all(len(kind.probes) == len(newest[kind.section]) for kind in kinds() if kind.probes)


@pytest.mark.parametrize("release", releases())
def test_what_a_guest_can_write_is_not_compared(release: Version) -> None:
    for section, variants in releases()[release]["functions"].items():
        for variant in variants:
            written, compared = (unpacked(variant.get(name, {})) for name in ("written", "compared"))
            assert not any(written.get(at, 0) & byte for at, byte in compared.items()), section


def test_of_a_kind_with_several_variants_only_what_is_so_of_all_counts() -> None:
    nvme = kind_of("nvme").function
    assert nvme is not None
    assert nvme.bars == {0: BarShape(0x2000, 0x4)}, "with msix-exclusive-bar=on; 16 KiB without"
    modern, behind_port, legacy = kind_of("virtio-blk").capabilities
    assert [layout.listed[0] for layout in (modern, behind_port, legacy)] == [
        (0x11, 0x98),
        (0x11, 0xDC),
        (0x11, 0x40),
    ]
    assert CapabilityId.EXPRESS in dict(behind_port.listed)


@pytest.mark.parametrize(
    ("section", "machine", "to", "settings"),
    [
        ("pcie-root-port", (3, 1), (10, 0), ["pcie-root-port,x-speed=2_5,x-width=1"]),
        ("pcie-root-port", (6, 0), (10, 0), []),
        ("pcie-root-port", (2, 9), (3, 1), ["pcie-root-port,x-migrate-msix=false"]),
        # Of 2.9 alone: those before it, and those after it, have it on.
        ("pci_bridge", (2, 9), (10, 0), ["pci-bridge,shpc=off"]),
        ("pci_bridge", (2, 8), (10, 0), []),
        ("pci_bridge", (2, 8), (2, 9), ["pci-bridge,shpc=on"]),
        (
            "virtio-blk",
            (5, 1),
            (5, 2),
            ["virtio-blk-device,num-queues=1", "virtio-pci,x-ats-page-aligned=off"],
        ),
        ("virtio-rng", (2, 3), (2, 4), ["virtio-…-pci,any_layout=off"]),
        ("e1000", (2, 4), (10, 0), []),
    ],
)
def test_what_a_newer_machine_type_has_otherwise(
    section: str, machine: Version, to: Version, settings: list[str]
) -> None:
    found = {change.setting for change in history.changes(section, machine, to)}
    ours = {each for each in found if any(name in each for name in _LOOKED_AT)}
    assert ours == set(settings)


_LOOKED_AT = ("x-speed", "x-migrate-msix", "shpc", "num-queues", "x-ats", "any_layout", "migrate_tso")


@pytest.mark.parametrize(
    ("name", "machine", "devices", "value"),
    [
        ("vgamem_mb", (2, 8), ("cirrus-vga",), "8"),
        ("vgamem_mb", (2, 9), ("cirrus-vga",), "4"),
        ("queue-size", (4, 2), ("virtio-blk-device", "virtio-blk-pci"), "128"),
        ("queue-size", (5, 0), ("virtio-blk-device", "virtio-blk-pci"), "256"),
        ("discard", (3, 1), ("virtio-blk-device", "virtio-blk-pci"), "off"),
        ("discard", None, ("virtio-blk-device", "virtio-blk-pci"), "on"),
        ("x-speed", (3, 1), ("pcie-root-port",), "2_5"),
        ("x-speed", (4, 0), ("pcie-root-port",), "16"),
    ],
)
def test_the_default_of_a_property_goes_with_the_machine_type(
    name: str, machine: Version | None, devices: tuple[str, ...], value: str
) -> None:
    assert default_of(name, machine, *devices) == value


def test_a_default_that_nothing_tells_is_not_made_up() -> None:
    with pytest.raises(LookupError, match="of-a-stranger"):
        default_of("of-a-stranger", None, "virtio-blk-pci")


def test_the_newest_release_knows_every_subsection_that_it_was_asked_for() -> None:
    *_, newest = releases().values()
    assert set(ASKED) == set(newest["subsections"])
    assert newest["subsections"]["virtio/extra_state"] == 1


def test_what_machine_types_set_is_recorded_where_a_release_tells_it() -> None:
    assert releases()[7, 2]["compat"] == {}
    assert releases()[10, 0]["compat"]["7.2"]["e1000e,migrate-timadj"] == "off"
    assert releases()[11, 1]["compat"]["7.2"]["e1000e,migrate-timadj"] == "off"
    assert releases()[7, 2]["defaults"]["virtio-blk-pci"]["queue-size"] == 256
