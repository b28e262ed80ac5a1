"""`msixtool --version`: what a report of a defect has to name."""

from __future__ import annotations

import platform
import sys
from importlib import util
from importlib.metadata import PackageNotFoundError, version

from msixtool import __version__

_LIBRARIES = ("click", "construct", "rich")
_EXTRAS = {
    "zstd": ("compression.zstd", "backports.zstd"),
    "lz4": ("lz4",),
    "lzop": ("lzallright",),
    "capture": ("qemu.qmp",),
    "html": ("jinja2",),
}
"""The modules of which each extra needs one: nothing is imported."""


def version_text() -> str:
    """The version, then Python's and the libraries', then the extras that are there and that are not."""
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    there = [name for name, modules in _EXTRAS.items() if any(map(_is_there, modules))]
    missing = [name for name in _EXTRAS if name not in there]
    lines = [
        f"msixtool, version {__version__}",
        f"{platform.python_implementation()} {platform.python_version()} on {sys.platform}; {libraries}",
        f"extras: {', '.join(there) or 'none'}",
    ]
    if missing:
        lines.append(f"not installed: {', '.join(missing)} (pip install 'msixtool[{','.join(missing)}]')")
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of unknown version"


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is in
        return False
