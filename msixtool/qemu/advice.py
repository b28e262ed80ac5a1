"""What to change where a load is refused: the property, or the setting of the machine, that likely did it.

By what was compared and the kind of device. Advice is concrete or absent.
"""

from __future__ import annotations


def advise(code: str, kind: str, field: str | None) -> str | None:
    """On a finding of a section of this kind."""
    return None


def on_register(register: str, kind: str, source: int, target: int) -> str | None:
    """On a register of configuration space that differs."""
    return None


def on_ram(block: str, code: str) -> str | None:
    """On a RAM block."""
    return None


def on_missing_section(name: str, kind: str, instance: int, elsewhere: list[str]) -> str | None:
    """On a section that the target does not have; `elsewhere` has its sections of that kind."""
    return None
