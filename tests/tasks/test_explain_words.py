"""explain never denies a reason: what QEMU said before the frame is the cause, known words or not."""

from __future__ import annotations

from string import Formatter

import pytest

from msixtool.tasks.explain.families import FAMILIES, find_family
from tests.tasks.explain_logs import explained, one

PLACE = "error while loading state for instance 0x0 of device '0000:00:05.0/frobnicator'"
END = "load of migration failed: Input/output error"
WHY = "frobnicator: the gizmo is wedged (17)"


@pytest.mark.parametrize(
    "lines",
    [
        [f"qemu-kvm: {WHY}", f"qemu-kvm: {PLACE}", f"qemu-kvm: {END}"],
        [f"qemu-system-x86_64: {WHY}", f"qemu-system-x86_64: {END}"],
        [f"2026-01-02T03:04:05.678901Z qemu-kvm: {part}" for part in (WHY, PLACE, END)],
        [f"qemu-kvm: {END}: {PLACE}: post load hook failed for: x, version_id: 1, minimum_version: 0: {WHY}"],
        ["internal error: QEMU unexpectedly closed the monitor: "
         + "".join(f"2026-01-02T03:04:05.678901Z qemu-kvm: {part}" for part in (WHY, PLACE, END))],
        ["qemu-kvm: warning: a thing is not there", *(f"qemu-kvm: {part}" for part in (WHY, PLACE, END))],
    ],
    ids=["lines", "no-place", "times", "chain", "run-together", "after-a-warning"],
)  # fmt: skip
def test_words_that_are_not_known_are_the_cause_all_the_same(lines: list[str]) -> None:
    explanation = one(*lines)
    assert explanation.text == WHY
    assert explanation.known is False
    assert explanation.to_json()["known"] is False
    assert WHY in explanation.told.message
    assert "gives no reason" not in explanation.told.message
    assert "ended" not in explanation.told.message


def test_known_words_are_called_known() -> None:
    assert one('qemu-kvm: Failed to get "write" lock').known is True
    assert one(f"qemu-kvm: {PLACE}", f"qemu-kvm: {END}").known is True


def test_what_is_unknown_and_not_before_a_failed_load_is_left_alone() -> None:
    assert explained(f"qemu-kvm: {WHY}") == []
    assert explained(f"qemu-kvm: {WHY}", *["noise"] * 20, f"qemu-kvm: {END}")[0].text == END


def test_of_two_messages_the_one_that_tells_why_is_the_cause() -> None:
    tls = "Cannot read from TLS channel: Input/output error"
    explanation = one(f"qemu-kvm: {tls}", "qemu-kvm: Not a migration stream", f"qemu-kvm: {END}")
    assert explanation.text == tls
    explanation = one(
        "qemu-kvm: Unable to write to socket: Broken pipe", f"qemu-kvm: {WHY}", f"qemu-kvm: {END}"
    )
    assert explanation.text == WHY


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_all_that_its_sentence_needs(family) -> None:  # type: ignore[no-untyped-def]
    sentence = family.sentence
    texts = " ".join(filter(None, (sentence.words, sentence.advice, sentence.field)))
    names = {name for _, name, _, _ in Formatter().parse(texts) if name}
    for template in family.templates:
        assert all(f"{{{name}}}" in template for name in names), template
    assert sentence.words.endswith(".")


def test_a_message_that_is_of_no_family_has_none() -> None:
    assert find_family("all is well", named=True) is None


REPORTS = {
    "kvm: Putting registers after init: Failed to set XSAVE: Invalid argument": ("XSAVE", "kernel"),
    "qemu-kvm: -drive file=/x: Failed to get \"write\" lock": ("lock", "process"),
    "error: Unsafe migration: Migration may lead to data corruption": ("cache", "--unsafe"),
    "error: Requested operation is not valid: domain has assigned non-USB host devices": (
        "host device", "detach",
    ),
    "nova: Live Migration failure: operation failed: migration out job: unexpectedly failed": (
        "target", "log",
    ),
    "error: operation failed: job 'migration out' failed: Unable to write to socket: Broken pipe": (
        "target", "log",
    ),
    "error: internal error: qemu unexpectedly closed the monitor": ("log", "dmesg"),
    "qemu-kvm: The certificate hasn't got a known issuer": ("certificate", "ca"),
    "qemu-kvm: os_mem_prealloc: Insufficient free host memory pages available": ("huge pages", "target"),
    "qemu-kvm: Userfaultfd not available: Operation not permitted": ("userfaultfd", "postcopy"),
    "qemu-kvm: cap-cfpc higher level (2) in incoming stream than on destination (0)": ("cap-cfpc", "level 2"),
    'Unknown ramblock "/objects/ram-node0", cannot accept migration':
    ("x-use-canonical-path-for-ramblock-id", "/objects"),
    "error: internal error: Attempt to migrate guest to the same host 0001": ("same host", "uuid"),
    "Timed out during operation: cannot acquire state change lock (held by monitor)": ("job", "domjobabort"),
    "Live migration is not completed after 800 seconds and has been aborted": ("downtime", "postcopy"),
    "TASK ERROR: can't migrate VM which uses local devices: hostpci0": ("host device", "detach"),
    "qemu-kvm: bdrv_inactivate_all() failed (-1)": ("switch-over", "source"),
}  # fmt: skip
"""What public reports say, and words that an answer to each has."""


@pytest.mark.parametrize("said", REPORTS)
def test_a_public_report_gets_an_answer_that_helps(said: str) -> None:
    told = one(said).told
    words = f"{told.message} {told.advice}".lower()
    assert [word for word in REPORTS[said] if word.lower() not in words] == []


def test_lines_that_have_nothing_to_do_with_each_other_are_a_failure_each() -> None:
    found = explained(
        "qemu-kvm: -machine pc-q35-rhel8.2.0,accel=kvm: unsupported machine type",
        "qemu-kvm: can't apply global Broadwell-x86_64-cpu.cmt=off: Property '.cmt' not found",
        "virError(Code=74, Domain=0, Message='argument unsupported: parameter 'migrate_disks_detect_zeroes'"
        " not supported')",
        "error: internal error: unable to execute QEMU command 'drive-mirror': Failed to connect socket: No"
        " route to host",
        "failureReason: virError(Code=9, Domain=31, Message=''operation failed: guest CPU doesn''t match"
        " specification: extra features: ht'')",
    )
    words = ["machine type", "does not know a property", "libvirt on one of the two", "NBD", "adds ht."]
    assert [each.line for each in found] == [1, 2, 3, 4, 5]
    assert [word in each.told.message for word, each in zip(words, found, strict=True)] == [True] * 5


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("vfio: Unable to load device config space", "VFIO device"),
        ("Failed to load snapshot: Error -22", "lines before"),
        ("qemu-kvm: load of migration failed: Input/output error", "source stopped sending"),
        ("kvm: error while loading state for instance 0x0 of device 'x'\nkvm: " + END, "no reason by itself"),
    ],
)
def test_words_without_a_reason_are_told_as_what_they_are(said: str, says: str) -> None:
    assert says in one(*said.split("\n")).told.message


def test_one_failure_that_is_told_twice_by_those_above_is_one() -> None:
    said = "operation failed: Failed to take snapshot: pre-save failed: qxl"
    noise = ["Traceback (most recent call last):", *["  ..."] * 8]
    explanation = one(said, *noise, f"libvirt.libvirtError: {said}")
    assert (explanation.line, explanation.again) == (1, [11])
    assert explanation.told.section == "qxl"
