"""explain among noise: prefixes, escapes, several failures, repetitions, and logs that mean harm."""

from __future__ import annotations

import io
import json
import random
from string import Formatter

import pytest
from hypothesis import given, strategies as st

from msixtool.qemu.wordings import WORDINGS, Role
from msixtool.tasks.explain import _CAUSES, _SENTENCES, MOST, Explanation, explain
from msixtool.tasks.explain.lines import LOG_BLOCK
from tests.tasks.explain_logs import explained, one

CONFIG = "get_pci_config_device: Bad config data: i=0x9a read: 3 device: 8 cmask: ff wmask: 0 w1cmask:0"
PLACE = "error while loading state for instance 0x0 of device '0000:00:03.0/virtio-net'"
END = "load of migration failed: Invalid argument"
VECTORS = [CONFIG, "Failed to load PCIDevice:config", "Failed to load virtio-net:virtio", PLACE, END]
CHAIN = f"{END}: {PLACE}: Failed to load element of type virtio for virtio"
BLOCK_LOST = ['Unknown ramblock "pc.rom", cannot accept migration', END]


def assert_vectors(explanation: Explanation) -> None:
    told = explanation.told
    assert (told.code, told.section, told.instance) == ("config-mismatch", "0000:00:03.0/virtio-net", 0)
    assert (told.config_offset, told.source, told.target) == (0x9A, 3, 8)
    assert told.field == "MSI-X table size"
    assert "4 vectors" in told.message
    assert "9 vectors" in told.message


def test_the_lines_of_one_failure_are_one_explanation_by_its_cause() -> None:
    explanation = one(*VECTORS)
    assert_vectors(explanation)
    assert (explanation.line, explanation.lines) == (1, (1, 2, 3, 4, 5))
    assert explanation.text == CONFIG


@pytest.mark.parametrize(
    "prefix",
    [
        "qemu-system-x86_64: ",
        "qemu: warning: ",
        "2023-07-14T14:46:34.547550Z qemu-kvm: ",
        "Jul 14 14:46:34 host2 libvirtd[1234]: 2023-07-14T14:46:34.547550Z qemu-system-x86_64: ",
        "[  12.5] \x1b[31mqemu-system-x86_64:\x1b[0m ",
        "2023-07-14 14:46:34.547+0000: 1234: error : qemuProcessReportLogError:2051 : internal error: ",
    ],
)
def test_prefixes_of_programs_journals_and_times_make_no_difference(prefix: str) -> None:
    explanation = one(*(prefix + line for line in VECTORS))
    assert_vectors(explanation)
    assert explanation.text == CONFIG


def test_the_single_line_of_newer_releases_is_read_from_its_end() -> None:
    explanation = one(f"qemu-system-x86_64: {CONFIG}", f"qemu-system-x86_64: {CHAIN}")
    assert_vectors(explanation)
    assert explanation.qemu == ((10, 2), None)
    machine = "Machine type received is 'pc-q35-9.0' and local is 'pc-q35-8.2'"
    hook = "post load hook failed for: configuration, version_id: 1, minimum_version: 0"
    told = one(f"qemu-system-x86_64: {END}: {hook}: {machine}").told
    assert (told.code, told.source, told.target) == ("machine-type", "pc-q35-9.0", "pc-q35-8.2")


def test_lines_that_mean_nothing_may_stand_between() -> None:
    noise = ["shutting down", "Failed to load module foo", "", "3 != 4", "\x00\xff garbage"]
    lines = [entry for line in VECTORS for entry in (line, *noise)]
    explanation = one(*lines)
    assert_vectors(explanation)
    assert explanation.lines[:4] == (1, 7, 13, 19)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_json_escaped_is_read_as_what_it_was(depth: int) -> None:
    text = "\n".join(f"qemu-system-x86_64: {line}" for line in [*VECTORS, *BLOCK_LOST])
    for _ in range(depth):
        text = json.dumps({"class": "GenericError", "desc": text})
    first, second = explained("before", text)
    assert_vectors(first)
    assert (second.told.code, second.told.field) == ("ram-missing", "pc.rom")
    assert (first.line, second.line) == (2, 2)


def test_what_html_and_syslog_escaped_is_read_as_what_it_was() -> None:
    escaped = "#012".join(VECTORS).replace("'", "&apos;")
    assert_vectors(one(f"host libvirtd[7]: internal error: QEMU unexpectedly closed the monitor: {escaped}"))


