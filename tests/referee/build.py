"""QEMU's own hw/pci/msix.c as a library, from a source tree and the project's stub headers.

Nothing of QEMU is kept: msix.c is copied to a temporary folder, each header that it includes is made
there as one line that names qemu.h, and referee.c takes it in.

Source: QEMU hw/pci/msix.c, any release since 5.2.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def release(tree: Path) -> tuple[int, ...]:
    """The release of a source tree, with its micro number."""
    return tuple(map(int, (tree / "VERSION").read_text().strip().split(".")))


def build(tree: Path, folder: Path) -> ctypes.CDLL:
    """The referee of a source tree, built in an empty folder. Raises CalledProcessError where it is not."""
    source = (tree / "hw" / "pci" / "msix.c").read_text()
    (folder / "msix.c").write_text(source)
    for header in re.findall(r'#include "([^"]+)"', source):
        place = folder / header
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f'#include "{HERE / "qemu.h"}"\n')
    defined = [
        *(["-DHAS_SET_MASK"] if "void msix_set_mask(" in source else []),
        *(["-DVECTOR_USE_RETURNS"] if "int msix_vector_use(" in source else []),
    ]
    library = folder / "referee.so"
    subprocess.run(
        [
            compiler() or "cc",
            *("-shared", "-fPIC", "-O1", "-w", f"-I{folder}", f"-I{HERE}", *defined),
            *(str(HERE / "referee.c"), "-o", str(library)),
        ],
        check=True,
    )
    return ctypes.CDLL(str(library))
