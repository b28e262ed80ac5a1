"""QEMU's rules for what it refuses, one by one, on streams made to measure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from msixtool.formats import qevm
from msixtool.formats.lengths import SIZED_BY
from msixtool.qemu.versions import Version
from msixtool.tasks.compat import Comparison
from msixtool.tasks.finding import Code, Finding, Severity
from tests.stream.build import string, subsection, u32
from tests.tasks.compat_build import (
    Field,
    Machine,
    Section,
    Vmsd,
    comparison,
    number,
    section,
    struct,
)

MIB = 1 << 20


def only(found: Comparison) -> Finding:
    """The one finding that there is."""
    assert len(found.findings) == 1, found.findings
    return found.findings[0]


def codes(found: Comparison) -> list[Code]:
    return [finding.code for finding in found.findings]


# The configuration


def test_another_machine_type_is_refused() -> None:
    found = only(comparison(Machine(name="pc-q35-7.1"), Machine(name="pc-q35-7.2")))
    assert (found.code, found.section, found.source, found.target) == (
        Code.MACHINE_TYPE,
        "configuration",
        "pc-q35-7.1",
        "pc-q35-7.2",
    )
    assert found.advice == "Start the target with -machine pc-q35-7.1."


def test_the_machine_type_is_compared_only_as_far_as_the_source_says_it() -> None:
    assert comparison(Machine(name="pc-q35-7"), Machine(name="pc-q35-7.2")).compatible
    assert not comparison(Machine(name="pc-q35-7.2"), Machine(name="pc-q35-7")).compatible


def capabilities(*names: str) -> bytes:
    return subsection(qevm.CAPABILITIES, u32(len(names)) + b"".join(map(string, names)))


def uuid(value: int) -> bytes:
    return subsection(qevm.UUID, bytes([value]) * 16)


def test_another_uuid_is_refused_and_one_that_the_target_does_not_show_is_undecided() -> None:
    plain = Machine()
    assert codes(comparison(replace(plain, extra=uuid(1)), replace(plain, extra=uuid(2)))) == [Code.UUID]
    assert codes(comparison(replace(plain, extra=uuid(1)), plain)) == [Code.UNDECIDED]
    assert codes(comparison(replace(plain, extra=uuid(1)), replace(plain, extra=uuid(1)))) == []


def test_subsections_of_the_configuration_are_refused_before_the_machine_type() -> None:
    source = Machine(name="pc-q35-7.1", extra=uuid(1))
    assert codes(comparison(source, Machine(extra=uuid(2)))) == [Code.UUID, Code.MACHINE_TYPE]


def test_a_configuration_that_one_side_lacks_is_refused() -> None:
    with_it, without = Machine(), Machine(configured=False)
    missing, unexpected = only(comparison(without, with_it)), only(comparison(with_it, without))
    assert (missing.code, missing.field) == (Code.FIELD_MISMATCH, "configuration")
    assert "expects one" in missing.message
    assert unexpected.code is Code.OTHER
    assert "expects none" in unexpected.message
    assert comparison(without, without).compatible


# RAM


def blocks(**sizes: int) -> Machine:
    return Machine(blocks={name.replace("_", "."): size for name, size in sizes.items()})


def test_a_ram_block_that_the_target_lacks_or_has_in_another_size_is_refused() -> None:
    source = blocks(pc_ram=8 * MIB, pc_bios=MIB)
    missing = only(comparison(source, blocks(pc_ram=8 * MIB)))
    assert (missing.code, missing.section, missing.field) == (Code.RAM_MISSING, "ram", "pc.bios")
    size = only(comparison(source, blocks(pc_ram=16 * MIB, pc_bios=MIB)))
    assert (size.code, size.source, size.target) == (Code.RAM_SIZE, 8 * MIB, 16 * MIB)
    assert size.message == "RAM block pc.ram: 8 MiB, the target has 16 MiB"
    assert comparison(source, blocks(pc_ram=8 * MIB, pc_bios=MIB, other=MIB)).compatible


def test_blocks_that_firmware_tables_live_in_are_resized_up_to_their_limit() -> None:
    name = "/rom@etc/acpi/tables"
    target = Machine(blocks={name: 0x20000})
    assert comparison(Machine(blocks={name: 0x40000}), target).compatible
    assert codes(comparison(Machine(blocks={name: 0x400000}), target)) == [Code.RAM_SIZE]


def test_a_missing_option_rom_names_the_device_that_has_it() -> None:
    rom = Machine(blocks={"pc.ram": MIB, "0000:00:02.0/virtio-net-pci.rom": 0x40000})
    found = only(comparison(rom, blocks(pc_ram=MIB)))
    assert found.advice is not None
    assert "virtio-net-pci at 0000:00:02.0" in found.advice
    assert "romfile=" in found.advice


# Sections


def test_a_section_that_only_the_source_has_is_refused_and_one_that_only_the_target_has_is_not() -> None:
    one, two = section("0000:00:02.0/one", number("a", 1)), section("0000:00:03.0/two", number("a", 1))
    found = only(comparison(Machine([one, two]), Machine([one])))
    assert (found.code, found.section, found.instance) == (Code.SECTION_UNKNOWN, "0000:00:03.0/two", 0)
    assert comparison(Machine([one]), Machine([one, two])).compatible


def test_an_instance_counts_as_a_section_of_its_own() -> None:
    cpus = [Section("cpu_common", Vmsd("cpu_common", [number("halted", 0)]), number_) for number_ in (0, 1)]
    found = only(comparison(Machine(cpus), Machine(cpus[:1])))
    assert (found.section, found.instance) == ("cpu_common", 1)
    assert found.advice == "Give the target the source's -smp."


def test_a_device_at_another_address_is_named() -> None:
    here, there = section("0000:00:02.0/one", number("a", 1)), section("0000:00:1f.3/one", number("a", 1))
    found = only(comparison(Machine([here]), Machine([there])))
    assert found.target == "0000:00:1f.3/one"
    assert found.advice == "Give the target's device the source's address: addr=0x2 (it has addr=0x1f.3)."


def test_sections_that_every_qemu_reads_are_not_missed() -> None:
    assert comparison(Machine([section("globalstate", number("size", 8))]), Machine()).compatible


def test_findings_stand_in_stream_order() -> None:
    names = [f"0000:00:0{slot}.0/x" for slot in (4, 2, 3)]
    source = Machine([section(name, number("a", 1)) for name in names], name="pc-q35-7.1")
    found = comparison(source, Machine())
    assert [finding.section for finding in found.findings] == ["configuration", *names]


@pytest.mark.parametrize(("theirs", "code"), [(3, Code.SECTION_VERSION), (2, None), (1, Code.UNDECIDED)])
def test_a_version_is_refused_where_it_is_newer_and_undecided_where_it_is_older(
    theirs: int, code: Code | None
) -> None:
    source, target = (Machine([section("dev", number("a", 1), version=v)]) for v in (theirs, 2))
    assert codes(comparison(source, target)) == ([] if code is None else [code])


@pytest.mark.parametrize(("version", "code"), [((10, 0), None), ((11, 1), Code.SECTION_VERSION)])
def test_where_the_oldest_version_is_recorded_it_decides(version: Version, code: Code | None) -> None:
    source, target = (Machine([section("hpet", number("a", 1), version=v)]) for v in (1, 2))
    assert codes(comparison(source, target, version=version)) == ([] if code is None else [code])


# Layouts


def device(*fields: Field, subsections: tuple[Vmsd, ...] = ()) -> Machine:
    return Machine([section("dev", *fields, subsections=subsections), section("after", number("z", 0))])


def array(name: str, count: int) -> Field:
    return Field(name, "uint32", bytes(4 * count), count=count)


def test_an_array_of_another_length_is_missed_at_the_footer() -> None:
    found = only(
        comparison(device(array("slots", 8), number("b", 1)), device(array("slots", 4), number("b", 1)))
    )
    assert (found.code, found.section, found.field) == (Code.SECTION_LAYOUT, "dev", "slots")
    assert (found.source, found.target) == (32, 16)
    assert "16 bytes short of the section's end" in found.message


def test_names_and_types_do_not_matter_where_the_bytes_are_as_many() -> None:
    source = device(Field("runstate", "buffer", bytes(100)), number("a", 1))
    target = device(
        Field("runstate", "buffer", bytes(32)),
        number("has_suspended", 0, "uint8"),
        number("suspended", 0, "uint8"),
        Field("unused", "buffer", bytes(66)),
        number("renamed", 1, "int32"),
    )
    assert codes(comparison(source, target)) == []


def test_a_field_in_the_place_of_another_is_another_layout_where_it_is_longer() -> None:
    source, target = (
        device(number("a", 1), number("old", 1)),
        device(number("a", 1), number("new", 1, "uint64")),
    )
    assert codes(comparison(source, target)) == [Code.SECTION_LAYOUT]
    assert codes(comparison(target, source)) == [Code.SECTION_LAYOUT]


def test_a_list_is_as_long_as_the_source_has_it() -> None:
    source = device(Field("queue", "qtailq", b"\x01abcd\x01efgh\x00"), number("b", 1, "uint32 equal"))
    target = device(Field("queue", "qtailq", b"\x00"), number("b", 1, "uint32 equal"))
    assert codes(comparison(source, target)) == []


def test_a_field_that_depends_on_the_state_is_no_matter_and_an_unknown_one_undecided() -> None:
    def drive(vmsd: str, *more: Field) -> Machine:
        inside = Vmsd(vmsd, [number("set", len(more)), *more, number("feature", 0, "uint8")])
        return device(struct("drive", inside))

    data = Field("identify_data", "buffer", bytes(512))
    assert codes(comparison(drive("ide_drive", data), drive("ide_drive"))) == []
    assert codes(comparison(drive("ide_drive"), drive("ide_drive", data))) == []
    assert codes(comparison(drive("other", data), drive("other"))) == [Code.UNDECIDED]


def test_a_field_that_depends_on_a_property_is_another_layout() -> None:
    def nic(*more: Field) -> Machine:
        return Machine([section("0000:00:02.0/e1000e", number("a", 1), *more), section("z", number("z", 0))])

    adjusted = nic(Field("core.timadj", "int64", bytes(8)))
    found = only(comparison(adjusted, nic()))
    assert (found.code, found.field) == (Code.SECTION_LAYOUT, "core.timadj")
    assert found.advice is not None
    assert "migrate-timadj=" in found.advice
    assert codes(comparison(nic(), adjusted)) == [Code.SECTION_LAYOUT]


def structured(version: int, *fields: Field, vmsd: str = "inner", outer: int = 1) -> Machine:
    inside = struct("inside", Vmsd(vmsd, fields, version=version))
    return Machine([section("dev", inside, version=outer), section("after", number("z", 0))])


def test_inside_a_struct_a_newer_target_reads_what_is_new_and_what_is_gone() -> None:
    a, new, old = number("a", 1), number("new", 1, "uint8"), number("old", 1, "uint16")
    found = only(comparison(structured(1, a), structured(2, a, new)))
    assert (found.code, found.section, found.field) == (Code.SECTION_LAYOUT, "dev", "inside.new")
    assert "1 bytes past the section's end" in found.message
    assert codes(comparison(structured(1, a, old), structured(2, a))) == []


def test_inside_a_struct_an_older_target_does_not_read_what_is_new() -> None:
    a, new, old = number("a", 1), number("new", 1, "uint8"), number("old", 1, "uint8")
    found = only(comparison(structured(2, a, new), structured(1, a)))
    assert (found.code, found.field) == (Code.SECTION_LAYOUT, "inside.new")
    # What it reads in its place may be as long: then it loads, whatever that means.
    assert codes(comparison(structured(2, a, new), structured(1, old, a))) == []


def test_a_field_that_goes_by_a_version_in_the_stream_is_not_read_from_an_older_source() -> None:
    a, new = number("a", 1), Field("fifo", "buffer", bytes(8))
    older, newer = structured(4, a, vmsd="esp"), structured(5, a, new, vmsd="esp")
    assert codes(comparison(older, newer)) == []
    assert codes(comparison(newer, older)) == [Code.SECTION_LAYOUT]


def test_of_an_older_section_what_is_new_is_not_read_and_what_is_gone_still_is() -> None:
    a, old, new = number("a", 7, "uint32 equal"), number("old", 1), Field("new", "buffer", bytes(3))
    source, target = (
        Machine([section("hpet", *fields, version=version), section("after", number("z", 0))])
        for version, fields in ((1, (old, a)), (2, (new, a)))
    )
    assert codes(comparison(source, target, version=(10, 0))) == []
    other = Machine([section("hpet", new, number("a", 8, "uint32 equal"), version=2)])
    assert codes(comparison(source, other, version=(10, 0)))[0] is Code.FIELD_MISMATCH


def test_an_error_log_is_as_long_as_its_number_says() -> None:
    def port(entries: int) -> Machine:
        log = [number("log_num", entries, "uint16"), number("log_max", 8, "uint16 equal")]
        if entries:
            log.append(Field("log", "struct", bytes(44 * entries), count=entries))
        return device(struct("aer_log", Vmsd("PCIE_AER_ERROR_LOG", log)), number("b", 7, "uint32 equal"))

    assert codes(comparison(port(2), port(0))) == []


@pytest.mark.parametrize(("vmsd", "name"), sorted(SIZED_BY))
def test_what_is_as_long_as_the_stream_says_is_no_other_layout(vmsd: str, name: str) -> None:
    def used(size: int, elements: int = 1) -> Machine:
        inside = [number("length", size), *[Field(name, "buffer", bytes(size))] * elements]
        return device(struct("own", Vmsd(vmsd, inside)), number("b", 7, "uint32 equal"))

    sizes = [(used(300), used(5)), (used(5), used(300)), (used(5, 0), used(300)), (used(9), used(5, 3))]
    for source, target in sizes:
        assert codes(comparison(source, target)) == []
    other = used(300).sections[0].vmsd.fields[0]
    assert codes(comparison(device(other, number("b", 8, "uint32 equal")), used(5))) == [Code.FIELD_MISMATCH]


def test_an_asynchronous_request_before_an_array_of_pointers() -> None:
    """nvme of 11.1: both are as long as their state, and what is behind them is at another place."""

    def controller(requests: int, queues: int, last: int) -> Machine:
        entry = Vmsd("nvme-request", [number("status", 0, "uint16")])
        queue = Vmsd("nvme-sq", [number("sqid", 1, "uint16")])
        fields = [struct("aer_reqs", entry)] * requests
        for index in range(3):
            fields.append(Field("sq", "ptr-marker", b"1" if index < queues else b"0"))
            fields += [struct("sq", queue)] * (index < queues)
        return Machine([Section("nvme", Vmsd("nvme", [*fields, number("b", last, "uint32 equal")]))])

    fresh = controller(0, 0, 7)
    assert codes(comparison(controller(4, 2, 7), fresh)) == []
    assert codes(comparison(controller(4, 2, 8), fresh)) == [Code.FIELD_MISMATCH]


def test_elements_behind_pointers_are_there_where_the_source_has_them() -> None:
    def queues(*used: int) -> list[Field]:
        element = Vmsd("queue", [number("head", 1), number("tail", 2, "uint64")])
        fields = []
        for index in range(4):
            fields.append(Field("sq", "ptr-marker", b"1" if index in used else b"0"))
            if index in used:
                fields.append(struct("sq", element))
        return fields

    fresh = [Field("sq", "ptr-marker", b"0000", count=4)]
    behind = number("b", 7, "uint32 equal")
    for used in ((), (0,), (1, 3), (0, 1, 2, 3)):
        assert codes(comparison(device(*queues(*used), behind), device(*fresh, behind))) == []


def test_a_pointer_that_only_the_source_has_is_refused() -> None:
    source, target = device(Field("p", "nullptr", b"1")), device(Field("p", "nullptr", b"0"))
    assert codes(comparison(source, target)) == [Code.OTHER]


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_fields_that_must_be_equal(bits: int) -> None:
    kind = f"int{bits} equal" if bits == 64 else f"uint{bits} equal"
    source, target = device(number("ports", 4, kind)), device(number("ports", 6, kind))
    found = only(comparison(source, target))
    assert (found.code, found.field, found.source, found.target) == (Code.FIELD_MISMATCH, "ports", 4, 6)


def test_what_an_e1000e_compares_by_itself() -> None:
    def nic(subsys: int) -> Machine:
        return Machine([section("0000:00:02.0/e1000e", number("subsys", subsys, "uint16"), number("z", 0))])

    found = only(comparison(nic(0x10), nic(0x20)))
    assert (found.code, found.field, found.source, found.target) == (
        Code.FIELD_MISMATCH,
        "subsys",
        0x10,
        0x20,
    )


def test_what_a_virtio_mem_checks_before_its_state() -> None:
    def memory(block_size: int) -> Machine:
        checks = Vmsd("virtio-mem-device/sanity-checks", [number("block_size", block_size, "uint64")])
        return Machine([section("0000:00:05.0/virtio-mem-device-early", struct("tmp", checks))])

    found = only(comparison(memory(0x200000), memory(0x100000)))
    assert (found.code, found.field) == (Code.FIELD_MISMATCH, "tmp.block_size")
    assert found.advice == "Give the target's device the source's block-size=."


def test_a_section_is_read_by_a_device_that_writes_none() -> None:
    source = Machine([section("ramfb-dev", number("a", 1))])
    assert codes(comparison(source, Machine(), version=(10, 0))) == [Code.UNDECIDED]
    assert codes(comparison(source, Machine(), version=(7, 2))) == [Code.SECTION_UNKNOWN]


def test_a_sound_section_is_read_by_a_qemu_that_no_longer_writes_it() -> None:
    source = Machine([section("audio", number("a", 1))])
    assert codes(comparison(source, Machine(), version=(7, 2))) == [Code.UNDECIDED]
    assert codes(comparison(source, Machine(), version=(5, 2))) == [Code.SECTION_UNKNOWN]


def test_a_sound_section_is_not_read_where_the_sound_device_is_missing() -> None:
    card = section("0000:00:05.0/ac97", number("a", 1))
    source = Machine([section("audio", number("a", 1)), card])
    assert codes(comparison(source, Machine(), version=(7, 2))) == [Code.SECTION_UNKNOWN] * 2
    assert codes(comparison(source, Machine([card]), version=(7, 2))) == []
    assert codes(comparison(source, Machine([card], style="7.2"))) == []


@pytest.mark.parametrize(
    ("version", "expected"), [((7, 1), []), ((7, 2), [Code.OTHER]), (None, [Code.UNDECIDED])]
)
def test_an_xhci_without_msix_ends_a_qemu_that_asserts(version: Version | None, expected: list[Code]) -> None:
    config = Field("config", "pci config", bytes(256))
    hub = Machine([section("0000:00:05.0/xhci", struct("parent_obj", Vmsd("PCIDevice", [config])))], "pc")
    assert codes(comparison(hub, hub, version=version)) == expected


# Subsections


def sub(name: str, size: int = 4, version: int = 1) -> Vmsd:
    return Vmsd(name, [Field("data", "buffer", bytes(size))], version=version)


def test_a_subsection_that_only_the_target_has_is_no_matter() -> None:
    assert (
        codes(comparison(device(number("a", 1)), device(number("a", 1), subsections=(sub("dev/x"),)))) == []
    )


def test_a_subsection_that_the_target_does_not_show() -> None:
    source, target = device(number("a", 1), subsections=(sub("dev/x"),)), device(number("a", 1))
    # The target's QEMU is as old as the source's, or older: unknown which.
    assert codes(comparison(source, target, version=(6, 0))) == [Code.UNDECIDED]
    assert codes(comparison(source, target, version=(10, 0))) == []


@pytest.mark.parametrize(("version", "expected"), [((7, 2), [Code.SUBSECTION_UNKNOWN]), ((10, 0), [])])
def test_a_subsection_that_came_with_a_release(version: Version, expected: list[Code]) -> None:
    def pic(*subsections: Vmsd) -> Machine:
        return Machine([section("i8259", number("a", 1), subsections=subsections)])

    assert codes(comparison(pic(sub("i8259/ltim")), pic(), version=version)) == expected


def test_a_subsection_of_a_newer_version_is_refused() -> None:
    source, target = (device(number("a", 1), subsections=(sub("dev/x", version=v),)) for v in (2, 1))
    assert codes(comparison(source, target)) == [Code.SECTION_VERSION]


def test_a_subsection_of_another_name_is_left_for_the_footer() -> None:
    source = device(number("a", 1), subsections=(sub("typo/x"),))
    assert codes(comparison(source, device(number("a", 1)))) == [Code.SECTION_LAYOUT]


def hotplug(elements: int | None, cpus: int) -> Machine:
    subsections = () if elements is None else (sub("ich9_pm/cpuhp", 5 + 10 * elements),)
    bridge = section("0000:00:1f.0/ICH9LPC", struct("pm", Vmsd("ich9_pm", [number("a", 1)], subsections)))
    return Machine(
        [bridge, *(Section("cpu_common", Vmsd("cpu_common", [number("h", 0)]), each) for each in range(cpus))]
    )


def test_more_cpus_than_the_source_has_elements_for_are_another_layout() -> None:
    assert codes(comparison(hotplug(1, 1), hotplug(None, 2))) == [Code.SECTION_LAYOUT]
    assert codes(comparison(hotplug(1, 1), hotplug(2, 2))) == [Code.SECTION_LAYOUT]
    assert codes(comparison(hotplug(2, 2), hotplug(2, 2))) == []
    # How many CPUs could be plugged into the target is not in its stream.
    assert codes(comparison(hotplug(1, 1), hotplug(None, 1))) == [Code.UNDECIDED]


# Any layout


FIELDS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 9)), min_size=1, max_size=6, unique_by=lambda f: f[0]
)


@given(FIELDS)
def test_every_layout_loads_into_itself(layout: list[tuple[str, int]]) -> None:
    machine = device(*(Field(name, "buffer", bytes(size)) for name, size in layout))
    assert codes(comparison(machine, machine)) == []


@given(FIELDS, st.integers(1, 9))
def test_a_longer_last_field_is_always_another_layout(layout: list[tuple[str, int]], more: int) -> None:
    fields = [Field(name, "buffer", bytes(size)) for name, size in layout]
    last = fields[-1]
    longer = [*fields[:-1], replace(last, data=bytes(len(last.data) + more))]
    for source, target in ((fields, longer), (longer, fields)):
        found = comparison(device(*source), device(*target))
        assert codes(found) == [Code.SECTION_LAYOUT]
        assert found.findings[0].severity is Severity.ERROR
