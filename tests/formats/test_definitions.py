"""The schemas of formats/ are the definition: each is used, and bytes are read and written through them.

What reads or writes integers by itself stands in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import construct
import pytest

import msixtool
from msixtool import formats

PACKAGE = Path(msixtool.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}

SPEED, MODEL, REGISTERS, PATCH = (
    "in bulk, where a schema would cost: sizes and flags are those of formats/",
    "the model's own memory: registers as the guest sees them",
    "registers of any width, by tables of offsets and sizes",
    "bits of a word that stands somewhere: places come from formats/",
)
EXCEPTIONS = {
    "containers/clusters.py": SPEED,
    "containers/codecs.py": "the sizes of frames that are skipped",
    "containers/lzop.py": "the length of an extra field",
    "devices/locate.py": SPEED,
    "devices/virtio.py": "config_len is bounded before CORE is parsed",
    "devices/virtio_layout.py": SPEED,
    "fleet/pool.py": "numbers in memory that processes share",
    "msix/function.py": MODEL,
    "msix/registers.py": MODEL,
    "msix/state.py": "pending bits as one number",
    "msix/vectors.py": MODEL,
    "qemu/config_masks.py": REGISTERS,
    "qemu/kinds/virtio.py": REGISTERS,
    "ram/memory_map.py": "CMOS bytes",
    "ram/pages.py": SPEED,
    "stream/description.py": "looked for from the end, among anything",
    "stream/ends.py": SPEED,
    "stream/forward.py": SPEED,
    "stream/ram.py": SPEED,
    "stream/read.py": "a header that may be cut short",
    "stream/runs.py": SPEED,
    "stream/scan.py": SPEED,
    "tasks/capture/denial.py": "the credentials of a peer, as the kernel has them: no part of a stream",
    "tasks/cmdline/backends.py": REGISTERS,
    "tasks/cmdline/seen.py": "a field of any size",
    "tasks/compat/load_base.py": "fields of any type that is compared",
    "tasks/compat/virtio_load.py": SPEED,
    "tasks/forge.py": PATCH,
    "tasks/forge_pack.py": "the head of each block that is packed",
    "tasks/forge_raise.py": PATCH,
    "tasks/forge_sizes.py": PATCH,
    "tasks/ram_digest.py": SPEED,
    "tasks/section_checks.py": "indices in guest memory",
    "tasks/trace/causes.py": "indices in guest memory",
}
"""Modules outside formats/ that turn bytes into integers, or integers into bytes, by themselves."""


def by_hand(source: str) -> Iterator[str]:
    """Where a module does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("from_bytes", "to_bytes"):
            yield f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Import) and any(name.name == "struct" for name in node.names):
            yield f"line {node.lineno}: import struct"


def test_what_reads_bytes_by_itself_stands_in_the_list() -> None:
    found = {name for name, source in SOURCES.items() if any(by_hand(source))}
    new = {name: list(by_hand(SOURCES[name])) for name in found - set(EXCEPTIONS) if "formats/" not in name}
    assert not new, "read it through a schema of formats/, or say here why not"
    assert not set(EXCEPTIONS) - found, "these need no exception any more"


def schemas() -> list[tuple[str, str]]:
    """Module and name of each schema of formats/."""
    found = []
    for module in pkgutil.iter_modules(formats.__path__):
        own = SOURCES[f"formats/{module.name}.py"]
        values = vars(importlib.import_module(f"msixtool.formats.{module.name}"))
        found += [
            (module.name, name)
            for name, value in values.items()
            if isinstance(value, construct.Construct) and re.search(rf"^{name}(: .*)? = ", own, re.MULTILINE)
        ]
    return found


@pytest.mark.parametrize(("module", "name"), schemas())
def test_every_schema_is_used_by_the_package(module: str, name: str) -> None:
    uses = {file: len(re.findall(rf"(?<!\")\b{name}\b(?!\")", text)) for file, text in SOURCES.items()}
    uses[f"formats/{module}.py"] -= 1
    assert sum(uses.values()) > 0
