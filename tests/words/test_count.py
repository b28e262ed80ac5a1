"""explain knows what QEMU can say: the count over a source tree does not fall, and the tool finds
messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from msixtool.tasks.explain.families import find_family
from tests.words.count import count, count_broad, known
from tests.words.record import recorded
from tests.words.sources import Message, filled, messages

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
FLOOR = 0.9
BROAD = 0.4
"""As much may be known by a few words of a message alone."""


@pytest.mark.parametrize("release", recorded())
def test_of_a_release_nine_messages_of_ten_are_known_and_most_by_more_than_a_few_words(release: str) -> None:
    said = recorded()[release]
    found, every = map(sum, zip(*count(said).values(), strict=True))
    assert every > 400
    assert found >= FLOOR * every
    assert count_broad(said) <= BROAD * every


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
@pytest.mark.parametrize("tree", TREES)
def test_nine_of_ten_messages_of_a_source_tree_are_known(tree: Path) -> None:
    said = messages(tree)
    found, every = map(sum, zip(*count(said).values(), strict=True))
    assert found >= FLOOR * every
    release = ".".join((tree / "VERSION").read_text().split(".")[:2])
    if release in recorded():
        assert sorted(said, key=repr) == sorted(recorded()[release], key=repr)


CONFLICTS = [
    "Postcopy is not compatible with ignore-shared",
    "RDMA and XBZRLE can't be used together",
    "Multifd is not compatible with xbzrle",
    "Postcopy preempt requires postcopy-ram",
    "Mapped-ram migration is incompatible with postcopy",
]
MOMENTS = [
    "Postcopy migration in progress, cannot cancel.",
    "Enable postcopy with migrate_set_capability before the start of migration",
    "Migrate recover can only be run when postcopy is paused.",
]


@pytest.mark.parametrize("said", CONFLICTS + MOMENTS)
def test_a_refused_command_is_not_taken_for_a_failure_of_what_it_names(said: str) -> None:
    found = find_family(said, named=True)
    assert found is not None
    assert found[0].family.name == ("capabilities-conflict" if said in CONFLICTS else "wrong-moment")


def test_messages_are_taken_out_of_functions_that_a_load_reaches(tmp_path: Path) -> None:
    (tmp_path / "hw" / "toy").mkdir(parents=True)
    (tmp_path / "hw" / "toy" / "toy.c").write_text(
        'static int helper(void)\n{\n    error_report("toy: %d != "\n                 "%" PRIx64, 1, x);\n}\n'
        "static int toy_post_load(void *opaque, int version)\n{\n    return helper();\n}\n"
        'static void unrelated(void)\n{\n    error_report("never on a load");\n}\n'
        "static const VMStateDescription vmstate_toy = {\n    .post_load = toy_post_load,\n};\n"
    )
    found = messages(tmp_path)
    assert found == [Message("hw/toy/toy.c", "toy: %d != %x")]
    assert found[0].folder == "hw/toy"
    assert filled(found[0].text) == "toy: 3 != 3"


def test_a_message_is_known_by_its_words_or_its_family() -> None:
    assert known("Machine type received is 'a' and local is 'b'")
    assert known("tpm-emulator: could not send INIT: 3")
    assert not known("all is well")