def test_lines_may_end_as_on_other_systems_and_terminals() -> None:
    explanation = explain(io.BytesIO("\r\n".join(VECTORS).encode()))
    assert [each.lines for each in explanation] == [(1, 2, 3, 4, 5)]
    blocked = explain(io.BytesIO(b"50%\rvirsh: Migration disabled: some reason\r\n"))
    assert blocked[0].told.message == "The VM cannot be saved: Migration disabled: some reason."


def test_messages_that_run_together_on_one_line_are_told_apart() -> None:
    told = one(
        "ERROR: Cannot migrate while device properties (subsys/subsys_ven) differ"
        "qemu-system-x86_64: error while loading state for instance 0x0 of device '0000:00:02.0/e1000e'",
        "qemu-system-x86_64: load of migration failed: Operation not permitted",
    ).told
    assert (told.code, told.section) == ("field-mismatch", "0000:00:02.0/e1000e")


def test_two_failures_are_two_explanations_in_the_order_of_the_log() -> None:
    lines = explained(*VECTORS, "noise", *BLOCK_LOST)
    assert [(each.line, each.told.code) for each in lines] == [(1, "config-mismatch"), (7, "ram-missing")]


def test_causes_without_their_ends_are_told_apart_too() -> None:
    found = explained(
        CONFIG, 'Unknown ramblock "a", cannot accept migration', "Unknown savevm section type 9"
    )
    assert [each.told.code for each in found] == ["config-mismatch", "ram-missing", "stream"]


def test_a_failure_that_is_logged_again_is_counted_and_not_explained_twice() -> None:
    explanation = one(*VECTORS, "libvirt says it again:", *VECTORS, END)
    assert explanation.again == [7]
    assert explanation.lines == (1, 2, 3, 4, 5)


def test_the_same_cause_in_another_device_is_another_failure() -> None:
    other = [line.replace("03.0", "04.0") for line in VECTORS]
    assert [each.told.section for each in explained(*VECTORS, *other)] == [
        "0000:00:03.0/virtio-net",
        "0000:00:04.0/virtio-net",
    ]


def test_a_journal_that_mixes_two_processes_keeps_their_failures_apart() -> None:
    here = [f"host qemu-kvm[11]: {line}" for line in VECTORS]
    there = [
        f"host qemu-kvm[22]: {line.replace('03.0', '04.0').replace('i=0x9a', 'i=0x34')}" for line in VECTORS
    ]
    mixed = [line for pair in zip(here, there, strict=True) for line in pair]
    found = {each.told.section: each for each in explained(*mixed)}
    assert found["0000:00:03.0/virtio-net"].told.config_offset == 0x9A
    assert found["0000:00:04.0/virtio-net"].told.config_offset == 0x34


def test_an_end_without_a_cause_is_explained_only_where_nothing_else_explains_it() -> None:
    alone = one(END)
    assert (alone.told.code, alone.told.section) == ("other", None)
    assert "gives no reason" in alone.told.message
    assert [each.line for each in explained(*VECTORS, END)] == [1]
    assert [each.line for each in explained(*VECTORS, "load of migration failed: Input/output error")] == [
        1,
        6,
    ]


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "Failed to load configuration: /etc/foo.conf",
        "Failed to load foo:bar",
        "assertion failed: 3 != 4",
        "2 != 1",
        "invalid parameter value: x",
        "migration 0001_initial applied to section 'users'",
        "Size of image mismatch: 3",
        "Unknown section 7",
        "Traceback (most recent call last):",
    ],
)
def test_what_is_no_message_of_qemu_is_left_alone(noise: str) -> None:
    assert explained(noise, noise) == []


def test_words_that_anything_may_log_count_with_the_name_of_qemu_before_them() -> None:
    told = one("qemu-system-x86_64: 2 != 1").told
    assert (told.code, told.source, told.target) == ("field-mismatch", 1, 2)


