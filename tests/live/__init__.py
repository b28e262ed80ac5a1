"""Tests that need a real QEMU, and what drives it."""
