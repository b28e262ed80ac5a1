"""A QEMU that was started for one question, and its files, go with msixtool, even when that is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SAMPLES

STAND_IN = """#!/bin/sh
case "$*" in
*--version*) echo QEMU emulator version 7.2.22 ;;
*) echo $$ >"$STARTED"; exec sleep 600 ;;
esac
"""
"""Says its version, and does nothing else until it is ended."""


def _number(fifo: Path) -> int:
    """What is written into it, which comes within a minute."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready == [descriptor]
        return int(os.read(descriptor, 20))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "arguments",
    [
        ["compat", "SOURCE", "--qemu", "QEMU"],
        ["compat", "SOURCE", "--on", "QEMU"],
        ["compat", "SOURCE", "--on", "QEMU", "--try"],
        ["cmdline", "SOURCE", "--check", "QEMU"],
        ["capture", "-o", "OUTPUT", "--run", "--", "QEMU"],
    ],
    ids=" ".join,
)
def test_a_killed_msixtool_leaves_no_qemu_and_no_file(arguments: list[str], tmp_path: Path) -> None:
    qemu, started, temporary = tmp_path / "qemu", tmp_path / "started", tmp_path / "temporary"
    qemu.write_text(STAND_IN)
    qemu.chmod(0o755)
    temporary.mkdir()
    os.mkfifo(started)
    words = {"SOURCE": str(SAMPLES[0]), "QEMU": str(qemu), "OUTPUT": str(temporary / "out")}
    run = subprocess.Popen(
        [sys.executable, "-m", "msixtool", *(words.get(word, word) for word in arguments)],
        env={**os.environ, "TMPDIR": str(temporary), "STARTED": str(started)},
        stderr=subprocess.PIPE,
    )
    try:
        handle = os.pidfd_open(_number(started))
        try:
            run.kill()
            assert run.wait() == -signal.SIGKILL
            ended, _, _ = select.select([handle], [], [], 30)
            assert ended == [handle]
        finally:
            if not select.select([handle], [], [], 0)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
    finally:
        run.kill()
        run.communicate()
    assert list(temporary.iterdir()) == []