@pytest.mark.parametrize(
    ("text", "code", "field", "source", "target"),
    [
        ("Length mismatch: pc.ram: 8000000 in != 10000000", "ram-size", "pc.ram", 0x8000000, 0x10000000),
        (
            "Length mismatch: vga.vram: 0x800000 in != 0x1000000: Invalid argument",
            "ram-size", "vga.vram", 1 << 23, 1 << 24,
        ),
        (
            "Length too large: /rom@etc/acpi/tables: 0x40000 > 0x20000",
            "ram-size", "/rom@etc/acpi/tables", 0x40000, 0x20000,
        ),
        (
            "qemu: Features 0x710006d4 unsupported. Allowed features: 0x71000654",
            "features", "guest_features", 0x710006D4, 0x71000654,
        ),
        (
            "qemu: warning: error while loading state for instance 0x0 of device 'ram'",
            "other", None, None, None,
        ),
        ("savevm: unsupported version 5 for 'serial' v3", "section-version", "version_id", 5, 3),
        ("Unexpected config length 0x20. Expected 0x22", "field-mismatch", "config_len", 0x20, 0x22),
        ("Invalid number of PCI queues: 0x500", "other", "num_queues", 0x500, None),
        ("load of migration failed", "other", None, None, None),
        ("Error -22 while loading VM state", "other", None, None, None),
        ("Mismatched RAM page size pc.ram (local) 4096 != 2097152", "page-size", "pc.ram", 2 << 20, 4096),
        ("multifd: received packet magic 5145564d expected 11223344", "capability", "multifd", False, True),
        (
            "load of migration failed: Invalid argument: Not a migration stream, magic: 11223344 !="
            " 5145564d",
            "capability", "multifd", True, False,
        ),
        (
            "multifd: received channel id 5 is greater than number of channels 2",
            "capability", "multifd-channels", 5, 2,
        ),
        ("virtio-net: curr_queue_pairs 4 > max_queue_pairs 1", "field-mismatch", "curr_queue_pairs", 4, 1),
        ("VQ 3 vring.num 128 exceeds allocated max 0", "queue-size", "queue 3 size", 128, 0),
        (
            "Property 'block-size' changed from 0x200000 to 0x400000",
            "field-mismatch", "block-size", 0x200000, 0x400000,
        ),
        ("State blocked by non-migratable CPU device (invtsc flag)", "other", "invtsc", None, None),
        (
            "unsupported configuration: Target CPU cores 4 does not match source 2",
            "field-mismatch", "CPU cores", "2", "4",
        ),
        (
            "guest CPU doesn't match specification: missing features: vmx,avx2",
            "other", "cpu", "vmx,avx2", None,
        ),
        (
            "qemu-system-x86_64: ../hw/pci/msix.c:550: msix_vector_use: Assertion `vector <"
            " dev->msix_entries_nr' failed.",
            "vector-range", "vector", None, None,
        ),
    ],
)  # fmt: skip
def test_wordings_of_other_releases(
    text: str, code: str, field: str | None, source: object, target: object
) -> None:
    told = one(text).told
    assert (told.code, told.field, told.source, told.target) == (code, field, source, target)


def test_features_are_named_by_the_kind_of_the_device() -> None:
    lines = [
        "qemu-kvm: Features 0x40000000130afffa7 unsupported. Allowed features: 0x130acffa7",
        "qemu-kvm: Failed to load virtio-net:virtio",
        f"qemu-kvm: {PLACE}",
        "qemu-kvm: load of migration failed: Operation not permitted",
    ]
    told = one(*lines).told
    assert "STATUS, CTRL_VQ" in told.message
    assert "MRG_RXBUF" not in told.message
    assert told.advice is not None
    assert "ctrl_vq" in told.advice
    block = [line.replace("virtio-net", "virtio-blk") for line in lines]
    assert "bit 16" not in one(*block).told.message
    assert "SECURE_ERASE" in one(*block).told.message


def test_every_wording_of_a_cause_has_its_explanation_and_the_values_that_this_needs() -> None:
    for wording in WORDINGS:
        if wording.role in (Role.CAUSE, Role.NOTE) and wording.name not in _CAUSES:
            sentence = _SENTENCES[wording.name]
            texts = " ".join(filter(None, (sentence.words, sentence.advice, sentence.field)))
            used = {name for _, name, _, _ in Formatter().parse(texts) if name} - {"it"}
            assert used <= set(wording.pattern.groupindex), (wording.name, used)


def test_a_warning_is_explained_as_one() -> None:
    told = one(
        "qemu-kvm: warning: UUID is received 00010203-0405-0607-0809-0a0b0c0d0e0f, but local uuid isn't set"
    ).told
    assert told.code == "uuid"
    assert "The load goes on" in told.message


