"""trace of a running VM: RAM is read for the rings alone, and the guest stands for milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.live.linux import Linux, disk, net
from tests.live.test_trace import A_SECOND, linux, on_its_way, without  # noqa: F401

pytest.importorskip("qemu.qmp")

Tool = Callable[..., Result]


def monitor(folder: Path) -> tuple[str, list[str]]:
    """A second monitor for msixtool, and the arguments that make it."""
    socket = str(folder / "qmp")
    return socket, ["-qmp", f"unix:{socket},server=on,wait=off"]


@pytest.mark.parametrize("options", ["", ",packed=on"], ids=["split", "packed"])
def test_a_living_guest_is_looked_at_twice_and_goes_on(
    linux: str,  # noqa: F811
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
    options: str,
) -> None:
    socket, arguments = monitor(tmp_path)
    with Linux(linux, devices=[*disk(options), *net(options), *arguments]) as guest:
        assert guest.goes_on(3), guest.console()
        found = msixtool("trace", "--qmp", socket, "--twice", "1.2s", "--json")
        assert guest.goes_on(3)
        whole = msixtool("trace", "--qmp", socket, "--ram", "--json").json
        assert guest.goes_on(3)
    document = found.json
    assert (found.status, found.err, document["missing"]) == (0, "", [])
    assert document["source"]["path"] == document["later"]["path"] == socket
    assert all(0 < each < 100 for each in document["paused_ms"])
    assert rings(document) == rings(whole)
    assert len(rings(document)) == 4


def rings(document: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Each queue that has a vector and was read."""
    return [
        (device["name"], row["queue"], row["vector"])
        for device in document["devices"]
        for row in device["interrupts"]
        if row["ring"] is not None and row["vector"] is not None and row["ring"]["used"] is not None
    ]


def test_a_guest_that_hangs_is_told_where(linux: str, msixtool: Tool, tmp_path: Path) -> None:  # noqa: F811
    with Linux(linux) as guest:
        assert guest.goes_on(3), guest.console()
        stream, device, row = on_its_way(guest)
    socket, arguments = monitor(tmp_path)
    with Linux(linux, devices=[*disk(), *net(), *arguments], incoming=without(stream, row)) as hung:
        hung.cont()
        time.sleep(A_SECOND)
        found = msixtool("trace", "--qmp", socket, "--twice", "1.2s", "--json")
        assert hung.qmp.execute("query-status")["running"]
    lost = [(each["device"], each["queue"], each["verdict"]) for each in found.json["lost"]]
    assert (found.status, lost) == (1, [(device.name, row.queue, "lost")])
