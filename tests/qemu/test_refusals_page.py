"""docs/refusals.md names every vmstate description whose load QEMU refuses after reading it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
PAGE = (Path(__file__).parents[2] / "docs" / "refusals.md").read_text()
PARENTS = {"virtio-net-vnet", "virtio-net-ufo", "virtio-net-tx_waiting", "ahci", "s390-flic-ais-tmp"}
"""Told by the name of what they are in."""
ALWAYS_LOAD = {
    "piix4_post_load",
    "igb_post_load",
    "ipmi_bmc_extern_post_migrate",
    "uefi_var_policy_post_load",
}
"""What they return comes from another function, which returns 0."""
_HARMLESS = {"0", "true"}


def refusing(text: str) -> Iterator[tuple[str, str]]:
    """(vmsd, function or words) of each description of a source file whose hooks can return an error."""
    for found in re.finditer(r"VMStateDescription\s+\w+(?:\[\])?\s*=\s*\{(.*?)\n\};", text, re.DOTALL):
        name = re.search(r"\.name\s*=\s*(\"[^\"]*\"|\w+)", found[1])
        vmsd = name[1].strip('"') if name else ""
        for words in re.findall(r"VMSTATE_VALIDATE\(\s*(\"[^\"]*\")", found[1]):
            yield vmsd, words
        for hook in re.findall(r"\.(?:post|pre)_load(?:_errp)?\s*=\s*(\w+)", found[1]):
            body = re.search(
                rf"^(?:static )?(?:int|bool)\s+{hook}\s*\([^)]*\)\s*\{{(.*?)^\}}",
                text,
                re.DOTALL | re.MULTILINE,
            )
            if body and set(re.findall(r"return\s+([^;]*);", body[1])) - _HARMLESS:
                yield vmsd, hook


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
def test_each_load_that_qemus_source_refuses_is_on_the_page() -> None:
    for tree in TREES:
        texts = [p.read_text(errors="replace") for p in tree.rglob("*.[ch]") if "tests" not in p.parts]
        names = dict(re.findall(r'#define\s+(TYPE_\w+)\s+"([^"]*)"', "\n".join(texts)))
        found = {(names.get(vmsd, vmsd), hook) for text in texts for vmsd, hook in refusing(text)}
        assert len(found) > 40, tree.name
        untold = [
            (vmsd, hook)
            for vmsd, hook in sorted(found)
            if vmsd not in PARENTS
            and hook not in ALWAYS_LOAD
            and hook not in PAGE
            and not re.search(rf"`{re.escape(vmsd)}\b", PAGE)
        ]
        assert not untold, tree.name
