"""explain knows what QEMU can say: the count over a source tree does not fall, and the tool finds
messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.words.count import count, known
from tests.words.sources import Message, filled, messages

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
FLOOR = 0.9


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
def test_nine_of_ten_messages_of_a_release_are_known() -> None:
    for tree in TREES:
        found, every = map(sum, zip(*count(tree).values(), strict=True))
        assert every > 400, tree
        assert found >= FLOOR * every, tree


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
