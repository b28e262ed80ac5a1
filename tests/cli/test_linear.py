"""What is twice as long costs twice as much: no command looks for a section by going through all of them.

Steps are counted, lines of msixtool that run, and no time is taken: it would be another's on a busy machine.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import msixtool as package
from msixtool.msix.state import MsixState
from tests.cli.conftest import Result
from tests.stream.build import PAGE, Stream, config_space, msix_fields, pci_device

Tool = Callable[..., Result]
COUNT = 150
PACKAGE = str(Path(package.__file__).parent)
VECTORS = 3


TEXTS = itertools.count()


def stream_of(*, vmdesc: bool = True, machine: str | None = "pc-q35-7.2") -> Stream:
    """One whose vmdesc nobody has read before: what it says is kept for the next with the same text."""
    return Stream(vmdesc=vmdesc, machine=machine, document={"number": next(TEXTS)})


def tiny(count: int) -> bytes:
    """Sections of four bytes that nobody knows."""
    stream = stream_of()
    for number in range(count):
        stream.full(number, f"dev{number}", b"\0\0\0\1")
    return bytes(stream)


def undescribed(count: int) -> bytes:
    """The same without a vmdesc."""
    stream = stream_of(vmdesc=False)
    for number in range(count):
        stream.full(number, f"dev{number}", b"\0\0\0\1")
    return bytes(stream)


def path_of(number: int) -> str:
    """Of a device on some bus of its own."""
    return f"0000:{number // 32:02x}:{number % 32:02x}.0"


def devices(count: int, machine: str | None = "pc-q35-7.2") -> bytes:
    """Devices with MSI-X, each with a RAM block and something on a port of it."""
    config, state = config_space(VECTORS), MsixState.reset(VECTORS)
    data = pci_device(config) + state.to_vmstate()
    blocks = [(f"{path_of(number)}/e1000e.rom", PAGE) for number in range(count)]
    stream = stream_of(machine=machine).ram(blocks=[("pc.ram", 16 * PAGE), *blocks])
    for number in range(count):
        stream.full(10 + 2 * number, f"{path_of(number)}/e1000e", data, msix_fields(config, state))
        stream.full(11 + 2 * number, f"{path_of(number)}/1/usb-kbd", b"\0\0\0\1")
    return bytes(stream)


def of_no_machine(count: int) -> bytes:
    """The same where the stream does not tell the machine, as up to 2.3."""
    return devices(count, None)


def memories(count: int) -> bytes:
    """RAM blocks, each of which may be a node of main memory."""
    return bytes(stream_of().ram(blocks=[(f"ram-node{number}", PAGE) for number in range(count)]))


def log_of(count: int) -> str:
    """A failure of each section."""
    failed = "qemu-system-x86_64: error while loading state for instance 0x0 of device"
    return "".join(
        f"{failed} '{path_of(number)}/e1000e'\n{failed.partition(' ')[0]} load of migration failed: -22\n"
        for number in range(count)
    )


def spec_of(count: int, change: str) -> str:
    """A change of each device."""
    return "".join(f'[[devices]]\nname = "{path_of(number)}/e1000e"\n{change}\n' for number in range(count))


def fields_of(count: int) -> str:
    """A field of each device."""
    names = (f"{path_of(number)}/1/usb-kbd" for number in range(count))
    return "[fields]\n" + "".join(f'"{name}/data" = "00000002"\n' for name in names)


COMMANDS = (
    ("inspect", "STREAM"),
    ("inspect", "--json", "STREAM"),
    ("show", "STREAM"),
    ("fields", "STREAM"),
    ("validate", "STREAM"),
    ("load", "STREAM"),
    ("diff", "STREAM", "STREAM"),
    ("diff", "--fields", "STREAM", "STREAM"),
    ("compat", "STREAM", "STREAM"),
    ("compat", "STREAM", "--to", "10.0"),
    ("trace", "STREAM"),
    ("cmdline", "STREAM"),
    ("cmdline", "--libvirt", "STREAM"),
    ("explain", "--stream", "STREAM", "LOG"),
    ("forge", "STREAM", "--spec", "SPEC", "--dry-run"),
    ("forge", "STREAM", "--spec", "RESIZED", "--dry-run"),
    ("forge", "STREAM", "--spec", "FIELDS", "--dry-run"),
)


def steps(run: Callable[[], Any]) -> int:
    """How many lines of msixtool ran, the turns of a loop in one line each."""
    counted = 0

    def inside(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal counted
        counted += event == "line"
        return inside

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        return inside if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return counted


@pytest.mark.parametrize("make", [tiny, undescribed, devices, of_no_machine, memories])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_twice_as_many_sections_are_twice_as_many_steps(
    command: tuple[str, ...], make: Callable[[int], bytes], msixtool: Tool, tmp_path: Path
) -> None:
    def run(count: int) -> int:
        files = {
            name: tmp_path / f"{name}-{count}" for name in ("STREAM", "LOG", "SPEC", "RESIZED", "FIELDS")
        }
        files["STREAM"].write_bytes(make(count))
        files["LOG"].write_text(log_of(count))
        files["SPEC"].write_text(spec_of(count, "entries = [{ vector = 0, masked = false }]"))
        files["FIELDS"].write_text(fields_of(count))
        files["RESIZED"].write_text(spec_of(count, f"vectors = {VECTORS + 1}"))
        words = [files.get(word, word) for word in command]
        result: list[Result] = []
        counted = steps(lambda: result.append(msixtool(*words)))
        if make is devices or command[0] not in ("cmdline", "forge"):
            assert result[0].status in (0, 1), result[0].err
        return counted

    run(2)  # what is imported, and what is worked out once
    few, many = run(COUNT), run(2 * COUNT)
    assert many < 2.1 * few, f"{few} steps for {COUNT}, {many} for {2 * COUNT}"
