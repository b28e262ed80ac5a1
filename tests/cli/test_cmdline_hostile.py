"""`msixtool cmdline` of streams that mean no good: what it prints is safe to paste into any shell."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from msixtool import Dump
from tests.cli.test_cmdline import Tool
from tests.stream.build import PAGE, Stream

SHELLS = [shell for shell in ("sh", "bash", "dash", "busybox") if shutil.which(shell)]
NAMES = [
    "a'b",
    'a"b',
    "a\\b",
    "$(touch {mark})",
    "`touch {mark}`",
    ";touch {mark};",
    "&& touch {mark} #",
    "\n touch {mark}\n",
    "|touch {mark}",
    "\x1b]0;title\x07",
    "a,id=b,,c",
    "--daemonize",
    "-S",
    "~root",
    "*",
    "${{HOME}}",
    "é\u202e",
]


def octets(name: str) -> str:
    """A name as the schemas take it: a character for each octet of its UTF-8, as many as fit."""
    return name.encode().decode("latin-1")[:240]


def hostile(folder: Path, mark: Path) -> Path:
    """A stream in which every name that can get onto a command line is one of NAMES."""
    names = [name.format(mark=mark) for name in NAMES]
    made = Stream(machine=f"pc-q35-7.2{names[3]}", vmdesc=False)
    made.ram(blocks=[(octets(name), (n + 1) * PAGE) for n, name in enumerate(names)])
    for number, name in enumerate(names):
        made.full(
            10 + number, f"0000:00:{number:02x}.0/virtio-net{name}".encode().decode("latin-1")[:250], b"x"
        )
        made.full(60 + number, f"{name}/0:0:0/scsi-disk".encode().decode("latin-1")[:250], b"x")
    path = folder / "hostile.mig"
    path.write_bytes(bytes(made))
    return path


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hostile_stream_gives_words_and_nothing_more(msixtool: Tool, tmp_path: Path, shell: str) -> None:
    mark = tmp_path / "mark"
    path = hostile(tmp_path, mark)
    # A program that writes down what it is called with.
    heard = tmp_path / "heard.json"
    stand_in = tmp_path / "qemu stand-in"
    stand_in.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(heard)!r}, 'w'))\n"
    )
    stand_in.chmod(0o755)
    words = msixtool("cmdline", path, "--json").json["args"]
    printed = msixtool("cmdline", path, "--program", stand_in)
    script = tmp_path / "start.sh"
    script.write_text(printed.out)
    command = [shell, "sh"] if shell == "busybox" else [shell]
    assert subprocess.run([*command, "-n", str(script)], check=False).returncode == 0
    done = subprocess.run([*command, str(script)], capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(heard.read_text()) == words
    assert not mark.exists()
    assert all(character.isprintable() or character == "\n" for character in printed.out + printed.err)


def test_a_thousand_devices_and_more_are_a_command_or_a_note(msixtool: Tool, tmp_path: Path) -> None:
    made = Stream()
    made.ram()
    for number in range(6000):
        slot, function = divmod(number, 8)
        made.full(10 + number, f"0000:{slot >> 5:02x}:{slot & 31:02x}.{function}/virtio-rng", bytes(300))
    path = tmp_path / "many.mig"
    path.write_bytes(bytes(made))
    result = msixtool("cmdline", path, "--json")
    assert result.status == 0
    assert len(result.json["args"]) < 20000
    assert any("sections were looked at" in note["message"] for note in result.json["notes"])


def test_a_chain_of_bridges_without_end_ends(msixtool: Tool, tmp_path: Path) -> None:
    made = Stream()
    made.ram()
    for depth in range(1, 48):
        made.full(10 + depth, f"0000:00{':01.0' * depth}/pci_bridge", bytes(400))
    path = tmp_path / "deep.mig"
    path.write_bytes(bytes(made))
    assert msixtool("cmdline", path).status == 0


def test_a_name_in_libvirts_xml_stays_a_name(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    path = hostile(tmp_path, tmp_path / "mark")
    with Dump.open(path) as dump:
        text = dump.cmdline(libvirt=True).domain
    assert text is not None
    assert ElementTree.fromstring(text).tag == "domain"


def test_a_note_for_each_of_thousands_of_blocks_hides_nothing(msixtool: Tool, tmp_path: Path) -> None:
    path = tmp_path / "blocks.mig"
    path.write_bytes(bytes(Stream().ram(blocks=[(f"b{number}", PAGE) for number in range(500)]))[:-20])
    result = msixtool("cmdline", path, "--libvirt")
    *notes, more, damage = result.err.splitlines()
    assert len(notes) == 100
    assert "more notes (all of them with --json)" in more
    assert "damaged" in damage
    document = msixtool("cmdline", path, "--libvirt", "--json").json
    assert f"and {len(document['notes']) - 100} more" in more