def test_a_bare_refusal_of_a_virtio_device_is_its_vectors_or_its_ports() -> None:
    def refused(kind: str, errno: str = "Invalid argument") -> str:
        place = f"error while loading state for instance 0x0 of device '0000:00:03.0/{kind}'"
        return one(
            f"Failed to load {kind}:virtio", place, f"load of migration failed: {errno}"
        ).told.code.value

    assert refused("virtio-blk") == "vector-range"
    assert refused("virtio-console") == "field-mismatch"
    assert refused("virtio-blk", "Operation not permitted") == "other"
    assert refused("virtio-blk", "No such file or directory") == "subsection-unknown"
    assert refused("virtio-blk", "Input/output error") == "stream"
    assert one(f"qemu-kvm: {CHAIN}").told.code == "vector-range"
    inner = "Failed to load virtio-mem-device:tmp"
    assert one(inner, "Failed to load virtio-mem:virtio", PLACE, END).told.code == "other"
    config = one(*VECTORS[1:]).told
    assert (config.code, config.field, config.section) == (
        "config-mismatch",
        "config",
        "0000:00:03.0/virtio-net",
    )
    assert one(f"{END}: {PLACE.replace('virtio-net', 'cirrus_vga')}").told.code == "other"


def test_what_a_terminal_would_act_on_is_not_repeated() -> None:
    text = one('Unknown ramblock "a\x1b]0;b\x07", cannot accept migration').text
    assert text.isprintable()


def test_a_line_longer_than_any_buffer_is_searched_to_its_end() -> None:
    for gap in (LOG_BLOCK - 66, 2 * LOG_BLOCK - 66, 3 * LOG_BLOCK - 66, 5 * LOG_BLOCK):
        explanation, *_ = explained(
            "first", "x" * gap + f" qemu-kvm: {CONFIG} " + "y" * gap + f" {BLOCK_LOST[0]}"
        )
        assert explanation.line == 2
        assert explanation.told.config_offset == 0x9A


def test_two_failures_in_a_line_longer_than_any_buffer_are_each_found_once() -> None:
    text = f" {CONFIG} ".join(["z" * (LOG_BLOCK + 1000)] * 4)
    assert one(text).again == []


def test_more_failures_than_anyone_reads_are_cut_off() -> None:
    lines = (CONFIG.replace("0x9a", f"{offset:#x}") for offset in range(MOST + 50))
    assert len(explained(*lines)) == MOST


@pytest.mark.parametrize(
    "piece",
    [
        b"Size mismatch: ",
        b'Unknown ramblock "',
        b"a: incoming version_id 5 is too new for local version_id ",
        b"Unknown savevm section or instance '",
        b"\\\\\\\\n\\u0027",
        b"2 != 1 ",
        b"qemu-kvm: Failed to load a:b ",
        b"&#0;&amp;#012",
        b"Missing section footer for a:a:a:a:",
        b"guest CPU doesn't match specification: missing features: a,",
        bytes(range(256)),
    ],
)
def test_repeated_beginnings_of_messages_neither_hang_nor_fail(piece: bytes) -> None:
    assert len(explain(io.BytesIO(piece * (200_000 // len(piece))))) <= MOST


def test_numbers_beyond_all_measure_are_read() -> None:
    told = one(f"VQ {'9' * 20} vring.num {'9' * 20} exceeds allocated max 1").told
    assert told.source == int("9" * 20)
    assert one("Property 'x' changed from 010 to 0x0").told.source == 10
    assert (
        explained("Received TARGET_PAGE_BITS is 99999999999999999999 but local is -5")[0].told.code
        == "page-size"
    )


def test_random_bytes_are_no_failure() -> None:
    assert explain(io.BytesIO(random.Random(7).randbytes(1 << 20))) == []


_ALPHABET = st.sampled_from(
    [
        *VECTORS,
        *BLOCK_LOST,
        CHAIN,
        "\n",
        " ",
        ": ",
        "'",
        '"',
        "\\n",
        "\\",
        "0x",
        "qemu-kvm: ",
        "[3]: ",
        "#012",
        "&",
    ]
)


@given(st.lists(_ALPHABET, max_size=30))
def test_messages_in_any_order_and_in_pieces_are_explained_without_an_error(pieces: list[str]) -> None:
    text = "".join(pieces)
    for explanation in explained(text):
        document = explanation.to_json()
        assert json.loads(json.dumps(document)) == document
        assert 1 <= document["line"] <= text.count("\n") + 1
        assert document["message"]
