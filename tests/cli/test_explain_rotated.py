"""explain on a folder of logs, and on what looks like QEMU's words in a wrapping that is not known."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool import Explained, InputError, explain
from tests.cli.conftest import Result

Tool = Callable[..., Result]

CAUSE = 'qemu-kvm: Unknown ramblock "pc.rom", cannot accept migration\n'
PLACE = "qemu-kvm: error while loading state for instance 0x0 of device 'ram'\n"
END = "qemu-kvm: load of migration failed: Invalid argument\n"
FOOTER = "qemu-kvm: Missing section footer for 0000:00:01.0/virtio-gpu\n" + END
NOISE = "2026-01-02 03:04:05.000+0000: starting up\n"


def texts(found: Explained) -> list[tuple[str, int, str]]:
    return [(Path(each.log or "").name, each.line, each.text) for each in found.explanations]


def test_a_failure_that_was_rotated_in_the_middle_is_one(tmp_path: Path) -> None:
    (tmp_path / "vm1.log").write_text(PLACE + END + NOISE)
    (tmp_path / "vm1.log.1").write_text(NOISE + CAUSE)
    found = explain(tmp_path)
    assert texts(found) == [("vm1.log.1", 2, 'Unknown ramblock "pc.rom"')]
    assert found.explanations[0].told.section == "ram"
    assert found.explanations[0].lines == (2,)


def test_each_log_of_a_folder_is_read_from_its_oldest_file(tmp_path: Path) -> None:
    (tmp_path / "vm1.log").write_text(NOISE)
    (tmp_path / "vm1.log.1").write_text(NOISE + FOOTER)
    (tmp_path / "vm1.log.2.gz").write_bytes(gzip.compress((CAUSE + PLACE + END).encode()))
    (tmp_path / "vm1.log.10.xz").write_bytes(lzma.compress((NOISE * 3 + FOOTER).encode()))
    (tmp_path / "vm2.log-20260101.bz2").write_bytes(bz2.compress(FOOTER.encode()))
    (tmp_path / "vm2.log-20260102").write_text(NOISE + CAUSE + END)
    (tmp_path / "notes.md").write_text(FOOTER)
    found = explain(tmp_path)
    assert [(name, line) for name, line, _ in texts(found)] == [
        ("vm1.log.10.xz", 4),
        ("vm1.log.2.gz", 1),
        ("vm2.log-20260101.bz2", 1),
        ("vm2.log-20260102", 2),
    ]
    # Said again in another file: `again` has the lines of the file that is named.
    assert found.explanations[0].again == []


def test_a_folder_is_one_side_of_a_migration(tmp_path: Path, msixtool: Tool) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "vm1.log").write_text(NOISE + FOOTER)
    source = tmp_path / "source.log"
    source.write_text("qemu-kvm: Unable to write to socket: Broken pipe\n")
    result = msixtool("explain", source, tmp_path / "target", "--json")
    assert result.status == 1
    first, second = result.json["explanations"]
    assert Path(first["log"]) == tmp_path / "target" / "vm1.log"
    assert f"{first['log']}, line 2" in second["advice"]


def test_a_folder_without_a_log_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(FOOTER)
    with pytest.raises(InputError, match="without a log"):
        explain(tmp_path)


HIDDEN = {
    "base64": base64.b64encode((NOISE + CAUSE + PLACE + END).encode()),
    "base64-lines": base64.encodebytes((NOISE + CAUSE + PLACE + END).encode()),
    "hexadecimal": (CAUSE + END).encode().hex().encode(),
    "spaced": " ".join(END).encode(),
    "broken-words": "\n".join(END[at : at + 7] for at in range(0, len(END), 7)).encode(),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_qemus_words_in_an_unknown_wrapping_are_told_of(name: str, tmp_path: Path, msixtool: Tool) -> None:
    log = tmp_path / "log"
    log.write_bytes(HIDDEN[name])
    result = msixtool("explain", log, "--json")
    assert result.status == 0
    assert result.json["explanations"] == []
    assert "wrapping" in result.json["hint"]
    assert "wrapping" in result.err


def test_a_log_of_something_else_has_no_hint(tmp_path: Path, msixtool: Tool) -> None:
    log = tmp_path / "log"
    log.write_text(NOISE * 50)
    result = msixtool("explain", log, "--json")
    assert (result.status, result.json["hint"], result.err) == (0, None, "")
