"""The walk-through of docs/cmdline.md with a real guest: from a file that nobody knows to a running VM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msixtool.cli import run
from tests.conftest import REPOSITORY

from .linux import Linux, missing
from .process import PATIENCE
from .wire import Qmp, listen

PAGE = REPOSITORY / "docs" / "cmdline.md"


def commands() -> list[str]:
    """The shell commands of the walk-through, which are marked as such on the page."""
    steps = PAGE.read_text().partition("## From a file")[2].partition("\n## ")[0]
    return re.findall(r"^ +\$ (.+)$", steps, re.MULTILINE)


@contextmanager
def started(folder: Path, line: str) -> Iterator[Qmp]:
    """A shell that runs `line` with a monitor of ours, and nothing of it left behind."""
    with listen(folder / "qmp") as server:
        server.settimeout(PATIENCE)
        line = line.replace("-monitor stdio", "-qmp unix:qmp -display none -accel tcg")
        shell = subprocess.Popen(["sh", "-c", line], cwd=folder, start_new_session=True)
        try:
            yield Qmp(server.accept()[0], timeout=PATIENCE)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def until(qmp: Qmp, status: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        now = str(qmp.execute("query-migrate").get("status", "none"))
        assert now != "failed"
        if now == status:
            return
        time.sleep(0.1)
    raise AssertionError(f"the load is not {status}")


def test_a_guest_goes_on_from_a_file_that_nobody_knows(
    qemu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := missing():
        pytest.skip(why)
    with Linux(qemu) as guest:
        assert guest.goes_on()
        guest.stop()
        (tmp_path / "FILE").write_bytes(guest.save())
    (tmp_path / "disk.img").write_bytes(bytes(16 << 20))
    monkeypatch.chdir(tmp_path)
    look, write, extend, plug, start = commands()
    assert run(look.split()[1:]) == 0
    assert capsys.readouterr().out
    assert run([*write.partition(" > ")[0].split()[1:], "--program", qemu]) == 0
    told = capsys.readouterr()
    assert "it has switched on lm" in told.err
    # The console of the guest is a null device in the command; here it has to be read.
    Path("start.sh").write_text(re.sub(r"null,id=(chr\d+)", r"file,id=\1,path=console", told.out))
    for line in (extend, plug):
        subprocess.run(["sh", "-c", line], check=True)
    with started(tmp_path, start) as qmp:
        qmp.execute("migrate-incoming", uri="exec:cat FILE")
        until(qmp, "completed")
        qmp.execute("cont")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and Path("console").read_text().count("READ vda ") < 3:
            time.sleep(0.1)
        assert Path("console").read_text().count("READ vda ") >= 3
