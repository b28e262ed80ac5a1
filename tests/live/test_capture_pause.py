"""For how long a guest stands, by QEMU's own clock, where it has 4 GiB of RAM of which no page is zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.test_capture import vm

pytest.importorskip("qemu.qmp")

Tool = Callable[..., Result]
NODES, SIZE = 16, 256 << 20
LIMIT = 100.0
"""Milliseconds that a guest may stand."""


def not_zero(folder: Path) -> list[str]:
    """16 nodes of 256 MiB which are one file: its pages are read over and over, and take memory once."""
    memory = folder / "memory"
    with memory.open("wb") as file:
        for _ in range(SIZE >> 20):
            file.write(b"not zero" * (1 << 17))
    made = ["-m", "4096"]
    for number in range(NODES):
        made += ["-object", f"memory-backend-file,id=ram{number},size=256M,share=on,mem-path={memory}"]
        made += ["-numa", f"node,nodeid={number},memdev=ram{number}"]
    return made


def short(look: Callable[[], Sequence[float | None]]) -> bool:
    """Whether the guest stands for less than LIMIT each time.

    A busy machine may take a while to let QEMU stop its CPUs, so that one look in five counts.
    """
    return any(all(each is None or 0 < each < LIMIT for each in look()) for _ in range(5))


def test_the_guest_stands_for_milliseconds_whatever_its_ram(
    qemu: str,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    out = tmp_path / "devices"
    with vm(qemu, *not_zero(tmp_path)) as machine:
        for address in (0x200000, 0x40000000, 0x100000000, 0x17FFFF000):
            dump = machine.ask("human-monitor-command", command_line=f"xp /8xb {address:#x}")
            assert bytes(int(word, 16) for word in dump.split()[1:]) == b"not zero"

        def devices() -> list[float]:
            taken = msixtool("capture", machine.socket, "--devices", "-o", out, "--json", "--force")
            return [taken.json["paused_ms"]]

        def traced() -> list[float]:
            return list(
                msixtool("trace", "--qmp", machine.socket, "--twice", "1.1s", "--json").json["paused_ms"]
            )

        assert short(devices)
        assert short(traced)
        assert machine.running
    assert out.stat().st_size < 4 << 20
