"""The recorded files, and what is done to them in several tests."""

from __future__ import annotations

import importlib.util
import io
import lzma
import sys
from functools import cache
from pathlib import Path

import pytest

from msixtool.containers.open import open_source
from msixtool.containers.opened import Opened

DATA = Path(__file__).parent.parent / "data" / "containers"

KINDS = ("gzip", "bzip2", "xz", "zstd", "lz4", "lzop")

ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
"""The module that packs Zstandard: the standard library has one since 3.14."""
_PACKAGES = {"zstd": ZSTD, "lz4": "lz4", "lzop": "lzallright"}


def needs(kind: str) -> None:
    """Skip the test where the package for a compressed format is not installed."""
    package = _PACKAGES.get(kind)
    if package and importlib.util.find_spec(package.partition(".")[0]) is None:
        pytest.skip(f"{package} is not installed")


@cache
def recorded(name: str) -> bytes:
    """The bytes of a recorded file."""
    return (DATA / name).read_bytes()


@cache
def unpacked(name: str) -> bytes:
    """What a recorded file holds that was compressed for keeping only."""
    return lzma.decompress(recorded(name))


def stream() -> bytes:
    """The stream that all `stream.*` and `members.*` hold."""
    return unpacked("stream.xz")


def opened(data: bytes, **options: object) -> Opened:
    """Open bytes as if they were a file."""
    return open_source(io.BytesIO(data), **options)  # type: ignore[arg-type]


def kinds(file: Opened) -> list[str]:
    """The kinds of the layers, from the outside in."""
    return [str(layer["kind"]) for layer in file.layers]


def everything(file: Opened) -> bytes:
    """All bytes of the stream."""
    return file.source.read(0, file.source.size)
