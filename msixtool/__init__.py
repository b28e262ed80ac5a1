"""msixtool: read, forge and compare QEMU migration streams, centred on MSI-X device state.

The public names are imported when they are first used, so that `import msixtool` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from msixtool.audit import compat as compat
    from msixtool.audit import inspect as inspect
    from msixtool.audit import validate as validate
    from msixtool.dump import Dump as Dump
    from msixtool.errors import ContainerError as ContainerError
    from msixtool.errors import FormatError as FormatError
    from msixtool.errors import InputError as InputError
    from msixtool.errors import MsixtoolError as MsixtoolError
    from msixtool.errors import NotAStreamError as NotAStreamError
    from msixtool.errors import OutputError as OutputError
    from msixtool.errors import TruncatedError as TruncatedError
    from msixtool.errors import UsageError as UsageError
    from msixtool.msix.state import MsixEntry as MsixEntry
    from msixtool.msix.state import MsixState as MsixState
    from msixtool.spec import make_spec as make_spec
    from msixtool.spec import read_spec as read_spec
    from msixtool.tasks.forge_new import make_state as make_state
    from msixtool.tasks.forge_output import forge as forge

_HOMES = {
    "ContainerError": "errors",
    "Dump": "dump",
    "FormatError": "errors",
    "InputError": "errors",
    "MsixEntry": "msix.state",
    "MsixState": "msix.state",
    "MsixtoolError": "errors",
    "NotAStreamError": "errors",
    "OutputError": "errors",
    "TruncatedError": "errors",
    "UsageError": "errors",
    "compat": "audit",
    "forge": "tasks.forge_output",
    "inspect": "audit",
    "make_spec": "spec",
    "make_state": "tasks.forge_new",
    "read_spec": "spec",
    "validate": "audit",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'msixtool' has no attribute {name!r}")
    return getattr(import_module(f"msixtool.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
