"""Fixtures of the tests that need a real QEMU."""

from __future__ import annotations

import os

import pytest

from .guest import find_qemu


@pytest.fixture(scope="session")
def qemu() -> str:
    """The QEMU to try; a test that asks for it is skipped where none is installed.

    MSIXTOOL_QEMU names another binary, and a name that leads nowhere is a failure, not a skip.
    """
    found = find_qemu()
    if found is None:
        named = os.environ.get("MSIXTOOL_QEMU")
        if named:
            pytest.fail(f"MSIXTOOL_QEMU names no program: {named}")
        pytest.skip("no qemu-system-x86_64 is installed (MSIXTOOL_QEMU can name one)")
    return found
