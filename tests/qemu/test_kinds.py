"""Kinds of devices: each has one home, and what asks about it asks there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import msixtool
from msixtool.qemu.kinds import ISA, DeviceKind, check_kind, device_kind, kind_of, kinds
from msixtool.qemu.recorded import settings
from tests.stream.build import Stream

PACKAGE = Path(msixtool.__file__).parent
ELSEWHERE = 2
"""Files besides its home that may name a kind."""
COUNTED = [
    kind.section
    for kind in kinds()
    if kind.is_virtio
    or kind.section in ("nvme", "e1000e", "igb", "vmxnet3", "megasas", "xhci", "pcie-root-port")
]


def _names(path: Path) -> Iterator[str]:
    """The words that code can go by: string constants, but for docstrings and sentences (advice, help,
    messages of QEMU), and tables of names in one string."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = node.value.split()
            if len(words) == 1 or not any(word.endswith((".", ",", ":", ";")) for word in words):
                yield from words


@pytest.fixture(scope="module")
def named() -> dict[str, set[str]]:
    """By kind: the files that name it, its vmsds and subsections included."""
    found: dict[str, set[str]] = defaultdict(set)
    own = re.compile(rf"({'|'.join(sorted(map(re.escape, COUNTED), key=len, reverse=True))})(-device)?(/.*)?")
    for path in PACKAGE.rglob("*.py"):
        for word in _names(path):
            match = own.fullmatch(word)
            if match:
                found[match[1]].add(path.relative_to(PACKAGE).as_posix())
    return found


@pytest.mark.parametrize("section", COUNTED)
def test_a_kind_is_named_in_its_home_and_in_two_files_more_at_most(
    section: str, named: dict[str, set[str]]
) -> None:
    homes = {path for path in named[section] if path.startswith("qemu/kinds/")}
    assert len(homes) == 1, homes
    assert len(named[section] - homes) <= ELSEWHERE, named[section]


def test_what_is_virtio_has_one_answer() -> None:
    """A stranger that is named as virtio devices are has what all of them have."""
    for section in ("virtio-net", "vhost-user-blk", "virtio-of-tomorrow", "0000:00:05.0/virtio-scsi"):
        kind = kind_of(section)
        assert kind.is_virtio
        assert (kind.msix, kind.changes[0]) == (kind_of("virtio-net").msix, kind_of("virtio-net").changes[0])
    for section in ("e1000e", "virtio-mem-device-early", "virtio", "", None):
        assert not kind_of(section).is_virtio
    assert all(kind.is_virtio == bool(kind.function and kind.function.is_virtio) for kind in kinds())


def test_of_a_stranger_nothing_is_known() -> None:
    assert kind_of("0000:00:05.0/no-such-kind") == kind_of(None) == DeviceKind("")
    assert device_kind("no-such-kind") is device_kind("mch") is device_kind("virtio-of-tomorrow") is None


def test_the_declarations_hold_together() -> None:
    for kind in kinds():
        for change in kind.changes:
            device, *names = change.setting.split(",")
            assert change.until or all(f"{device},{name}" in settings() for name in names), change
        if kind.msix is not None:
            check_kind(kind.section)
            assert kind.msix.config_in is None or kind_of(kind.msix.config_in).msix is not None
        if kind.function is not None:
            framebuffer = kind.function.framebuffer
            assert framebuffer is None or framebuffer not in kind.function.bars
            assert all(bar.size & bar.size - 1 == 0 for bar in kind.function.bars.values())


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.alone], ids=lambda kind: kind.section)
def test_a_section_without_a_path_is_asked_for_by_its_kind_alone(kind: DeviceKind, tmp_path: Path) -> None:
    path = tmp_path / "vm.mig"
    path.write_bytes(bytes(Stream().full(1, "apic", b"\0").full(2, kind.section, bytes(64))))
    with msixtool.Dump.open(path) as dump:
        words = dump.cmdline().document()["args"]
    asked = [words[at + 1].split(",")[0] for at, word in enumerate(words) if word == "-device"]
    assert kind.devices.get(ISA, kind.devices[""]) in asked
