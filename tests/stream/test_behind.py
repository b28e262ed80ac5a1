"""A file, or a disk, that goes on behind its stream: what its size tells is not read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.conftest import SAMPLES, unpacked

Tool = Callable[..., Result]
SIZE = 20 << 30
READ = 256 << 20
"""Bytes that a command reads at most, of the stream and behind it."""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A stream at the start of 20 GiB of zeros, which take no room."""
    path = tmp_path / "disk"
    path.write_bytes(unpacked(SAMPLES[0]))
    os.truncate(path, SIZE)
    return path


@pytest.fixture
def device(disk: Path) -> Iterator[Path]:
    """The same as a block device, where this user may make one."""
    try:
        made = subprocess.run(
            ["losetup", "--find", "--show", "--read-only", disk], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop device can be made: {error}")
    path = Path(made.stdout.strip())
    try:
        yield path
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, msixtool: Tool) -> Tool:  # noqa: F811
    """The tool, for which reading more than READ bytes fails: no test waits for gigabytes."""
    counted, pread = 0, os.pread

    def count(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal counted
        data = pread(descriptor, length, offset)
        counted += len(data)
        assert counted < READ, f"{counted} bytes read, the last at {offset:#x}"
        return data

    def call(*arguments: object) -> Result:
        nonlocal counted
        counted = 0
        return msixtool(*arguments)

    monkeypatch.setattr(os, "pread", count)
    return call


@pytest.mark.parametrize("command", ["inspect", "show", "validate", "load", "fields", "cmdline"])
def test_what_a_size_tells_is_not_read(
    command: str,
    disk: Path,
    counted: Tool,
) -> None:
    assert counted(command, disk).status in (0, 1)


def test_zeros_behind_a_stream_are_told_as_far_as_they_were_seen(
    disk: Path,
    msixtool: Tool,  # noqa: F811
) -> None:
    findings = msixtool("validate", "--json", disk).json["findings"]
    (message,) = [each["message"] for each in findings if each["rule"] == "trailing-bytes"]
    assert message.endswith("behind the end of the stream, the first 16 MiB zero as padding is")
    assert message.startswith(f"{SIZE - len(unpacked(SAMPLES[0]))} bytes")


def test_the_vmdesc_of_a_stream_in_front_of_a_disk_counts(
    disk: Path,
    msixtool: Tool,  # noqa: F811
    tmp_path: Path,
) -> None:
    alone = tmp_path / "alone"
    shutil.copy(SAMPLES[0], alone)
    documents = [msixtool("show", "--json", path).json for path in (disk, alone)]
    assert documents[0]["devices"] == documents[1]["devices"]


def test_of_a_block_device_the_stream_alone_is_read(device: Path, counted: Tool, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.write_bytes(unpacked(SAMPLES[0]))
    assert counted("inspect", device).status == 0
    assert counted("validate", device).status in (0, 1)
    for words in (["diff"], ["diff", "--fields"], ["compat"]):
        assert counted(*words, device, alone).status == 0
    name = counted("show", "--json", device).json["devices"][0]["name"]
    for base, made in ((device, "of-the-device"), (alone, "of-the-file")):
        assert counted("forge", base, "--device", name, "--mask", "0", "-o", tmp_path / made).status == 0
    assert (tmp_path / "of-the-device").read_bytes() == (tmp_path / "of-the-file").read_bytes()
